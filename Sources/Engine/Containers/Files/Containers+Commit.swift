import Archive
import CLinux
import Errdefs
import Kernel
import Logging
import OCI
import Snapshots

/// What a container's commit asks for.
public struct ContainerCommit: Sendable {
  /// Empty for an image without a name.
  public var repository: String
  public var tag: String
  public var author: String
  public var comment: String
  /// Dockerfile instructions.
  public var changes: [String]
  /// In place of the container's own, which fills in what it leaves out.
  public var config: ContainerConfig?
  /// Freeze a running container while its files are read.
  public var pause: Bool

  public init(
    repository: String = "", tag: String = "", author: String = "", comment: String = "", changes: [String] = [],
    config: ContainerConfig? = nil, pause: Bool = true
  ) {
    self.repository = repository
    self.tag = tag
    self.author = author
    self.comment = comment
    self.changes = changes
    self.config = config
    self.pause = pause
  }
}

extension Containers {
  /// What the container changed, each directory before what is in it.
  public func changes(_ reference: String) async throws -> [ContainerChange] {
    let container = try find(reference)
    let snapshot = try stored(container)
    return try await blocking { try Self.changes(of: snapshot) }
  }

  private static func changes(of snapshot: Snapshot) throws -> [ContainerChange] {
    do throws(SyscallError) { return try ChangeList(upper: snapshot.upper, lower: snapshot.lower).changes } catch {
      throw EngineError.system("compare snapshot \(snapshot.id) with its image: \(error)", cause: error)
    }
  }

  /// Makes an image of a container: its image's layers and one more, of what it wrote. Answers the id.
  public func commit(_ reference: String, _ commit: ContainerCommit) async throws -> String {
    let container = try find(reference)
    switch container.state.status {
    case .dead: throw EngineError.conflict("You cannot commit container \(container.id) which is Dead")
    case .removing: throw EngineError.conflict("You cannot commit container \(container.id) which is being removed")
    default: break
    }
    let tree = try stored(container)
    let snapshot = container.snapshot
    var config = commit.config ?? snapshot.config
    if commit.config != nil { config.merge(image: snapshot.config) }
    let request = ContainerImageCommit(
      imageID: snapshot.imageID, config: config, command: snapshot.config.cmd ?? [], repository: commit.repository,
      tag: commit.tag, author: commit.author, comment: commit.comment, changes: commit.changes)
    try images.check(request)

    // One that ends meanwhile, or is paused by somebody else, needs none.
    let isOurs = commit.pause && container.state.status == .running
    var paused = false
    if isOurs {
      do {
        try await pause(container.id)
        paused = true
      } catch let error as EngineError where error.kind == .conflict {}
    }
    let made: Result<CommittedImage, any Error>
    do {
      made = .success(
        try await images.commit(request) { write in
          let included = try Self.included(Self.changes(of: tree))
          guard !included.isEmpty else { return false }
          let buffered = BufferedSink(write)
          let writer = TarWriter { try buffered.write($0) }
          let upper = SharedDescriptor(try Sys.open(tree.upper, O_PATH | O_DIRECTORY))
          try TreePacker(writer, marks: .overlay) { path, _ in !included.contains("/" + path.joined(separator: "/")) }
            .add(contentsOf: upper)
          try writer.finish()
          try buffered.flush()
          return true
        })
    } catch { made = .failure(error) }
    if paused {
      do { try await unpause(container.id) } catch {
        logger.warning("unpause container \(container.id) after its commit: \(error)")
      }
    }
    let image = try made.get()
    tell(
      "commit", container.snapshot, ["comment": commit.comment, "imageID": image.id, "imageRef": image.reference])
    return image.id
  }

  /// The paths of changes and of all that lies above them: what isn't told of a directory would be made anew.
  private static func included(_ changes: [ContainerChange]) -> Set<String> {
    var included: Set<String> = []
    for change in changes {
      var path = change.path[...]
      while !path.isEmpty, included.insert(String(path)).inserted {
        path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
      }
    }
    return included
  }
}

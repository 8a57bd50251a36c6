public import Archive
import CLinux
import ContainerRuntime
import Errdefs
import Kernel
import Logging
import OCI
import Rootfs
import Snapshots
import Synchronization

extension Containers {
  public typealias ByteSink = @Sendable (UnsafeRawBufferPointer) throws -> Void

  /// An archive that is about to be written: everything that can be refused has been.
  public struct OutgoingArchive: Sendable {
    public let stat: PathStat
    /// Blocks while it writes; what it throws, the reader's cancellation among it, ends it.
    public let write: @Sendable (_ sink: @escaping ByteSink) async throws -> Void
  }

  /// `HEAD …/archive`. Throws `Could not find the file x in container y`.
  public func stat(_ reference: String, path: String) async throws -> PathStat {
    let container = try find(reference)
    return try await located(path, reference) { [self] in
      try await reading(container) { tree in
        PathStat(try tree.find(path, followingLast: false), path: Self.rooted(path), in: tree)
      }
    }
  }

  /// `GET …/archive`: the object as a tar whose members begin with its name; a path that ends in `/.` gives the directory's content.
  public func archive(_ reference: String, path: String) async throws -> OutgoingArchive {
    let container = try find(reference)
    let (tree, found) = try await located(path, reference) { [self] in
      try await reading(container) { tree in (tree, try tree.find(path, followingLast: false)) }
    }
    let stat = PathStat(found, path: Self.rooted(path), in: tree)
    // Of the root itself, names begin with the slash.
    let name = stat.name
    tell("archive-path", container.snapshot)
    return OutgoingArchive(stat: stat) { [self] sink in
      try await writeTar(to: sink) { writer in
        try TreePacker(writer, tree: tree).add(found.object, path: found.path, as: Array(name.utf8))
      }
    }
  }

  /// `PUT …/archive`: unpacks a tar, plain, gzip or zstd, into a directory of the container.
  ///
  /// `keepsKinds`: `noOverwriteDirNonDir`. `asUser`: `copyUIDGID`, all that is made belongs to the container's user.
  public func extract(
    _ reference: String, path: String, source: any ByteSource & Sendable, keepsKinds: Bool, asUser: Bool
  ) async throws {
    let container = try find(reference)
    let extracted: @Sendable (MountedTree) throws -> Void = { tree in
      // Before anything of the container's is looked at, and by our own code (CVE-2019-14271, GHSA-x86f-5xw2-fm2r).
      let archive = try Decompressor(source)
      let found = try tree.find(path, followingLast: true)
      guard found.status.fileType == .directory else {
        throw EngineError.invalidParameter("extraction point is not a directory")
      }
      let snapshot = container.snapshot
      try Self.checkWritable(snapshot, "/" + found.path.joined(separator: "/"))
      var owner = TreeExtractor.Owner.archive
      if asUser, !snapshot.config.user.isEmpty {
        let user = try UserNumbers.resolve(snapshot.config.user, in: Root(owning: try tree.root.duplicate()))
        owner = .fixed(uid: user.uid, gid: user.gid)
      }
      let extractor = TreeExtractor(into: found, of: tree, target: path, keepsKinds: keepsKinds, owner: owner)
      try extractor.extract(TarReader(archive))
      // The sender may still be writing the padding of its last block.
      try archive.drain()
    }
    try await located(path, reference) { [self] in
      if let tree = try await runningTree(container) {
        try await blocking { try FileView.asRoot(of: tree) { try extracted(tree) } }
      } else {
        // Nobody starts it meanwhile: an overlay has one writer.
        try await container.operations.run {
          let tree: MountedTree
          if let running = try await runningTree(container) {
            tree = running
          } else {
            tree = try await stoppedTree(container, writable: true)
          }
          try await blocking { try FileView.asRoot(of: tree) { try extracted(tree) } }
        }
      }
    }
    tell("extract-to-dir", container.snapshot)
  }

  /// `GET …/export`: the whole root file system, without what is mounted in it.
  public func export(_ reference: String) async throws -> @Sendable (_ sink: @escaping ByteSink) async throws -> Void {
    let container = try find(reference)
    guard !container.state.dead else {
      throw EngineError.conflict("You cannot export container \(container.id) which is Dead")
    }
    guard container.state.status != .removing else {
      throw EngineError.conflict("You cannot export container \(container.id) which is being removed")
    }
    let tree = try await bareTree(container)
    return { [self] sink in
      try await writeTar(to: sink) { writer in try TreePacker(writer, tree: tree).add(contentsOf: tree.root) }
      tell("export", container.snapshot)
    }
  }

  // MARK: what the container's files are

  /// Docker's text of what isn't there; the rest of what the kernel refuses is told as it is.
  private func located<T>(_ path: String, _ reference: String, _ body: () async throws -> T) async throws -> T {
    do {
      return try await body()
    } catch let error as SyscallError where error.errno == .noSuchFile {
      throw EngineError.notFound("Could not find the file \(path) in container \(reference)")
    } catch let error as SyscallError where error.errno == .notDirectory {
      throw EngineError.system("lstat \(path): not a directory")
    } catch let error as ArchiveError {
      throw EngineError.system("\(error.member.isEmpty ? error.reason : error.description)", cause: error)
    } catch let error as LaunchFailure {
      throw EngineError.system(error.message)
    }
  }

  private func reading<T: Sendable>(
    _ container: Container, _ body: @escaping @Sendable (MountedTree) throws -> T
  ) async throws -> T {
    if let tree = try await runningTree(container) { return try await blocking { try body(tree) } }
    return try await container.operations.run {
      let running = try await runningTree(container)
      let tree = if let running { running } else { try await stoppedTree(container, writable: false) }
      return try await blocking { try body(tree) }
    }
  }

  /// The mount namespace of a container that lives; `nil` when it doesn't.
  private func mountNamespace(_ container: Container) async throws -> SharedDescriptor? {
    let state = container.state
    guard state.alive, let shim = container.live.withLock({ $0.shim }) else { return nil }
    do {
      let namespace = SharedDescriptor(try Sys.open("/proc/\(state.pid)/ns/mnt", O_RDONLY))
      // The shim hasn't reaped it: the number was its own when the namespace was opened.
      if try await shim.state().exit == nil { return namespace }
    } catch let error as SyscallError where error.errno == .noSuchFile || error.errno == .noSuchProcess {
      // It has just ended.
    } catch is ShimError {
      // Its shim has.
    }
    return nil
  }

  private func runningTree(_ container: Container) async throws -> MountedTree? {
    guard let namespace = try await mountNamespace(container) else { return nil }
    let owners = try Self.mapping(ofProcess: container.state.pid)?.owners
    return try await blocking {
      var tree = try FileView.root(ofNamespace: namespace)
      tree.owners = owners
      return tree
    }
  }

  func stored(_ container: Container) throws -> Snapshot {
    guard let snapshot = try snapshotter.snapshot(container.id) else {
      throw EngineError.system("the file system of container \(container.id) is missing")
    }
    return snapshot
  }

  /// In the container's queue.
  private func stoppedTree(_ container: Container, writable: Bool) async throws -> MountedTree {
    let stored = try stored(container)
    let snapshot = container.snapshot
    return try await volumes.using(snapshot.mounts.map(\.volumeID).filter { !$0.isEmpty }) { [self] places in
      try await blocking { [self] in
        do {
          let sources = try FileView.sources(try found(snapshot, places), writable: writable, image: imageMount)
          let tree = try FileView.overlay(of: stored, writable: writable)
          do { return try FileView.lay(sources, on: tree) } catch let error as SyscallError
            where !writable && [.noSuchFile, .readOnlyFileSystem].contains(error.errno)
          {
            // Places that no start has made yet are made as it would make them.
            _ = try FileView.lay(sources, on: try FileView.overlay(of: stored, writable: true))
            return try FileView.lay(sources, on: try FileView.overlay(of: stored, writable: false))
          }
        } catch let error as RootfsError {
          throw EngineError.system("open the files of container \(container.id): \(error)", cause: error)
        } catch let error as SyscallError {
          throw EngineError.system("open the files of container \(container.id): \(error)", cause: error)
        }
      }
    }
  }

  private func bareTree(_ container: Container) async throws -> MountedTree {
    try await container.operations.run {
      if let namespace = try await mountNamespace(container) {
        let owners = try Self.mapping(ofProcess: container.state.pid)?.owners
        return try await blocking {
          var tree = try FileView.bareRoot(ofNamespace: namespace)
          tree.owners = owners
          return tree
        }
      }
      let snapshot = try stored(container)
      return try await blocking { try FileView.overlay(of: snapshot, writable: false) }
    }
  }

  /// Tar to a sink, in pieces that are worth sending.
  func writeTar(to sink: @escaping ByteSink, _ body: @escaping @Sendable (TarWriter) throws -> Void) async throws {
    try await blocking {
      let buffered = BufferedSink(sink)
      let writer = TarWriter { try buffered.write($0) }
      try body(writer)
      try writer.finish()
      try buffered.flush()
    }
  }

  /// daemon/archive_unix.go `checkWritablePath`
  private static func checkWritable(_ snapshot: ContainerSnapshot, _ path: String) throws {
    let holder = snapshot.mounts.filter { $0.type != "tmpfs" && Path.isInside(path, $0.destination) }
      .max { $0.destination.utf8.count < $1.destination.utf8.count }
    if let holder {
      guard holder.rw else { throw EngineError.invalidParameter("mounted volume is marked read-only") }
      return
    }
    guard !snapshot.hostConfig.readonlyRootfs else {
      throw EngineError.invalidParameter("container rootfs is marked read-only")
    }
  }

  /// Absolute and clean, with a `/.` or `/` at its end kept.
  private static func rooted(_ path: String) -> String {
    let clean = Path.clean("/" + path)
    if path == "." || path.hasSuffix("/.") { return clean == "/" ? "/." : clean + "/." }
    return clean
  }
}

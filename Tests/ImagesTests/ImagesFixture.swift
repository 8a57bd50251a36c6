import Archive
import CLinux
import ContentStore
import Events
import Images
import Kernel
import Logging
import Metadata
import OCI
import Snapshots
import Synchronization
import Testing

/// The images of a data root of the test's own, removed at the end.
final class ImagesFixture {
  let path: String
  private(set) var metadata: Metadata
  private(set) var images: Images
  private(set) var snapshotter: OverlaySnapshotter
  let events = Events()
  let uses = Uses()

  final class Uses: ImageUsers {
    let list = Mutex<[ImageUse]>([])
    func imageUses() -> [ImageUse] { list.withLock { $0 } }
  }

  init() throws {
    var template = Array("/tmp/berth-images-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SyscallError("mkdtemp", "/tmp", .current) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    (metadata, snapshotter, images) = try Self.open(path, events)
    _ = try images.recover(snapshots: [:])
    images.setUsers(uses)
  }

  deinit {
    snapshotter.settle()
    try? metadata.close()
    try? Sys.removeTree(path)
  }

  private static func open(_ path: String, _ events: Events) throws -> (Metadata, OverlaySnapshotter, Images) {
    let metadata = try Metadata(path: path + "/berth.db")
    let snapshotter = try OverlaySnapshotter(dataRoot: path, mounts: path + "/mounts")
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    let images = try Images(
      metadata: metadata, content: try ContentStore(root: path + "/content"), snapshotter: snapshotter, events: events,
      logger: logger)
    return (metadata, snapshotter, images)
  }

  /// As after the daemon was killed.
  func reopen(snapshots: [String: [Digest]] = [:]) throws -> SnapshotRecovery {
    snapshotter.settle()
    try metadata.close()
    (metadata, snapshotter, images) = try Self.open(path, events)
    let recovery = try images.recover(snapshots: snapshots)
    images.setUsers(uses)
    snapshotter.settle()
    return recovery
  }

  /// Loads and answers the lines for people.
  @discardableResult
  func load(_ archive: [UInt8], platform: Platform? = nil) async throws -> [String] {
    let lines = Lines()
    try await images.load(SharedBytes(archive), platform: platform) { progress in
      if case .stream(let line) = progress { lines.list.withLock { $0.append(line) } }
    }
    return lines.list.withLock { $0 }
  }

  final class Lines: Sendable {
    let list = Mutex<[String]>([])
  }

  /// Blobs, layers and what is half done: what would be left behind.
  func leftovers() throws -> [String] {
    snapshotter.settle()
    var result: [String] = []
    for directory in ["content/sha256", "content/ingest", "layers", "trash"] {
      let descriptor = try Sys.open("\(path)/\(directory)", O_RDONLY | O_DIRECTORY)
      result += try Sys.entries(descriptor.raw).map { "\(directory)/\($0.name)" }
    }
    return result.sorted()
  }

  /// What was published since the start, `action id-or-name`.
  func happened() -> [String] {
    events.history(since: 0, until: nil).map { "\($0.action) \($0.attributes["name"] ?? "")" }
  }
}

/// Bytes in memory that may go to another thread.
final class SharedBytes: ByteSource, Sendable {
  private let bytes: [UInt8]
  private let position = Mutex(0)

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let count = buffer.count
    let range = position.withLock { position in
      let start = position
      position = min(bytes.count, start + count)
      return start..<position
    }
    buffer.copyBytes(from: bytes[range])
    return range.count
  }
}

/// Archives, made in memory.
enum Archives {
  struct Image {
    var config: [UInt8]
    var layers: [[UInt8]]
    var tags: [String]?
    var id: Digest { Digest(hashing: config) }
  }

  static func layer(_ files: [(String, String)]) -> [UInt8] {
    tar(files.map { ($0.0, Array($0.1.utf8)) })
  }

  static func tar(_ files: [(String, [UInt8])]) -> [UInt8] {
    var bytes: [UInt8] = []
    let writer = TarWriter { bytes.append(contentsOf: $0) }
    do {
      for (name, data) in files {
        var entry = TarEntry()
        entry.name = Array(name.utf8)
        entry.mode = 0o644
        try writer.add(entry, data: data)
      }
      try writer.finish()
    } catch { Issue.record("writing a tar failed: \(error)") }
    return bytes
  }

  static func image(
    _ layers: [[UInt8]], tags: [String]?, created: String = "2024-01-01T00:00:00Z", labels: [String: String] = [:],
    architecture: String = Platform.host.architecture, diffIDs: [Digest]? = nil
  ) -> Image {
    var config = ImageConfig(architecture: architecture, os: "linux")
    config.created = created
    config.config.labels = labels
    config.config.cmd = ["sh"]
    config.diffIDs = diffIDs ?? layers.map { Digest(hashing: $0) }
    config.history =
      layers.map { _ in ImageConfig.History(created: created, createdBy: "ADD layer") } + [
        ImageConfig.History(created: created, createdBy: "CMD sh", emptyLayer: true)
      ]
    return Image(config: config.json.encoded(), layers: layers, tags: tags)
  }

  /// `docker save` of old: names as they come, the manifest first or last.
  static func docker(_ images: [Image], manifestFirst: Bool = false, more: [(String, [UInt8])] = []) -> [UInt8] {
    var files: [(String, [UInt8])] = []
    var manifest: [JSON] = []
    for image in images {
      var names: [String] = []
      for layer in image.layers {
        let name = "\(Digest(hashing: layer).hex)/layer.tar"
        names.append(name)
        if !files.contains(where: { $0.0 == name }) { files.append((name, layer)) }
      }
      files.append(("\(image.id.hex).json", image.config))
      manifest.append([
        "Config": .string("\(image.id.hex).json"), "RepoTags": JSON(orNull: image.tags), "Layers": JSON(names),
      ])
    }
    let document = ("manifest.json", JSON.array(manifest).encoded())
    return tar((manifestFirst ? [document] : []) + files + (manifestFirst ? [] : [document]) + more)
  }

  /// An OCI layout; several images become one index by platform when `asIndex`.
  static func layout(_ images: [Image], asIndex: Bool = false, name: String? = nil, lie: Bool = false) -> [UInt8] {
    var blobs: [Digest: [UInt8]] = [:]
    func blob(_ bytes: [UInt8], _ type: String) -> ContentDescriptor {
      let digest = Digest(hashing: bytes)
      blobs[digest] = bytes
      return ContentDescriptor(mediaType: type, digest: digest, size: Int64(bytes.count))
    }
    var entries: [ContentDescriptor] = []
    for image in images {
      let manifest = ImageManifest(
        config: blob(image.config, MediaType.ociConfig),
        layers: image.layers.map { layer in
          var descriptor = blob(layer, MediaType.ociLayer)
          if lie { descriptor.size += 1 }
          return descriptor
        })
      var entry = blob(manifest.json.encoded(), MediaType.ociManifest)
      entry.platform = (try? ImageConfig(decoding: image.config)).map {
        Platform(os: $0.os, architecture: $0.architecture)
      }
      if let name = name ?? image.tags?.first, !asIndex { entry.annotations = ["io.containerd.image.name": name] }
      entries.append(entry)
    }
    if asIndex {
      var top = blob(ImageIndex(manifests: entries).json.encoded(), MediaType.ociIndex)
      if let name { top.annotations = ["org.opencontainers.image.ref.name": name] }
      entries = [top]
    }
    return tar(
      [
        ("oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8)),
        ("index.json", ImageIndex(manifests: entries).json.encoded()),
      ]
        + blobs.sorted { $0.key < $1.key }.map { ("blobs/sha256/\($0.key.hex)", $0.value) })
  }
}

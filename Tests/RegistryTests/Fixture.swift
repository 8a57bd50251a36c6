import Archive
import CLinux
import ContentStore
import Events
import Images
import Kernel
import Logging
import Metadata
import OCI
import Registry
import Snapshots
import Synchronization
import Testing

/// Images of a data root of the test's own, with a client of registries; removed at the end.
final class Fixture {
  let path: String
  let images: Images
  let metadata: Metadata
  let snapshotter: OverlaySnapshotter

  init(_ configuration: Registry.Configuration = Registry.Configuration()) throws {
    var template = Array("/tmp/berth-registry-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SyscallError("mkdtemp", "/tmp", .current) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var logger = Logger(label: "test")
    logger.logLevel = .critical
    metadata = try Metadata(path: path + "/berth.db")
    snapshotter = try OverlaySnapshotter(dataRoot: path)
    images = try Images(
      metadata: metadata, content: try ContentStore(root: path + "/content"), snapshotter: snapshotter,
      events: Events(), registry: Registry(configuration: configuration, logger: logger), logger: logger)
    _ = try images.recover(snapshots: [:])
  }

  deinit {
    snapshotter.settle()
    try? metadata.close()
    try? Sys.removeTree(path)
  }

  /// Pulls, and answers what was told: `id status` or `status`.
  @discardableResult
  func pull(_ name: String, platform: Platform? = nil, credentials: Credentials? = nil) async throws -> [String] {
    let lines = Lines()
    let pull = try await images.preparePull(try Reference(name), platform: platform, credentials: credentials)
    try await pull.run { lines.add($0) }
    return lines.all
  }

  @discardableResult
  func push(_ name: String, credentials: Credentials? = nil) async throws -> [String] {
    let lines = Lines()
    try await images.preparePush(try Reference(name), credentials: credentials).run { lines.add($0) }
    return lines.all
  }

  func load(_ archive: [UInt8]) async throws { try await images.load(Bytes(archive)) { _ in } }

  /// Blobs, layers and what is half done.
  func leftovers() throws -> [String] {
    snapshotter.settle()
    var result: [String] = []
    for directory in ["content/sha256", "content/ingest", "layers", "trash"] {
      let descriptor = try Sys.open("\(path)/\(directory)", O_RDONLY | O_DIRECTORY)
      result += try Sys.entries(descriptor.raw).map { "\(directory)/\($0.name)" }
    }
    return result.sorted()
  }

  final class Lines: Sendable {
    private let list = Mutex<[String]>([])
    var all: [String] { list.withLock { $0 } }

    func add(_ progress: ImageProgress) {
      let line: String
      switch progress {
      case .status(let text), .stream(let text): line = text
      case .named(let id, let status): line = "\(id) \(status)"
      case .transfer(let id, let status, _, _): line = "\(id) \(status)"
      case .layer(let id, _, _): line = "\(id) Loading layer"
      case .pushed(let tag, let digest, _): line = "\(tag) \(digest)"
      }
      list.withLock { if $0.last != line { $0.append(line) } }
    }
  }
}

/// Bytes in memory that may go to another thread.
final class Bytes: ByteSource, Sendable {
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

/// An image made in memory.
struct Sample {
  var config: [UInt8]
  /// Plain tars, bottom first.
  var layers: [[UInt8]]
  var packed: [[UInt8]]
  var id: Digest { Digest(hashing: config) }

  /// Layers of one file each, filled with bytes that compress badly.
  init(_ sizes: [Int], seed: UInt64 = 1, architecture: String = Platform.host.architecture, variant: String? = nil)
    throws
  {
    var layers: [[UInt8]] = []
    var random = seed
    for (index, size) in sizes.enumerated() {
      var data = [UInt8](repeating: 0, count: size)
      for position in data.indices {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        data[position] = UInt8(truncatingIfNeeded: random >> 40)
      }
      var tar: [UInt8] = []
      let writer = TarWriter { tar.append(contentsOf: $0) }
      var entry = TarEntry()
      entry.name = Array("file\(index)".utf8)
      entry.mode = 0o644
      try writer.add(entry, data: data)
      try writer.finish()
      layers.append(tar)
    }
    self.layers = layers
    packed = try layers.map { layer in
      var bytes: [UInt8] = []
      try GzipWriter.compress(MemorySource(layer)) { bytes.append(contentsOf: $0) }
      return bytes
    }
    var config = ImageConfig(architecture: architecture, os: "linux")
    config.variant = variant
    config.diffIDs = layers.map { Digest(hashing: $0) }
    config.history = layers.map { _ in ImageConfig.History(created: "2024-01-01T00:00:00Z", createdBy: "ADD") }
    self.config = config.json.encoded()
  }

  /// As `docker save` of old writes it.
  func archive(tag: String) throws -> [UInt8] {
    var bytes: [UInt8] = []
    let writer = TarWriter { bytes.append(contentsOf: $0) }
    func add(_ name: String, _ data: [UInt8]) throws {
      var entry = TarEntry()
      entry.name = Array(name.utf8)
      entry.mode = 0o644
      try writer.add(entry, data: data)
    }
    for (index, layer) in layers.enumerated() { try add("\(index).tar", layer) }
    try add("config.json", config)
    let manifest: JSON = [
      ["Config": "config.json", "RepoTags": [JSON(tag)], "Layers": JSON(layers.indices.map { "\($0).tar" })]
    ]
    try add("manifest.json", manifest.encoded())
    try writer.finish()
    return bytes
  }
}

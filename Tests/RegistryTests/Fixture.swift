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
import RegistryFixture
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
    snapshotter = try OverlaySnapshotter(dataRoot: path, mounts: path + "/mounts")
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

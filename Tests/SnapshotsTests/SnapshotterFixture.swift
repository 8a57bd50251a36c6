import Archive
import CLinux
import Kernel
import OCI
import Snapshots

/// The implementations that the contract is checked of.
enum SnapshotterKind: CaseIterable, Sendable {
  case overlay
  case erofs

  func open(_ dataRoot: String) throws -> any Snapshotter {
    switch self {
    case .overlay: try OverlaySnapshotter(dataRoot: dataRoot, mounts: dataRoot + "/mounts")
    case .erofs: try OverlaySnapshotter(dataRoot: dataRoot, mounts: dataRoot + "/mounts", format: .erofs)
    }
  }

  /// Waits for what the implementation does behind.
  func settle(_ snapshotter: any Snapshotter) { (snapshotter as? OverlaySnapshotter)?.settle() }
}

/// A snapshotter in a directory of its own, removed at the end, and layers to fill it with.
final class SnapshotterFixture {
  let path: String
  let kind: SnapshotterKind
  private(set) var snapshotter: any Snapshotter

  init(_ kind: SnapshotterKind) throws {
    var template = Array("/tmp/berth-snapshots-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SyscallError("mkdtemp", "/tmp", .current) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    self.kind = kind
    snapshotter = try kind.open(path)
    _ = try snapshotter.recover(layers: [], snapshots: [:])
  }

  deinit {
    kind.settle(snapshotter)
    // What snapshots that a test left lie on.
    for entry in (try? Sys.entries(of: path + "/mounts")) ?? [] { _ = umount2("\(path)/mounts/\(entry.name)", 2) }
    try? Sys.removeTree(path)
  }

  /// As after the process was killed.
  func reopen(layers: Set<Digest>, snapshots: [String: [Digest]]) throws -> SnapshotRecovery {
    kind.settle(snapshotter)
    snapshotter = try kind.open(path)
    let recovery = try snapshotter.recover(layers: layers, snapshots: snapshots)
    kind.settle(snapshotter)
    return recovery
  }

  struct Tar {
    let bytes: [UInt8]
    var diffID: Digest { Digest(hashing: bytes) }
  }

  /// Files by name and text; a name that ends in a slash is a directory. `root`: the mode of the root, owned by user 12.
  static func tar(_ files: [(String, String)], root: UInt32? = nil) throws -> Tar {
    var bytes: [UInt8] = []
    let writer = TarWriter { bytes.append(contentsOf: $0) }
    var entry = TarEntry()
    if let root {
      entry.kind = .directory
      entry.name = Array("./".utf8)
      entry.mode = root
      entry.uid = 12
      try writer.add(entry)
      entry.uid = 0
    }
    for (name, text) in files {
      entry.name = Array(name.utf8)
      entry.kind = name.hasSuffix("/") ? .directory : .file
      entry.mode = name.hasSuffix("/") ? 0o755 : 0o644
      if entry.kind == .file { try writer.add(entry, data: Array(text.utf8)) } else { try writer.add(entry) }
    }
    try writer.finish()
    return Tar(bytes: bytes)
  }

  @discardableResult
  func add(_ tar: Tar) throws -> Digest {
    _ = try snapshotter.addLayer(tar.diffID, tar: MemorySource(tar.bytes), limits: ArchiveLimits())
    return tar.diffID
  }

  /// The files below the data root, but for what is made ahead.
  func files() throws -> [String] {
    kind.settle(snapshotter)
    var result: [String] = []
    func walk(_ directory: String) throws {
      let descriptor = try Sys.open("\(path)/\(directory)", O_RDONLY | O_DIRECTORY)
      for entry in try Sys.entries(descriptor.raw) where ![".pool", "mounts"].contains(entry.name) {
        let name = directory.isEmpty ? entry.name : "\(directory)/\(entry.name)"
        let isDirectory = try Sys.status("\(path)/\(name)", flags: AT_SYMLINK_NOFOLLOW).fileType == .directory
        if isDirectory { try walk(name) } else { result.append(name) }
      }
    }
    try walk("")
    return result.sorted()
  }
}

/// A source that must not be read.
final class Forbidden: ByteSource {
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { throw ArchiveError("it was read") }
}

public import Archive
import CLinux
import Kernel
public import OCI
import Synchronization

extension OverlaySnapshotter {
  public func addLayer(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> Layer {
    if let existing = revive(diffID) { return existing }
    let staging = newStagingPath()
    do {
      return try make(diffID, tar, limits, staging)
    } catch {
      // The tree is ours alone and has no name that means anything yet.
      try trash.discard(staging)
      throw error
    }
  }

  /// A layer that only waits for its removal is taken back.
  private func revive(_ diffID: Digest) -> Layer? {
    state.withLock { state in
      state.layers[diffID]?.isCondemned = false
      return state.layers[diffID]?.layer
    }
  }

  private func make(_ diffID: Digest, _ tar: any ByteSource, _ limits: ArchiveLimits, _ staging: String) throws -> Layer
  {
    let made =
      switch format {
      case .directory: try unpack(diffID, tar, limits, staging)
      case .erofs: try indexing(diffID, tar, limits, staging)
      }
    do throws(SyscallError) {
      try Sys.rename(staging, to: layerPath(diffID))
    } catch {
      // Somebody else was faster with the same layer.
      guard error.errno == .notEmpty || error.errno == .fileExists else { throw error }
      try trash.discard(staging)
    }
    try Sys.syncDirectory(layersPath)
    state.withLock { state in
      if state.layers[diffID] == nil { state.layers[diffID] = made }
      state.layers[diffID]?.isCondemned = false
    }
    return made.layer
  }

  func unpack(_ diffID: Digest, _ tar: any ByteSource, _ limits: ArchiveLimits, _ staging: String) throws
    -> LayerState
  {
    try extract(diffID, tar, limits, staging) { root, result in
      try write(LayerRecord(size: result.size, hasRoot: result.hasRoot), in: staging)
      // One sync of the file system for all of the layer's files, before anything names it.
      try Sys.syncfs(root)
      return LayerState(
        layer: Layer(diffID: diffID, size: result.size), root: result.hasRoot ? try rootAttributes(root) : nil)
    }
  }

  /// The tree of a tar in `<staging>/fs`, which is made; nothing of it is durable.
  func extract<T>(
    _ diffID: Digest, _ tar: any ByteSource, _ limits: ArchiveLimits, _ staging: String,
    _ body: (_ root: Int32, _ result: LayerUnpacker.Result) throws -> T
  ) throws -> T {
    try Sys.mkdir(staging, mode: 0o711)
    try Sys.mkdir(staging + "/fs", mode: 0o755)
    let root = try Sys.open(staging + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    try Sys.fchmod(root.raw, 0o755)
    // Inflating and hashing go on beside the writing of files.
    let hashing = HashingSource(tar)
    let ahead = try ReadAhead(hashing)
    let result = try LayerUnpacker(root: root.raw, limits: limits).unpack(TarReader(ahead, limits: limits))
    try ahead.drain()
    guard hashing.digest == diffID else { throw LayerMismatch(expected: diffID, actual: hashing.digest) }
    return try body(root.raw, result)
  }

  func rootAttributes(_ fd: Int32) throws(SyscallError) -> RootAttributes {
    let status = try Sys.fstat(fd)
    return RootAttributes(mode: status.st_mode & 0o7777, uid: status.st_uid, gid: status.st_gid)
  }

  func write(_ record: LayerRecord, in directory: String) throws(SyscallError) {
    let file = try Sys.open(directory + "/layer.json", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
    try Sys.writeAll(file.raw, record.json.encoded())
  }

  /// A layer of the disk, as it was committed; `nil` when it isn't one.
  func readLayer(_ diffID: Digest) -> LayerState? {
    if Sys.exists(layerPath(diffID) + "/index") { return readIndexed(diffID) }
    guard let bytes = try? Sys.readFile(layerPath(diffID) + "/layer.json", limit: 64 << 10),
      let record = try? LayerRecord(decoding: bytes),
      let root = try? Sys.open(layerPath(diffID) + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    else { return nil }
    return LayerState(
      layer: Layer(diffID: diffID, size: record.size), root: record.hasRoot ? try? rootAttributes(root.raw) : nil)
  }
}

/// `layer.json`
struct LayerRecord {
  var size: Int64
  var hasRoot: Bool

  init(size: Int64, hasRoot: Bool) {
    self.size = size
    self.hasRoot = hasRoot
  }

  init(decoding bytes: [UInt8]) throws(JSONError) {
    let fields = try JSONFields(JSON.parse(bytes))
    size = try fields.required("size", try fields.int("size"))
    hasRoot = try fields.bool("hasRoot") ?? false
  }

  var json: JSON { ["size": .int(size), "hasRoot": .bool(hasRoot)] }
}

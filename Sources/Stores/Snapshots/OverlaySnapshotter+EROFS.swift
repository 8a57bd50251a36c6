import Archive
import CLinux
import EROFS
import Kernel
import OCI
import Synchronization

extension OverlaySnapshotter {
  /// Writes the tar as it comes and an index over it. Inflating and hashing go on beside.
  func indexing(_ diffID: Digest, _ tar: any ByteSource, _ limits: ArchiveLimits, _ staging: String) throws
    -> LayerState
  {
    try Sys.mkdir(staging, mode: 0o700)
    let file = try Sys.open(staging + "/tar", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o400)
    var extra: SharedDescriptor?
    let hashing = HashingSource(tar)
    let ahead = try ReadAhead(hashing)
    let layer = try IndexedLayer(ahead, tar: file.raw, limits: limits) {
      let made = SharedDescriptor(
        try Sys.open(staging + "/extra", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o400))
      extra = made
      return made
    }
    guard hashing.digest == diffID else { throw LayerMismatch(expected: diffID, actual: hashing.digest) }
    let record = IndexRecord(
      size: layer.size,
      root: layer.hasRoot ? RootAttributes(mode: layer.root.mode, uid: layer.root.uid, gid: layer.root.gid) : nil,
      files: [hashing.count] + (try extra.map { [Int64(try Sys.fstat($0.raw).st_size)] } ?? []))
    let index = try Sys.open(staging + "/index", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o400)
    try Sys.writeAll(index.raw, try layer.tree.index(devices: layer.devices, record: record.json.encoded()))
    // The tar's bytes are on their way since they came. The first sync's commit carries most of the others' metadata along.
    try Sys.fdatasync(file.raw)
    if let extra { try Sys.fdatasync(extra.raw) }
    try Sys.fdatasync(index.raw)
    try Sys.syncDirectory(staging)
    return LayerState(
      layer: Layer(diffID: diffID, size: layer.size), root: record.root, format: .erofs, devices: record.files.count)
  }

  /// A layer of the disk that has an index; `nil` when a file of it is missing or cut short.
  func readIndexed(_ diffID: Digest) -> LayerState? {
    let directory = layerPath(diffID)
    guard let bytes = try? Index.record(of: directory + "/index"), let record = try? IndexRecord(decoding: bytes) else {
      return nil
    }
    for (name, size) in zip(["tar", "extra"], record.files) {
      guard let status = try? Sys.status("\(directory)/\(name)", flags: AT_SYMLINK_NOFOLLOW),
        status.fileType == .regular, Int64(status.st_size) == size
      else { return nil }
    }
    return LayerState(
      layer: Layer(diffID: diffID, size: record.size), root: record.root, format: .erofs, devices: record.files.count)
  }

  func isIndexed(_ diffID: Digest) -> Bool { state.withLock { $0.layers[diffID]?.format == .erofs } }

  /// What a layer is on the disk: its tree, or its index.
  func treePath(_ diffID: Digest) -> String { layerPath(diffID) + (isIndexed(diffID) ? "/index" : "/fs") }

  /// The same tar makes the same bytes: they are made once more and compared.
  func checkIndexed(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> [String] {
    let staging = newStagingPath()
    var problems: [String] = []
    do {
      let fresh = try indexing(diffID, tar, limits, staging)
      for name in ["index", "tar", "extra"].prefix(1 + fresh.devices) {
        guard Sys.exists("\(layerPath(diffID))/\(name)") else {
          problems.append("its \(name) is missing")
          continue
        }
        if try Self.digest("\(layerPath(diffID))/\(name)") != Self.digest("\(staging)/\(name)") {
          problems.append("its \(name) is damaged")
        }
      }
    } catch {
      try trash.discard(staging)
      throw error
    }
    try trash.discard(staging)
    return problems
  }

  private static func digest(_ path: String) throws -> Digest {
    let hashing = HashingSource(DescriptorSource(try Sys.open(path, O_RDONLY | O_NOFOLLOW)))
    try hashing.drain()
    return hashing.digest
  }

  /// What has the old files mounted keeps them until its end.
  func replaceIndexed(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> Layer {
    let staging = newStagingPath()
    let fresh: LayerState
    do {
      fresh = try indexing(diffID, tar, limits, staging)
      try trash.discard(layerPath(diffID))
      try Sys.rename(staging, to: layerPath(diffID))
      try Sys.syncDirectory(layersPath)
    } catch {
      try trash.discard(staging)
      throw error
    }
    mounts.forget(layer: layerPath(diffID))
    state.withLock { state in
      var replaced = fresh
      replaced.users = state.layers[diffID]?.users ?? 0
      state.layers[diffID] = replaced
    }
    return fresh.layer
  }

  // MARK: what lies below a snapshot

  /// A tree of an overlay's lower ones.
  enum Lower {
    case directory(String)
    case mount(ImageMounts.Chain)
  }

  /// Topmost first. An image whose layers all have indexes is one mount.
  func lowers(_ layers: [Digest], _ state: borrowing State) -> [Lower] {
    var indexed: [(diffID: Digest, part: ImageMounts.Part)] = []
    for layer in layers {
      guard let found = state.layers[layer], found.format == .erofs else { continue }
      indexed.append((layer, ImageMounts.Part(directory: layerPath(layer), devices: found.devices)))
    }
    if !indexed.isEmpty, indexed.count == layers.count { return [.mount(ImageMounts.Chain(indexed))] }
    let parts = Dictionary(indexed.map { ($0.diffID, $0.part) }) { first, _ in first }
    return layers.reversed().map { layer in
      parts[layer].map { .mount(ImageMounts.Chain([(layer, $0)])) } ?? .directory(layerPath(layer) + "/fs")
    }
  }

  static func chains(_ lowers: [Lower]) -> [ImageMounts.Chain] {
    lowers.compactMap { if case .mount(let chain) = $0 { chain } else { nil } }
  }

  /// The directories for the overlay, uppermost first, mounted where they need it. The caller holds the layers.
  func lowerPaths(_ layers: [Digest]) throws -> [String] {
    let tops = try state.withLock { lowers(layers, $0) }.map { lower in
      switch lower {
      case .directory(let path): path
      case .mount(let chain): try mounts.mounted(chain)
      }
    }
    return tops.isEmpty || mountPoints.isEmpty ? tops : tops + [pointsPath]
  }
}

/// What the first bytes of an index tell.
struct IndexRecord {
  var size: Int64
  var root: OverlaySnapshotter.RootAttributes?
  /// Bytes of `tar`, and of `extra` when there is one.
  var files: [Int64]

  init(size: Int64, root: OverlaySnapshotter.RootAttributes?, files: [Int64]) {
    self.size = size
    self.root = root
    self.files = files
  }

  init(decoding bytes: [UInt8]) throws {
    let fields = try JSONFields(JSON.parse(bytes))
    size = try fields.required("size", try fields.int("size"))
    files = [try fields.required("tar", try fields.int("tar"))]
    if let extra = try fields.int("extra") { files.append(extra) }
    if let mode = try fields.int("mode"), let uid = try fields.int("uid"), let gid = try fields.int("gid") {
      guard let mode = UInt32(exactly: mode), let uid = UInt32(exactly: uid), let gid = UInt32(exactly: gid) else {
        throw ArchiveError("the record of an index is damaged")
      }
      root = OverlaySnapshotter.RootAttributes(mode: mode, uid: uid, gid: gid)
    }
  }

  var json: JSON {
    var members: [(String, JSON)] = [("size", .int(size)), ("tar", .int(files[0]))]
    if files.count > 1 { members.append(("extra", .int(files[1]))) }
    if let root {
      members += [("mode", .int(Int64(root.mode))), ("uid", .int(Int64(root.uid))), ("gid", .int(Int64(root.gid)))]
    }
    return .object(JSONObject(members))
  }
}

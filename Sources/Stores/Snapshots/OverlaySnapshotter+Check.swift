public import Archive
import CLinux
import Kernel
public import OCI
import Synchronization

extension OverlaySnapshotter {
  /// Unpacks the tar once more beside the layer and compares the two trees: bytes, owners, modes, times, attributes, links.
  public func check(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> [String] {
    guard layer(diffID) != nil else { return ["it is missing"] }
    if isIndexed(diffID) { return try checkIndexed(diffID, tar: tar, limits: limits) }
    guard Sys.exists(layerPath(diffID) + "/fs") else { return ["it is missing"] }
    return try withFreshTree(diffID, tar, limits) { staging, _ in
      let fresh = try Sys.open(staging + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      let kept = try Sys.open(layerPath(diffID) + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      return try TreeComparison.differences(fresh.raw, kept.raw)
    }
  }

  /// The new tree takes the old one's name; what has the old one mounted keeps it until its end.
  public func replaceLayer(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> Layer {
    dropAhead { $0.layers.contains(diffID) }
    if isIndexed(diffID) { return try replaceIndexed(diffID, tar: tar, limits: limits) }
    return try withFreshTree(diffID, tar, limits) { staging, result in
      let layer = Layer(diffID: diffID, size: result.size)
      try write(LayerRecord(size: result.size, hasRoot: result.hasRoot), in: staging)
      let root = try Sys.open(staging + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      try Sys.syncfs(root.raw)
      try trash.discard(layerPath(diffID))
      try Sys.rename(staging, to: layerPath(diffID))
      try Sys.syncDirectory(layersPath)
      let attributes = result.hasRoot ? try rootAttributes(root.raw) : nil
      state.withLock { state in
        let users = state.layers[diffID]?.users ?? 0
        state.layers[diffID] = LayerState(layer: layer, root: attributes, users: users)
      }
      return layer
    }
  }

  /// A tree of the tar that nobody else sees, thrown away when `body` leaves it there.
  private func withFreshTree<T>(
    _ diffID: Digest, _ tar: any ByteSource, _ limits: ArchiveLimits,
    _ body: (_ staging: String, _ result: LayerUnpacker.Result) throws -> T
  ) throws -> T {
    let staging = newStagingPath()
    let result: T
    do {
      try Sys.mkdir(staging, mode: 0o711)
      try Sys.mkdir(staging + "/fs", mode: 0o755)
      let root = try Sys.open(staging + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      try Sys.fchmod(root.raw, 0o755)
      let hashing = HashingSource(tar)
      let ahead = try ReadAhead(hashing)
      let unpacked = try LayerUnpacker(root: root.raw, limits: limits).unpack(TarReader(ahead, limits: limits))
      try ahead.drain()
      guard hashing.digest == diffID else { throw LayerMismatch(expected: diffID, actual: hashing.digest) }
      result = try body(staging, unpacked)
    } catch {
      try trash.discard(staging)
      throw error
    }
    try trash.discard(staging)
    return result
  }

  public func check(snapshot id: String) -> String? {
    guard let layers = state.withLock({ $0.snapshots[id] }) else { return "it is missing" }
    for name in ["upper", "work"] where !Sys.exists("\(snapshotPath(id))/\(name)") {
      return "its directory \"\(name)\" is missing"
    }
    for layer in layers where !Sys.exists(treePath(layer)) { return "its layer \(layer) is missing" }
    return nil
  }

  public func graphData(layers: [Digest]) -> [String: String] {
    guard let top = layers.last else { return [:] }
    var data = ["UpperDir": treePath(top)]
    let lower = layers.dropLast().reversed().map { treePath($0) }
    if !lower.isEmpty { data["LowerDir"] = lower.joined(separator: ":") }
    return data
  }
}

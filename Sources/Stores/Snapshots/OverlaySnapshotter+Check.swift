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
    return try inStaging { staging in
      try extract(diffID, tar, limits, staging) { fresh, _ in
        let kept = try Sys.open(layerPath(diffID) + "/fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        return try TreeComparison.differences(fresh, kept.raw)
      }
    }
  }

  /// The new tree takes the old one's name; what has the old one mounted keeps it until its end.
  public func replaceLayer(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> Layer {
    dropAhead { $0.layers.contains(diffID) }
    if isIndexed(diffID) { return try replaceIndexed(diffID, tar: tar, limits: limits) }
    return try inStaging { staging in
      let made = try unpack(diffID, tar, limits, staging)
      try trash.discard(layerPath(diffID))
      try Sys.rename(staging, to: layerPath(diffID))
      try Sys.syncDirectory(layersPath)
      state.withLock { state in
        let users = state.layers[diffID]?.users ?? 0
        state.layers[diffID] = made
        state.layers[diffID]?.users = users
      }
      return made.layer
    }
  }

  /// Somewhere that nobody else sees; what `body` leaves there is thrown away.
  private func inStaging<T>(_ body: (_ staging: String) throws -> T) throws -> T {
    let staging = newStagingPath()
    let result = Result { try body(staging) }
    try trash.discard(staging)
    return try result.get()
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

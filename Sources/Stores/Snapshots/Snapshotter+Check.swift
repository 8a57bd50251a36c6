public import Archive
public import OCI

/// What a snapshotter answers that has nothing to say of its own.
extension Snapshotter {
  public func check(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> [String] {
    layer(diffID) == nil ? ["it is missing"] : []
  }

  public func replaceLayer(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> Layer {
    removeLayer(diffID)
    return try addLayer(diffID, tar: tar, limits: limits)
  }

  public func check(snapshot id: String) -> String? { nil }

  public func graphData(layers: [Digest]) -> [String: String] { [:] }
}

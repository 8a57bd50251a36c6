import Archive
public import OCI
import Snapshots

/// An image made in memory.
public struct Sample: Sendable {
  public var config: [UInt8]
  /// Plain tars, bottom first.
  public var layers: [[UInt8]]
  public var packed: [[UInt8]]
  public var id: Digest { Digest(hashing: config) }

  /// Layers of one file each, filled with bytes that compress badly.
  public init(
    _ sizes: [Int], seed: UInt64 = 1, architecture: String = Platform.host.architecture, variant: String? = nil
  )
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
  public func archive(tag: String) throws -> [UInt8] {
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

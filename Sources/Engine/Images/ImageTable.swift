import OCI

/// All images, as the database has them: an immutable value for whoever reads, a draft for whoever changes.
struct ImageTable: Sendable {
  struct Entry: Sendable {
    var config: ImageConfig
    var added: Timestamp
    var lastTagged: Timestamp?
    var parent: Digest?
    /// As registries have it, the newest last: what it was pulled or pushed as, kept so that a push brings the same digest.
    var manifests: [ContentDescriptor] = []
    /// The indexes of several platforms that it came in, the newest last.
    var indexes: [ContentDescriptor] = []
  }

  /// What is known of a layer besides its tree.
  struct LayerEntry: Sendable, Equatable {
    /// Bytes of its files.
    var size: Int64
    /// Its tar in the content store, compressed as it came; nil when that isn't kept.
    var blob: ContentDescriptor?
  }

  private(set) var entries: [Digest: Entry] = [:]
  /// Canonical names, tagged or with a digest.
  private(set) var names: [Reference: Digest] = [:]
  var layers: [Digest: LayerEntry] = [:]
  /// Layers whose tree the disk lost.
  var missingLayers: Set<Digest> = []
  /// Built from the above for those who read.
  private(set) var images: [Digest: Image] = [:]

  mutating func put(_ id: Digest, _ entry: Entry) {
    entries[id] = entry
    rebuild(id)
  }

  mutating func setName(_ name: Reference, to id: Digest) {
    let previous = names.updateValue(id, forKey: name)
    if let previous, previous != id { rebuild(previous) }
    rebuild(id)
  }

  mutating func removeName(_ name: Reference) {
    if let id = names.removeValue(forKey: name) { rebuild(id) }
  }

  mutating func remove(_ id: Digest) {
    entries[id] = nil
    images[id] = nil
    for name in names(of: id) { names[name] = nil }
  }

  mutating func setLastTagged(_ id: Digest, _ time: Timestamp) {
    entries[id]?.lastTagged = time
    rebuild(id)
  }

  mutating func rebuildAll() { for id in entries.keys { rebuild(id) } }

  /// Sorted as Docker sorts them: by their text.
  func names(of id: Digest) -> [Reference] {
    names.compactMap { $0.value == id ? $0.key : nil }.sorted { $0.description < $1.description }
  }

  func children(of id: Digest) -> [Digest] { entries.compactMap { $0.value.parent == id ? $0.key : nil } }

  /// How many images have each layer.
  func layerUsers() -> [Digest: Int] {
    var users: [Digest: Int] = [:]
    for entry in entries.values { for layer in Set(entry.config.diffIDs) { users[layer, default: 0] += 1 } }
    return users
  }

  /// Digests of the blobs that somebody needs.
  func ownedBlobs() -> Set<Digest> {
    var owned = Set(entries.keys).union(layers.values.compactMap { $0.blob?.digest })
    for entry in entries.values { owned.formUnion((entry.manifests + entry.indexes).map(\.digest)) }
    return owned
  }

  private mutating func rebuild(_ id: Digest) {
    guard let entry = entries[id] else { return }
    let names = names(of: id)
    var size: Int64 = 0
    var content = entry.manifests.last?.size ?? 0
    for layer in entry.config.diffIDs {
      let (sum, overflow) = size.addingReportingOverflow(layers[layer]?.size ?? 0)
      size = overflow ? Int64.max : sum
      content = content.addingReportingOverflow(layers[layer]?.blob?.size ?? 0).partialValue
    }
    images[id] = Image(
      id: id, config: entry.config, references: names.filter { $0.digest == nil },
      digests: names.filter { $0.digest != nil },
      size: size, lastTagged: entry.lastTagged, added: entry.added, parent: entry.parent,
      missingLayers: missingLayers.intersection(entry.config.diffIDs), manifest: entry.manifests.last,
      contentSize: content)
  }
}

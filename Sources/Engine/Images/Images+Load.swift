public import Archive
import ContentStore
import Dispatch
import Errdefs
import Kernel
import Logging
import Metadata
public import OCI
import Registry
import Snapshots
import Synchronization

extension Images {
  /// `docker load`: a docker-archive or an OCI layout, plain, gzip or zstd, read once from start to end.
  /// `platform`: which of several to take; nil: this host's, else the first. Nothing is kept of an archive that is refused; of several images
  /// those before the one that failed are.
  public func load(
    _ source: any ByteSource & Sendable, platform: Platform? = nil, limits: ArchiveLimits = ArchiveLimits(),
    progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws {
    try await onThread(work) { [self] in
      try refusing("load") {
        let archive = try ImageArchive(reading: source, into: content, limits: limits)
        try registry.admitArchive(archive.transport)
        for image in try archive.images(platform: platform) { try store(image, limits: limits, progress) }
      }
    }
  }

  /// Turns what an archive or the disk threw into the engine's own error.
  func refusing<T>(_ operation: String, _ body: () throws -> T) throws -> T {
    do { return try body() } catch let error as EngineError { throw error } catch let error as ArchiveError {
      throw EngineError.invalidParameter("\(operation): \(error)", cause: error)
    } catch let error as JSONError {
      throw EngineError.invalidParameter("\(operation): invalid archive: \(error)", cause: error)
    } catch { throw EngineError.system("\(operation): \(error)", cause: error) }
  }

  private func store(
    _ image: ArchivedImage, limits: ArchiveLimits, _ progress: @escaping @Sendable (ImageProgress) -> Void
  ) throws {
    for (reference, previous) in try add(image, limits: limits, progress) {
      progress(
        .stream(
          "The image \(reference.familiar) already exists, renaming the old one with ID \(previous) to empty string\n"))
    }
    for reference in image.references { progress(.stream("Loaded image: \(reference.familiar)\n")) }
    if image.references.isEmpty { progress(.stream("Loaded image ID: \(image.id)\n")) }
    tell("load", image.id.description, name: image.id.description, labels: image.config.config.labels ?? [:])
  }

  /// Layers and blobs first, then the one transaction that makes the image exist. Answers the names that other images had.
  @discardableResult
  func add(
    _ image: ArchivedImage, limits: ArchiveLimits, _ progress: @escaping @Sendable (ImageProgress) -> Void
  ) throws -> [(Reference, Digest)] {
    let pin = Pin(self)
    defer { pin.release() }
    pin.hold(image.id)
    var layers: [Digest: ImageTable.LayerEntry] = [:]
    for (index, layer) in image.layers.enumerated() {
      pin.hold(layer.diffID)
      pin.hold(layer.digest)
      let tree: Layer
      do { tree = try addLayer(layer, limits: limits, progress) } catch let lie as LayerMismatch {
        throw EngineError.invalidParameter(
          "invalid diffID for layer \(index): expected \"\(lie.expected)\", got \"\(lie.actual)\"", cause: lie)
      }
      layers[layer.diffID] = ImageTable.LayerEntry(size: tree.size, blob: try keep(layer))
    }
    try content.write(image.document)
    return try commit(image, layers)
  }

  private func addLayer(
    _ layer: ArchivedLayer, limits: ArchiveLimits, _ progress: @escaping @Sendable (ImageProgress) -> Void
  ) throws -> Layer {
    if let existing = snapshotter.layer(layer.diffID) { return existing }
    let id = layer.diffID.short
    progress(.layer(id: id, current: 0, total: layer.size))
    let bytes: any ByteSource =
      switch layer.body {
      case .memory(let bytes, _): MemorySource(bytes)
      case .ingest(let ingest): FileRangeSource(ingest.descriptor, length: ingest.size)
      case .link: throw ArchiveError(member: layer.member, "it is a link")
      }
    let counted = ProgressSource(bytes, step: max(512 << 10, layer.size / 100)) { count in
      progress(.layer(id: id, current: count, total: layer.size))
    }
    do {
      let added = try snapshotter.addLayer(layer.diffID, tar: try Decompressor(counted, limits: limits), limits: limits)
      progress(.layer(id: id, current: layer.size, total: layer.size))
      return added
    } catch let error as ArchiveError {
      throw ArchiveError(
        member: layer.member, error.member.isEmpty ? error.reason : "its member \"\(error.member)\": \(error.reason)")
    }
  }

  /// The layer's tar as it came, for `save` and `push`.
  private func keep(_ layer: ArchivedLayer) throws -> ContentDescriptor {
    let magic: [UInt8]
    switch layer.body {
    case .memory(let bytes, _):
      magic = Array(bytes.prefix(4))
      try content.write(bytes)
    case .ingest(let ingest):
      magic = try FileRangeSource(ingest.descriptor, length: min(4, ingest.size)).readAll(limit: 4)
      // Two images of one archive can share a member: it is committed once.
      if !content.contains(layer.digest) { try ingest.commit(expecting: layer.digest, size: layer.size) }
    case .link: throw ArchiveError(member: layer.member, "it is a link")
    }
    let suffix =
      switch magic.withUnsafeBytes({ Decompressor.detect($0) }) {
      case .plain: ""
      case .gzip: "+gzip"
      case .zstd: "+zstd"
      }
    return ContentDescriptor(mediaType: MediaType.ociLayer + suffix, digest: layer.digest, size: layer.size)
  }

  /// One transaction makes the image exist. Answers the names that other images had.
  private func commit(
    _ image: ArchivedImage, _ layers: [Digest: ImageTable.LayerEntry]
  ) throws -> [(Reference, Digest)] {
    try changes.sync {
      try change { table, transaction in
        try Self.insert(image.id, image.config, layers, parent: nil, &table, transaction)
        var renamed: [(Reference, Digest)] = []
        for reference in image.references {
          if let previous = table.names[reference], previous != image.id { renamed.append((reference, previous)) }
          table.setName(reference, to: image.id)
          try transaction.setImageName(reference.description, image: image.id.description)
        }
        return renamed
      }
    }
  }

  /// The rows of an image and its layers. An image that is there already stays as it is, mended if it was damaged.
  static func insert(
    _ id: Digest, _ config: ImageConfig, _ layers: [Digest: ImageTable.LayerEntry], parent: Digest?,
    manifest: ContentDescriptor? = nil, index: ContentDescriptor? = nil,
    _ table: inout ImageTable, _ transaction: MetadataTransaction
  ) throws {
    for (diffID, layer) in layers {
      table.missingLayers.remove(diffID)
      // The blob that is there first stays: another compression of the same layer needs no second copy.
      guard table.layers[diffID]?.blob == nil else { continue }
      table.layers[diffID] = layer
      try transaction.putLayer(diffID.description, record: layer.record)
    }
    var entry = table.entries[id] ?? ImageTable.Entry(config: config, added: now(), lastTagged: nil, parent: parent)
    if let manifest {
      entry.manifests = entry.manifests.filter { $0.digest != manifest.digest }.suffix(7) + [manifest]
    }
    if let index { entry.indexes = entry.indexes.filter { $0.digest != index.digest }.suffix(7) + [index] }
    table.put(id, entry)
    try transaction.putImage(id.description, record: entry.record)
    table.rebuildAll()
  }
}

/// Tells how far it is, every `step` bytes.
final class ProgressSource: ByteSource {
  private let source: any ByteSource
  private let step: Int64
  private let tell: (Int64) -> Void
  private var count: Int64 = 0
  private var told: Int64 = 0

  init(_ source: any ByteSource, step: Int64, tell: @escaping (Int64) -> Void) {
    self.source = source
    self.step = step
    self.tell = tell
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let read = try source.read(into: buffer)
    count += Int64(read)
    if count - told >= step {
      told = count
      tell(count)
    }
    return read
  }
}

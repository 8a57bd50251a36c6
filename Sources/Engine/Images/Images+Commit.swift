import Archive
import ContentStore
import Dispatch
import Errdefs
import Metadata
public import OCI
import Snapshots

/// An image to be made of another and one more layer.
public struct ImageCommit: Sendable {
  public var parent: Digest
  /// Before `changes`.
  public var config: ImageConfig.Defaults
  /// What made the layer, for the history.
  public var command: [String]
  /// Empty for an image without a name.
  public var repository: String
  public var tag: String
  public var author: String
  public var comment: String
  public var changes: [String]

  public init(
    parent: Digest, config: ImageConfig.Defaults, command: [String], repository: String, tag: String, author: String,
    comment: String, changes: [String]
  ) {
    self.parent = parent
    self.config = config
    self.command = command
    self.repository = repository
    self.tag = tag
    self.author = author
    self.comment = comment
    self.changes = changes
  }
}

extension Images {
  /// `docker commit`. `layer` writes the layer's tar and answers whether anything is in it: without, the image is its parent's layers with
  /// another configuration. Throws `No such image: sha256:…` for a parent that was removed.
  public func commit(
    _ commit: ImageCommit,
    layer: @escaping @Sendable (_ write: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void) throws -> Bool
  ) async throws -> (id: Digest, reference: Reference?) {
    let reference =
      commit.repository.isEmpty ? nil : try Self.reference(repository: commit.repository, tag: commit.tag)
    var defaults = commit.config
    try ImageChanges.apply(commit.changes, to: &defaults)
    let settled = defaults
    return try await onThread(work) { [self] in
      try refusing("commit") {
        let pin = Pin(self)
        defer { pin.release() }
        let parent = try resolve(commit.parent.description)
        for digest in parent.layers { pin.hold(digest) }
        let ingest = try content.ingest()
        let sink = IngestSink(ingest)
        let hasLayer = try layer { try sink.write($0) }
        let created = Self.now().description
        var config = parent.config
        config.config = settled
        config.created = created
        config.author = commit.author.isEmpty ? nil : commit.author
        config.comment = commit.comment.isEmpty ? nil : commit.comment
        config.history.append(
          ImageConfig.History(
            created: created, createdBy: commit.command.joined(separator: " "), author: config.author,
            comment: config.comment, emptyLayer: !hasLayer))
        var layers: [Digest: ImageTable.LayerEntry] = [:]
        if hasLayer {
          let diffID = ingest.finish()
          pin.hold(diffID)
          config.diffIDs.append(diffID)
          layers[diffID] = try add(ingest, diffID)
        }
        let document = config.json.encoded()
        let id = Digest(hashing: document)
        pin.hold(id)
        try content.write(document)
        try name(id, config, layers, parent: parent.id, reference)
        if let reference { tell("tag", id.description, name: reference.familiar, labels: settled.labels ?? [:]) }
        return (id, reference)
      }
    }
  }

  /// The layer's tree and its tar.
  private func add(_ ingest: Ingest, _ diffID: Digest) throws -> ImageTable.LayerEntry {
    let tree = try snapshotter.addLayer(
      diffID, tar: FileRangeSource(ingest.descriptor, length: ingest.size), limits: ArchiveLimits())
    if !content.contains(diffID) { try ingest.commit(expecting: diffID) }
    return ImageTable.LayerEntry(
      size: tree.size, blob: ContentDescriptor(mediaType: MediaType.ociLayer, digest: diffID, size: ingest.size))
  }

  /// One transaction makes the image exist.
  private func name(
    _ id: Digest, _ config: ImageConfig, _ layers: [Digest: ImageTable.LayerEntry], parent: Digest,
    _ reference: Reference?
  ) throws {
    try changes.sync {
      try change { table, transaction in
        try Self.insert(id, config, layers, parent: parent, &table, transaction)
        guard let reference else { return }
        table.setName(reference, to: id)
        try transaction.setImageName(reference.description, image: id.description)
      }
    }
  }
}

/// An ingest for a writer that may be on any thread, one at a time.
private final class IngestSink: @unchecked Sendable {  // SAFETY: `commit` calls the layer's writer and waits for it
  private let ingest: Ingest
  init(_ ingest: Ingest) { self.ingest = ingest }
  func write(_ bytes: UnsafeRawBufferPointer) throws { try ingest.write(bytes) }
}

import Archive
import ContentStore
import Dispatch
import Errdefs
import Logging
import Metadata
import OCI
public import Registry
import Snapshots
import Synchronization

/// Something that a check of the store found wrong.
public struct StoreFault: Sendable, Equatable {
  public enum Kind: String, Sendable {
    /// A file of the content store isn't what its name says, or isn't there.
    case blob
    /// A layer's tree isn't what its tar says, or isn't there.
    case layer
    /// A record of the database names what can't be read.
    case record
    /// A container's own tree.
    case snapshot
    /// The database's file itself.
    case database
    /// A blob that nothing names.
    case orphan
  }

  public let kind: Kind
  /// A digest, a container's id, a table's name.
  public let id: String
  /// Lower case, without its object: `it hashes to sha256:…`.
  public let problem: String
  /// Familiar names, or ids, of the images that need it.
  public let images: [String]
  /// How it was mended; nil: it wasn't.
  public var repair: String?
  /// Why it wasn't, when that was tried.
  public var refusal: String?
}

/// What a check looked at.
public struct StoreCheck: Sendable {
  public var blobs = 0
  public var layers = 0
  public var images = 0
  public var snapshots = 0
  public var faults: [StoreFault] = []
  public var isClean: Bool { faults.allSatisfy { $0.repair != nil } }
}

extension Images {
  /// Reads everything that images are made of once more and compares it with what it should be: blobs with their digests, trees of layers with
  /// their tars, records with what they name. Works beside everything else; what it looks at is pinned meanwhile. `repair`: what is
  /// damaged is put into quarantine and fetched again, by the digests that registries know the images by.
  /// `tell` hears of each thing before it is read.
  public func check(
    repair: Bool, credentials: Credentials? = nil, tell: @escaping @Sendable (_ what: String, _ id: String) -> Void,
    found: @escaping @Sendable (StoreFault) -> Void
  ) async throws -> StoreCheck {
    var check = StoreCheck()
    func note(_ fault: StoreFault) {
      check.faults.append(fault)
      found(fault)
    }
    tell("database", "")
    for problem in try await onThread(work, { [metadata] in try metadata.check() }) {
      note(StoreFault(kind: .database, id: "berth.db", problem: problem, images: []))
    }
    for (table, key, problem) in try await onThread(work, { [self] in try faultyRecords() }) {
      note(StoreFault(kind: .record, id: "\(table) \(key)", problem: problem, images: []))
    }
    let before = table.withLock { $0 }
    check.images = before.entries.count
    // Manifests first: they say how configurations are fetched.
    let manifests = Set(before.entries.values.flatMap { ($0.manifests + $0.indexes).map(\.digest) })
    let others = before.ownedBlobs().union(unreadable.withLock { $0 }).subtracting(manifests)
    for digest in manifests.sorted() + others.sorted() {
      try Task.checkCancellation()
      tell("blob", "\(digest)")
      if let fault = try await pinning([digest], { _ in try await checkBlob(digest, repair, credentials) }) {
        note(fault)
      }
      check.blobs += 1
    }
    for diffID in before.layers.keys.sorted() {
      try Task.checkCancellation()
      tell("layer", "\(diffID)")
      let blob = before.layers[diffID]?.blob?.digest
      let pinned = [diffID] + (blob.map { [$0] } ?? [])
      if let fault = try await pinning(pinned, { _ in try await checkLayer(diffID, repair) }) { note(fault) }
      check.layers += 1
    }
    for use in imageUses() {
      tell("snapshot", use.containerID)
      let problem = try await onThread(work) { [snapshotter] in snapshotter.check(snapshot: use.containerID) }
      check.snapshots += 1
      // One that is made or removed in this moment isn't damaged.
      guard let problem, imageUses().contains(where: { $0.containerID == use.containerID }) else { continue }
      note(StoreFault(kind: .snapshot, id: use.containerID, problem: problem, images: [use.reference]))
    }
    for fault in try await onThread(work, { [self] in try orphans(repair) }) { note(fault) }
    return check
  }

  /// Familiar names, or ids, of images for which `needs` holds.
  private func users(_ needs: (Digest, ImageTable.Entry) -> Bool) -> [String] {
    let table = table.withLock { $0 }
    return table.entries.filter { needs($0.key, $0.value) }.flatMap { id, _ in
      let names = table.images[id]?.repoTags ?? []
      return names.isEmpty ? [id.description] : names
    }.sorted()
  }

  /// Rows that can't be read or name what isn't there. Blocks.
  private func faultyRecords() throws -> [(table: String, key: String, problem: String)] {
    // Between two changes: the rows and the table are of one moment.
    let (images, names, layers, entries) = try changes.sync {
      let rows = try metadata.readBlocking { transaction in
        (try transaction.images(), try transaction.imageNames(), try transaction.layers())
      }
      return (rows.0, rows.1, rows.2, table.withLock { $0.entries })
    }
    var faults: [(String, String, String)] = []
    for (key, record) in images {
      do {
        guard Digest(key) != nil else { throw JSONError(path: "", "its key isn't a digest") }
        _ = try JSONFields(JSON.parse(record))
      } catch { faults.append(("images", key, "it can't be read: \(error)")) }
    }
    let known = Set(images.map(\.0))
    for (name, image) in names {
      if (try? Reference(name)) == nil { faults.append(("image_names", name, "it isn't a name")) }
      if !known.contains(image) { faults.append(("image_names", name, "its image \(image) isn't there")) }
    }
    for (key, record) in layers where Digest(key) == nil || (try? ImageTable.LayerEntry(record: record)) == nil {
      faults.append(("layers", key, "it can't be read"))
    }
    let rows = Set(layers.map(\.0))
    for (id, entry) in entries {
      for layer in entry.config.diffIDs where !rows.contains(layer.description) {
        faults.append(("images", id.description, "its layer \(layer) isn't there"))
      }
    }
    return faults
  }

  /// Blobs that nobody names and nobody is about to: what a crash left, or a removal that failed. Blocks.
  private func orphans(_ repair: Bool) throws -> [StoreFault] {
    let present = try content.digests()
    return changes.sync {
      let owned = table.withLock { $0 }.ownedBlobs().union(unreadable.withLock { $0 })
      let pinned = pins.withLock { Set($0.keys) }
      let orphans = present.filter { !owned.contains($0) && !pinned.contains($0) && content.contains($0) }
      if repair { collect(layers: [], blobs: orphans) }
      return orphans.map { digest in
        StoreFault(
          kind: .orphan, id: digest.description, problem: "nothing names it", images: [],
          repair: repair && !content.contains(digest) ? "deleted" : nil)
      }
    }
  }

  // MARK: blobs

  private func checkBlob(_ digest: Digest, _ repair: Bool, _ credentials: Credentials?) async throws -> StoreFault? {
    let fault = try await onThread(work) { [self] in
      // Removed meanwhile, and so nobody's any more.
      guard table.withLock({ $0 }).ownedBlobs().union(unreadable.withLock { $0 }).contains(digest) else {
        return ContentFault?.none
      }
      return try content.verify(digest)
    }
    guard let fault else { return nil }
    let problem =
      switch fault {
      case .missing: "it is missing"
      case .damaged(let found): "it hashes to \(found)"
      }
    let layers = self.table.withLock { $0.layers }
    let images = users { id, entry in
      id == digest || (entry.manifests + entry.indexes).contains { $0.digest == digest }
        || entry.config.diffIDs.contains { layers[$0]?.blob?.digest == digest }
    }
    var report = StoreFault(kind: .blob, id: digest.description, problem: problem, images: images)
    guard repair else { return report }
    do {
      if let place = try await onThread(work, { [content] in try content.quarantine(digest) }) {
        logger.error("content is damaged", metadata: ["digest": "\(digest)", "quarantine": "\(place)"])
      }
      report.repair = "fetched from \(try await fetchAgain(digest, credentials))"
    } catch {
      if error is CancellationError { throw error }
      report.refusal = (error as? EngineError)?.message ?? "\(error)"
    }
    return report
  }

  /// Brings a blob from one of the repositories that have an image with it. Answers which.
  private func fetchAgain(_ digest: Digest, _ credentials: Credentials?) async throws -> String {
    let table = table.withLock { $0 }
    var failure: (any Error)?
    for (id, entry) in table.entries {
      guard let names = table.images[id]?.digests, !names.isEmpty else { continue }
      let layer = entry.config.diffIDs.compactMap { table.layers[$0]?.blob }.first { $0.digest == digest }
      let isManifest = (entry.manifests + entry.indexes).contains { $0.digest == digest }
      guard layer != nil || isManifest || id == digest else { continue }
      for name in names {
        let repository = registry.repository(name, credentials: credentials)
        do {
          if isManifest {
            let manifest = try await repository.manifest(digest.description)
            _ = try await onThread(work) { [content] in try content.write(manifest.bytes) }
          } else if let layer {
            try await fetch(layer, repository)
          } else {
            try await fetchConfiguration(id, entry, repository)
          }
          return name.familiarName
        } catch {
          if error is CancellationError { throw error }
          failure = error
        }
      }
    }
    throw failure ?? EngineError.notFound("no registry is known that has it: load the image again")
  }

  private func fetch(_ blob: ContentDescriptor, _ repository: Repository) async throws {
    let pipe = BytePipe()
    async let stored: Void = onThread(work) { [content] in
      do {
        let ingest = try content.ingest()
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
        defer { chunk.deallocate() }
        while true {
          let count = try pipe.read(into: chunk)
          if count == 0 { break }
          try ingest.write(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
        }
        try ingest.commit(expecting: blob.digest, size: blob.size)
      } catch {
        pipe.abandon()
        throw error
      }
    }
    do {
      try await repository.download(blob) { try await pipe.write($0) }
      pipe.finish()
    } catch { pipe.finish(error) }
    try await stored
  }

  /// Its size stands in the image's manifest.
  private func fetchConfiguration(_ id: Digest, _ entry: ImageTable.Entry, _ repository: Repository) async throws {
    for descriptor in entry.manifests {
      guard let bytes = try? await onThread(work, { [content] in try content.read(descriptor.digest) }),
        let manifest = try? ImageManifest(decoding: bytes), manifest.config.digest == id
      else { continue }
      let document = try await repository.blob(manifest.config, limit: 8 << 20)
      _ = try await onThread(work) { [content] in try content.write(document) }
      return
    }
    throw EngineError.notFound("no manifest names it")
  }

  // MARK: layers

  private func checkLayer(_ diffID: Digest, _ repair: Bool) async throws -> StoreFault? {
    try await onThread(work) { [self] () throws -> StoreFault? in
      guard let entry = table.withLock({ $0.layers[diffID] }) else { return nil }
      func tar() throws -> any ByteSource {
        guard let blob = entry.blob else { throw EngineError.notFound("its tar isn't kept") }
        let (file, size) = try content.open(blob.digest)
        return try Decompressor(FileRangeSource(file, length: size))
      }
      let images = users { _, entry in entry.config.diffIDs.contains(diffID) }
      func fault(_ problem: String) -> StoreFault {
        StoreFault(kind: .layer, id: diffID.description, problem: problem, images: images)
      }
      let problems: [String]
      do {
        problems = try snapshotter.check(diffID, tar: try tar(), limits: ArchiveLimits())
      } catch {
        // A blob that is damaged was told already; its tree can't be compared with it.
        if snapshotter.layer(diffID) != nil, let blob = entry.blob, try content.verify(blob.digest) != nil {
          return nil
        }
        return fault("it can't be compared with its tar: \((error as? EngineError)?.message ?? "\(error)")")
      }
      guard !problems.isEmpty else { return nil }
      var report = fault(problems.joined(separator: "; "))
      guard repair else { return report }
      let known = table.withLock { $0.images }
      let running = imageUses().first { use in
        use.isRunning && known[use.image]?.layers.contains(diffID) == true
      }
      if let running {
        report.refusal = "container \(running.containerID.prefix(12)) runs on it: stop it first"
        return report
      }
      do {
        _ = try snapshotter.replaceLayer(diffID, tar: try tar(), limits: ArchiveLimits())
        try changes.sync {
          try change { table, _ in
            table.missingLayers.remove(diffID)
            table.rebuildAll()
          }
        }
        report.repair = "unpacked again"
      } catch { report.refusal = (error as? EngineError)?.message ?? "\(error)" }
      return report
    }
  }
}

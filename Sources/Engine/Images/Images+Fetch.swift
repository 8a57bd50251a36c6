import Archive
import ContentStore
import Dispatch
import Errdefs
import Kernel
import Logging
import Metadata
import NIOCore
import OCI
import Registry
import Snapshots
import Synchronization

extension Images {
  /// dockerd refuses larger configurations, too.
  private static let configLimit: Int64 = 8 << 20

  /// Fetches what is missing of an image, and names it. Answers whether anything changed.
  func pull(
    _ reference: Reference, _ remote: RemoteImage, _ platform: Platform?, _ repository: Repository,
    _ progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws -> Bool {
    progress(
      .named(id: reference.digest?.description ?? reference.tag ?? "latest", status: "Pulling from \(reference.path)"))
    let names = [Self.key(reference), reference.with(digest: remote.digest)]
    if remote.known != nil {
      progress(.status("Digest: \(remote.digest)"))
      tell("pull", reference.familiar, name: reference.familiarName)
      return false
    }
    guard let document = remote.manifest else { return false }
    let manifest = try Self.reading("manifest") { () throws(JSONError) in try ImageManifest(decoding: document.bytes) }
    guard manifest.config.mediaType.isEmpty || MediaType.isConfig(manifest.config.mediaType) else {
      throw EngineError.invalidParameter(
        "\(reference.familiar) isn't an image: unsupported media type \(manifest.config.mediaType) of its configuration"
      )
    }
    for layer in manifest.layers where !MediaType.isLayer(layer.mediaType) {
      throw EngineError.invalidParameter(
        "\(reference.familiar): unsupported media type \(layer.mediaType) of layer \(layer.digest)")
    }
    let index = remote.index
    let pinned =
      [document.digest, manifest.config.digest] + (index.map { [$0.digest] } ?? []) + manifest.layers.map(\.digest)
    let isNewer = try await pinning(pinned) { pin in
      let bytes = try await configuration(manifest.config, repository)
      let config = try Self.reading("image configuration") { () throws(JSONError) in try ImageConfig(decoding: bytes) }
      try Self.check(config, manifest, reference, platform)
      try await onThread(work) { for diffID in config.diffIDs { pin.hold(diffID) } }
      let layers = try await self.layers(config.diffIDs, manifest.layers, repository, progress)
      return try await onThread(work) { [self] in
        try content.write(bytes)
        try content.write(document.bytes)
        if let index { try content.write(index.bytes) }
        return try commit(
          manifest.config.digest, config, layers, document.descriptor, index?.descriptor, names)
      }
    }
    progress(.status("Digest: \(remote.digest)"))
    tell("pull", reference.familiar, name: reference.familiarName)
    return isNewer
  }

  func configuration(_ blob: ContentDescriptor, _ repository: Repository) async throws -> [UInt8] {
    if content.contains(blob.digest) { return try await onThread(work) { [content] in try content.read(blob.digest) } }
    do { return try await repository.blob(blob, limit: Self.configLimit) } catch let error as RegistryError {
      throw EngineError.system("image configuration \(blob.digest): \(error)", cause: error)
    }
  }

  private static func check(
    _ config: ImageConfig, _ manifest: ImageManifest, _ reference: Reference, _ platform: Platform?
  ) throws(EngineError) {
    guard config.os.isEmpty || config.os == "linux" else {
      throw .invalidParameter("image operating system \"\(config.os)\" cannot be used on this platform")
    }
    guard config.diffIDs.count == manifest.layers.count else {
      throw .invalidParameter(
        "invalid manifest, layers length mismatch: expected \(config.diffIDs.count), got \(manifest.layers.count)")
    }
    let actual = Platform(os: config.os, architecture: config.architecture, variant: config.variant)
    if let platform, !platform.runs(actual) {
      throw .notFound(
        "image with reference \(reference.familiar) was found but does not match the specified platform: wanted \(platform), actual: \(actual)"
      )
    }
  }

  // MARK: layers

  /// All layers at once; as many come down together as the registry's slots let.
  private func layers(
    _ diffIDs: [Digest], _ blobs: [ContentDescriptor], _ repository: Repository,
    _ progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws -> [Digest: ImageTable.LayerEntry] {
    let table = table.withLock { $0 }
    var entries: [Digest: ImageTable.LayerEntry] = [:]
    var wanted: [(Digest, ContentDescriptor)] = []
    for (diffID, blob) in zip(diffIDs, blobs) {
      if let entry = table.layers[diffID], let kept = entry.blob, content.contains(kept.digest),
        snapshotter.layer(diffID) != nil
      {
        if entries.updateValue(entry, forKey: diffID) == nil {
          progress(.transfer(id: blob.digest.short, status: "Already exists"))
        }
      } else if !wanted.contains(where: { $0.0 == diffID }) {
        wanted.append((diffID, blob))
        progress(.transfer(id: blob.digest.short, status: "Pulling fs layer"))
      }
    }
    return try await withThrowingTaskGroup(of: (Digest, ImageTable.LayerEntry).self) { group in
      for (diffID, blob) in wanted {
        group.addTask { [self] in
          let key = LayerTransfers.Key(diffID: diffID, blob: blob.digest)
          let entry = try await transfers.layer(key, tell: progress) { [self] transfer in
            try await fetch(diffID, blob, repository, transfer)
          }
          return (diffID, entry)
        }
      }
      for try await (diffID, entry) in group { entries[diffID] = entry }
      return entries
    }
  }

  /// One layer, down and unpacked in one go: the bytes that come are written and hashed, inflated, hashed again and unpacked, each on a
  /// thread of its own.
  private func fetch(
    _ diffID: Digest, _ blob: ContentDescriptor, _ repository: Repository, _ transfer: LayerTransfer
  ) async throws -> ImageTable.LayerEntry {
    let id = blob.digest.short
    @Sendable func tell(_ status: String, _ current: Int64 = 0, _ total: Int64? = nil) {
      transfer.tell(.transfer(id: id, status: status, current: current, total: total))
    }
    return try await pinning([diffID, blob.digest]) { _ in
      try await registry.downloads.withSlot(onWait: { tell("Waiting") }) {
        do {
          let layer = try await pipelined(diffID, blob, repository, tell)
          tell("Pull complete")
          return ImageTable.LayerEntry(size: layer.size, blob: Self.stored(blob))
        } catch let error as RegistryError {
          throw EngineError.system("blob \(blob.digest): \(error)", cause: error)
        } catch let error as ArchiveError {
          throw EngineError.invalidParameter("failed to register layer: \(error)", cause: error)
        } catch let error as SyscallError {
          throw EngineError.system("failed to register layer: \(error)", cause: error)
        } catch let lie as LayerMismatch {
          throw EngineError.invalidParameter("layers from manifest don't match image configuration", cause: lie)
        }
      }
    }
  }

  /// Without what concerns the manifest that it came with alone.
  private static func stored(_ blob: ContentDescriptor) -> ContentDescriptor {
    ContentDescriptor(mediaType: blob.mediaType, digest: blob.digest, size: blob.size)
  }

  private func pipelined(
    _ diffID: Digest, _ blob: ContentDescriptor, _ repository: Repository,
    _ tell: @escaping @Sendable (String, Int64, Int64?) -> Void
  ) async throws -> Layer {
    if content.contains(blob.digest) {
      // Its tree alone was lost.
      return try await onThread(work) { [self] in
        let (file, size) = try content.open(blob.digest)
        return try snapshotter.addLayer(
          diffID, tar: try Decompressor(FileRangeSource(file, length: size)), limits: ArchiveLimits())
      }
    }
    let ingest = try await onThread(work) { [content] in
      IngestBox(try content.ingest(for: blob.digest, limit: blob.size))
    }
    do { return try await pipelined(diffID, blob, ingest, repository, tell) } catch {
      // What a power cut left at the end of a partial file may be anything: once more, from the start.
      guard ingest.existing > 0, !(error is CancellationError), !(error is RegistryError) else { throw error }
      logger.info(
        "content that was half here is of no use", metadata: ["digest": "\(blob.digest)", "error": "\(error)"])
      let fresh = try await onThread(work) { [content] in IngestBox(try content.ingest()) }
      return try await pipelined(diffID, blob, fresh, repository, tell)
    }
  }

  /// An ingest on its way to the thread that writes it.
  private final class IngestBox: @unchecked Sendable {  // SAFETY: taken once, by the one thread that uses it
    private var ingest: Ingest?
    let existing: Int64

    init(_ ingest: Ingest) {
      existing = ingest.existing
      self.ingest = ingest
    }

    func take() throws -> Ingest {
      guard let ingest = ingest.take() else { throw EngineError.system("an ingest was taken twice") }
      return ingest
    }
  }

  private func pipelined(
    _ diffID: Digest, _ blob: ContentDescriptor, _ ingest: IngestBox, _ repository: Repository,
    _ tell: @escaping @Sendable (String, Int64, Int64?) -> Void
  ) async throws -> Layer {
    let pipe = BytePipe()
    let isDown = Atomic(false)
    async let layer = onThread(work) { [self] in
      do {
        return try unpack(diffID, blob, ingest.take(), pipe, isDown: { isDown.load(ordering: .relaxed) }, tell)
      } catch {
        pipe.abandon()
        throw error
      }
    }
    let meter = Meter(step: max(512 << 10, blob.size / 200), from: ingest.existing)
    do {
      try await repository.download(
        blob, from: ingest.existing, onRetry: { tell("Retrying in \($0) second\($0 == 1 ? "" : "s")", 0, nil) }
      ) {
        bytes in
        if let count = meter.add(Int64(bytes.readableBytes)) { tell("Downloading", count, blob.size) }
        try await pipe.write(bytes)
      }
      isDown.store(true, ordering: .relaxed)
      tell("Verifying Checksum", 0, nil)
      pipe.finish()
    } catch { pipe.finish(error) }
    return try await layer
  }

  private func unpack(
    _ diffID: Digest, _ blob: ContentDescriptor, _ ingest: Ingest, _ pipe: BytePipe,
    isDown: @escaping @Sendable () -> Bool,
    _ tell: @escaping @Sendable (String, Int64, Int64?) -> Void
  ) throws -> Layer {
    let source: any ByteSource =
      ingest.existing > 0
      ? ConsecutiveSource(FileRangeSource(ingest.descriptor, length: ingest.existing), pipe) : pipe
    let ahead = try ReadAhead(
      IngestingSource(source, ingest, expected: blob) { tell("Download complete", 0, nil) })
    do {
      let counted = ProgressSource(ahead, step: max(512 << 10, blob.size / 100)) { count in
        if isDown() { tell("Extracting", count, blob.size) }
      }
      let layer = try snapshotter.addLayer(
        diffID, tar: try Decompressor(counted, limits: ArchiveLimits()), limits: ArchiveLimits())
      try ahead.drain()
      tell("Extracting", blob.size, blob.size)
      try ingest.commit(expecting: blob.digest, size: blob.size)
      return layer
    } catch let error as ArchiveError {
      // Bytes that were damaged on their way are told as that.
      try ahead.drain()
      throw error
    } catch let error as LayerMismatch {
      try ahead.drain()
      throw error
    } catch {
      // The thread that reads ahead may wait for bytes that nobody wants any more.
      pipe.abandon()
      throw error
    }
  }

  /// One transaction makes the image exist. Answers whether anything is new.
  private func commit(
    _ id: Digest, _ config: ImageConfig, _ layers: [Digest: ImageTable.LayerEntry], _ manifest: ContentDescriptor,
    _ index: ContentDescriptor?, _ names: [Reference]
  ) throws -> Bool {
    try changes.sync {
      try change { table, transaction in
        let isNewer = table.entries[id] == nil || table.names[names[0]] != id
        try Self.insert(id, config, layers, parent: nil, manifest: manifest, index: index, &table, transaction)
        for name in names {
          table.setName(name, to: id)
          try transaction.setImageName(name.description, image: id.description)
        }
        return isNewer
      }
    }
  }
}

/// Counts, and says every `step` bytes how many there were.
private final class Meter: Sendable {
  private let state = Mutex<(count: Int64, told: Int64)>((0, 0))
  private let step: Int64

  init(step: Int64, from start: Int64 = 0) {
    self.step = step
    state.withLock { $0.count = start }
  }

  func add(_ bytes: Int64) -> Int64? {
    state.withLock { state in
      state.count += bytes
      guard state.count - state.told >= step || state.told == 0 else { return nil }
      state.told = state.count
      return state.count
    }
  }
}

/// One after the other.
private final class ConsecutiveSource: ByteSource {
  private let first, second: any ByteSource
  private var isFirstOver = false

  init(_ first: any ByteSource, _ second: any ByteSource) {
    self.first = first
    self.second = second
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard !buffer.isEmpty else { return 0 }
    if !isFirstOver {
      let count = try first.read(into: buffer)
      if count > 0 { return count }
      isFirstOver = true
    }
    return try second.read(into: buffer)
  }
}

/// Writes what passes into a blob, and verifies it at its end: bytes that lie never look like a whole stream.
private final class IngestingSource: ByteSource {
  private let source: any ByteSource
  private let ingest: Ingest
  private let expected: ContentDescriptor
  private let onVerified: () -> Void
  private var isVerified = false

  init(_ source: any ByteSource, _ ingest: Ingest, expected: ContentDescriptor, onVerified: @escaping () -> Void) {
    self.source = source
    self.ingest = ingest
    self.expected = expected
    self.onVerified = onVerified
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let count = try source.read(into: buffer)
    if count > 0 {
      try ingest.write(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
      return count
    }
    if !isVerified, !buffer.isEmpty {
      guard ingest.finish() == expected.digest else {
        throw EngineError.system("filesystem layer verification failed for digest \(expected.digest)")
      }
      isVerified = true
      onVerified()
    }
    return 0
  }
}

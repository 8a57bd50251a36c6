import Snapshots
public import Archive
import ContentStore
public import Errdefs
import Kernel
import NIOCore
public import OCI
public import Registry

extension Images {
  /// A root file system's tar at a URL: what isn't there is told before the first line.
  public func prepareDownload(_ url: String) async throws -> RemoteFile { try await registry.file(url) }

  /// `importRoot` of what comes from a URL, read while it comes.
  public func importRoot(
    from file: RemoteFile, repository: String, tag: String, message: String, changes: [String], platform: Platform?,
    limits: ArchiveLimits = ArchiveLimits(), progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws -> Digest {
    progress(.status("Downloading from \(file.url)"))
    let pipe = BytePipe()
    async let id = importRoot(
      AbandoningSource(pipe), repository: repository, tag: tag, message: message, changes: changes, platform: platform,
      limits: limits, progress: progress)
    do {
      let step = max(512 << 10, (file.size ?? 0) / 100)
      var (received, told): (Int64, Int64) = (0, 0)
      try await file.read { bytes in
        received += Int64(bytes.readableBytes)
        if let size = file.size, received - told >= step {
          told = received
          progress(.transfer(id: "import", status: "Importing", current: received, total: size))
        }
        try await pipe.write(bytes)
      }
      pipe.finish()
    } catch is BytePipe.Abandoned {
      // What the reader has to say is the reason.
    } catch {
      if error is CancellationError {
        pipe.finish(error)
      } else {
        pipe.finish(EngineError.system("\(file.url): \((error as? EngineError)?.message ?? "\(error)")", cause: error))
      }
    }
    return try await id
  }

  /// What `importRoot` would refuse of its arguments, before anything is read.
  public static func checkImport(repository: String, tag: String, changes: [String]) throws(EngineError) {
    if !repository.isEmpty { _ = try reference(repository: repository, tag: tag) }
    var defaults = ImageConfig.Defaults()
    try ImageChanges.apply(changes, to: &defaults)
  }

  /// `docker import`: an image of one layer from a root file system's tar, plain, gzip or zstd. An empty repository gives it no name;
  /// `changes` are Dockerfile instructions. Answers the id.
  public func importRoot(
    _ source: any ByteSource & Sendable, repository: String, tag: String, message: String, changes: [String],
    platform: Platform?,
    limits: ArchiveLimits = ArchiveLimits(), progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws -> Digest {
    let reference = repository.isEmpty ? nil : try Self.reference(repository: repository, tag: tag)
    var defaults = ImageConfig.Defaults()
    try ImageChanges.apply(changes, to: &defaults)
    let start = ImageConfig(
      architecture: (platform ?? .host).architecture, os: (platform ?? .host).os, config: defaults)
    return try await onThread(work) { [self] in
      try refusing("import") {
        let ingest = try content.ingest()
        try Self.copy(try Decompressor(source, limits: limits), into: ingest)
        let diffID = ingest.finish()
        let created = Self.now().description
        var config = start
        config.variant = platform?.variant
        config.created = created
        config.comment = message
        config.diffIDs = [diffID]
        config.history = [ImageConfig.History(created: created, comment: message)]
        let document = config.json.encoded()
        let layer = ArchivedLayer(diffID: diffID, member: "", body: .ingest(ingest), digest: diffID, size: ingest.size)
        let image = ArchivedImage(
          document: document, config: config, id: Digest(hashing: document), layers: [layer],
          references: reference.map { [$0] } ?? [])
        try add(image, limits: limits, progress)
        tell("import", image.id.description, name: image.id.description, labels: config.config.labels ?? [:])
        return image.id
      }
    }
  }

  private static func copy(_ source: any ByteSource, into ingest: Ingest) throws {
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { chunk.deallocate() }
    while true {
      let count = try source.read(into: chunk)
      if count == 0 { return }
      try ingest.write(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
    }
  }
}

/// A pipe whose writer is let go of when nobody reads it any more.
private final class AbandoningSource: ByteSource, Sendable {
  private let pipe: BytePipe
  init(_ pipe: BytePipe) { self.pipe = pipe }
  deinit { pipe.abandon() }
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try pipe.read(into: buffer) }
}

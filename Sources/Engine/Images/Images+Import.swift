import Snapshots
public import Archive
import ContentStore
public import Errdefs
import Kernel
public import OCI

extension Images {
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

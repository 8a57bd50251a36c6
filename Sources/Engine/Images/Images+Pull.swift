import ContentStore
import Errdefs
import Metadata
public import OCI
public import Registry
import Snapshots
import Synchronization

extension Images {
  /// Asks a registry what a name stands for: what `docker pull` does before its first line, so that what isn't there is told with a status.
  /// A name without tag and digest stands for all tags. `platform` nil: this host's.
  /// Errors are dockerd's: 404 `manifest for busybox:nosuch not found: manifest unknown: manifest unknown`.
  public func preparePull(_ reference: Reference, platform: Platform?, credentials: Credentials?) async throws
    -> PreparedPull
  {
    let repository = registry.repository(reference, credentials: credentials)
    guard reference.tag == nil, reference.digest == nil else {
      let image = try await remoteImage(reference, platform, repository)
      return PreparedPull(
        images: self, repository: repository, references: [reference], platform: platform, first: image)
    }
    let tags = try await Self.telling(reference) { try await repository.tags() }
    let references = tags.compactMap { try? reference.with(tag: $0) }
    guard let first = references.first else {
      throw EngineError.notFound("repository \(reference.familiarName) not found: it has no tags")
    }
    let image = try await remoteImage(first, platform, repository)
    return PreparedPull(images: self, repository: repository, references: references, platform: platform, first: image)
  }

  /// What a registry has under a name: the manifest or index itself, and the platforms that it is for.
  public func remoteManifest(_ reference: Reference, credentials: Credentials?) async throws -> (
    RemoteManifest, [Platform]
  ) {
    let repository = registry.repository(reference, credentials: credentials)
    return try await Self.telling(reference) {
      let top = try await repository.manifest(reference.digest?.description ?? reference.tag ?? "latest")
      if MediaType.isIndex(top.mediaType) {
        let index = try Self.reading("index") { () throws(JSONError) in try ImageIndex(decoding: top.bytes) }
        return (top, index.manifests.compactMap { $0.platform })
      }
      let manifest = try Self.reading("manifest") { () throws(JSONError) in try ImageManifest(decoding: top.bytes) }
      guard MediaType.isConfig(manifest.config.mediaType) else { return (top, []) }
      let config = try await configuration(manifest.config, repository)
      let image = try Self.reading("image configuration") { () throws(JSONError) in try ImageConfig(decoding: config) }
      return (top, [Platform(os: image.os, architecture: image.architecture, variant: image.variant)])
    }
  }

  /// What refers to the manifest of a name at its registry: signatures, bills of materials. Answers the manifest's own digest, too.
  public func referrers(_ reference: Reference, artifactType: String?, credentials: Credentials?) async throws -> (
    subject: Digest, referrers: [ContentDescriptor]
  ) {
    let repository = registry.repository(reference, credentials: credentials)
    return try await Self.telling(reference) {
      let digest =
        if let digest = reference.digest { digest } else {
          try await repository.manifest(reference.tag ?? "latest").digest
        }
      return (digest, try await repository.referrers(digest, artifactType: artifactType))
    }
  }

  /// Turns a registry's refusal into what dockerd says of a pull.
  static func telling<T>(_ reference: Reference, _ body: () async throws -> T) async throws -> T {
    do { return try await body() } catch let error as RegistryError { throw error.ofPull(reference) }
  }

  func remoteImage(_ reference: Reference, _ platform: Platform?, _ repository: Repository) async throws -> RemoteImage
  {
    try await Self.telling(reference) {
      if let known = try await unchanged(reference, platform, repository) {
        let manifests = known.known.flatMap { image in table.withLock { $0.entries[image.id]?.manifests } } ?? []
        try await repository.admit(reference, [known.digest] + manifests.map(\.digest))
        return known
      }
      let top = try await repository.manifest(reference.digest?.description ?? reference.tag ?? "latest")
      let manifest = try await imageManifest(top, platform, repository, depth: 0)
      try await repository.admit(reference, [top.digest, manifest.digest])
      return RemoteImage(digest: top.digest, manifest: manifest, index: MediaType.isIndex(top.mediaType) ? top : nil)
    }
  }

  /// What a tag stands for, when that is here already: one request without a body.
  private func unchanged(_ reference: Reference, _ platform: Platform?, _ repository: Repository) async throws
    -> RemoteImage?
  {
    let table = table.withLock { $0 }
    let key = Self.key(reference)
    guard let id = table.names[key], let image = table.images[id], image.missingLayers.isEmpty else { return nil }
    // A blob that a check took away comes again.
    guard image.layers.allSatisfy({ layer in table.layers[layer]?.blob.map { content.contains($0.digest) } ?? true })
    else {
      return nil
    }
    // An older variant runs, too, but the index may have the very one that is asked for.
    let own = image.platform.normalised
    if let platform = platform?.normalised, !platform.runs(own) || platform.variant != own.variant { return nil }
    guard image.digests.contains(where: { $0.name == reference.name }) else { return nil }
    let digest =
      if let digest = reference.digest { digest } else { try await repository.digest(of: reference.tag ?? "latest") }
    guard let digest, image.digests.contains(reference.with(digest: digest)) else { return nil }
    // Of an index, the image for another platform was asked for then: now it is this host's.
    let isOfIndex = table.entries[id]?.indexes.contains { $0.digest == digest } ?? false
    if platform == nil, isOfIndex, !Platform.host.normalised.runs(own) { return nil }
    return RemoteImage(digest: digest, known: image)
  }

  /// The manifest itself, or the one of an index that is for the platform.
  private func imageManifest(_ top: RemoteManifest, _ platform: Platform?, _ repository: Repository, depth: Int)
    async throws -> RemoteManifest
  {
    guard MediaType.isIndex(top.mediaType) else {
      guard MediaType.isManifest(top.mediaType) else {
        throw EngineError.invalidParameter(
          "manifest \(top.digest) of \(repository.domain)/\(repository.path): unsupported media type \(top.mediaType)")
      }
      return top
    }
    guard depth < 4 else { throw EngineError.invalidParameter("indexes nested too deep") }
    let index = try Self.reading("index") { () throws(JSONError) in try ImageIndex(decoding: top.bytes) }
    let wanted = (platform ?? .host).normalised
    // An exact variant before one that merely runs here.
    let fitting = index.manifests.filter { descriptor in
      descriptor.annotations?["vnd.docker.reference.type"] == nil
        && (descriptor.platform.map { wanted.runs($0) } ?? (index.manifests.count == 1))
    }
    let exact = fitting.first { $0.platform?.normalised.variant == wanted.variant }
    guard let choice = exact ?? fitting.max(by: { ($0.platform?.variant ?? "") < ($1.platform?.variant ?? "") }) else {
      throw EngineError.notFound("no matching manifest for \(wanted) in the manifest list entries")
    }
    let next = try await repository.manifest(choice.digest.description)
    guard Int64(next.bytes.count) == choice.size else {
      throw EngineError.system("manifest \(choice.digest) has \(next.bytes.count) bytes, its index says \(choice.size)")
    }
    return try await imageManifest(next, platform, repository, depth: depth + 1)
  }

  static func reading<T>(_ what: String, _ body: () throws(JSONError) -> T) throws(EngineError) -> T {
    do throws(JSONError) { return try body() } catch {
      throw .system("the registry's \(what) can't be read: \(error)", cause: error)
    }
  }
}

/// What a name stands for at its registry.
struct RemoteImage: Sendable {
  /// What the tag points to: the index, where there is one.
  var digest: Digest
  var manifest: RemoteManifest?
  /// The index itself, where there is one.
  var index: RemoteManifest?
  /// Set, and the manifest isn't, when all of it is here.
  var known: Image?

  init(digest: Digest, manifest: RemoteManifest? = nil, index: RemoteManifest? = nil, known: Image? = nil) {
    self.digest = digest
    self.index = index
    self.manifest = manifest
    self.known = known
  }
}

/// A pull whose name was found. Nothing was fetched but manifests.
public struct PreparedPull: Sendable {
  let images: Images
  let repository: Repository
  let references: [Reference]
  let platform: Platform?
  let first: RemoteImage

  /// Fetches what is missing and names it. Ends early when the task is cancelled; layers that were committed by then are deleted again.
  public func run(progress: @escaping @Sendable (ImageProgress) -> Void) async throws {
    for (index, reference) in references.enumerated() {
      let image = index == 0 ? first : try await images.remoteImage(reference, platform, repository)
      let isNewer = try await images.pull(reference, image, platform, repository, progress)
      if references.count == 1 { Self.status(reference.familiar, isNewer, progress) }
    }
    if references.count > 1 { Self.status(references[0].familiarName, true, progress) }
  }

  private static func status(_ name: String, _ isNewer: Bool, _ progress: (ImageProgress) -> Void) {
    progress(
      .status(isNewer ? "Status: Downloaded newer image for \(name)" : "Status: Image is up to date for \(name)"))
  }
}

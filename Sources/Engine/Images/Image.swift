public import OCI

/// An image as it is stored: an immutable value.
public struct Image: Sendable, Equatable {
  /// The digest of its configuration: Docker's `Id`.
  public let id: Digest
  public let config: ImageConfig
  /// Its names, tagged, sorted: `docker.io/library/busybox:latest`.
  public let references: [Reference]
  /// The names by which registries know its manifest: `docker.io/library/busybox@sha256:…`.
  public let digests: [Reference]
  /// Bytes of its layers' files together.
  public let size: Int64
  /// When it was last tagged here; `nil` when never.
  public let lastTagged: Timestamp?
  /// When it came into this store.
  public let added: Timestamp
  /// The image that it was built upon here, if any.
  public let parent: Digest?
  /// Layers that the disk lost: the image can't be run until it is loaded again. Empty when it is whole.
  public let missingLayers: Set<Digest>
  /// The manifest that a registry knows it by, the newest; nil for one that never saw a registry.
  public let manifest: ContentDescriptor?
  /// Bytes of its blobs in the content store: configuration, manifest, layers' tars.
  public let contentSize: Int64

  public init(
    id: Digest, config: ImageConfig, references: [Reference], digests: [Reference], size: Int64, lastTagged: Timestamp?,
    added: Timestamp, parent: Digest?, missingLayers: Set<Digest> = [], manifest: ContentDescriptor? = nil,
    contentSize: Int64 = 0
  ) {
    self.id = id
    self.config = config
    self.references = references
    self.digests = digests
    self.size = size
    self.lastTagged = lastTagged
    self.added = added
    self.parent = parent
    self.missingLayers = missingLayers
    self.manifest = manifest
    self.contentSize = contentSize
  }

  /// As Docker prints them: `busybox:latest`.
  public var repoTags: [String] { references.map(\.familiar) }
  public var repoDigests: [String] { digests.map(\.familiar) }
  /// Bottom first.
  public var layers: [Digest] { config.diffIDs }
  public var created: Timestamp { config.createdAt ?? .zero }
  public var platform: Platform {
    Platform(os: config.os, architecture: config.architecture, variant: config.variant, osVersion: config.osVersion)
  }
}

/// A row of `docker images`.
public struct ImageSummary: Sendable, Equatable {
  public let image: Image
  /// The familiar names that the filters left.
  public let repoTags: [String]
  public let repoDigests: [String]
  /// Bytes of layers that other images have too; -1 when not asked for.
  public let sharedSize: Int64
  /// Containers made from it; -1 when not asked for.
  public let containers: Int64

  public init(image: Image, repoTags: [String], repoDigests: [String], sharedSize: Int64, containers: Int64) {
    self.image = image
    self.repoTags = repoTags
    self.repoDigests = repoDigests
    self.sharedSize = sharedSize
    self.containers = containers
  }
}

/// A line of what `docker rmi` did: one of the two is set. A familiar reference, or an id with `sha256:`.
public enum ImageDeletion: Sendable, Equatable {
  case untagged(String)
  case deleted(String)
}

/// A line of `docker history`, topmost first.
public struct ImageHistoryItem: Sendable, Equatable {
  /// The image's id for the topmost, else `<missing>`.
  public let id: String
  public let created: Timestamp?
  public let createdBy: String
  /// Familiar references; `nil` unless it is the topmost.
  public let tags: [String]?
  public let size: Int64
  public let comment: String

  public init(id: String, created: Timestamp?, createdBy: String, tags: [String]?, size: Int64, comment: String) {
    self.id = id
    self.created = created
    self.createdBy = createdBy
    self.tags = tags
    self.size = size
    self.comment = comment
  }
}

/// What `load`, `import`, `pull` and `push` tell while they work.
public enum ImageProgress: Sendable, Equatable {
  /// A line for people, with its line feed: `Loaded image: busybox:latest`.
  case stream(String)
  /// `{"status":"Loading layer","progressDetail":{"current":…,"total":…},"id":"…"}`; the id has twelve digits.
  case layer(id: String, current: Int64, total: Int64)
  /// `{"status":…}`
  case status(String)
  /// `{"status":"Downloading","progressDetail":{"current":…,"total":…},"id":"…"}`; without `total` the detail is empty.
  case transfer(id: String, status: String, current: Int64 = 0, total: Int64? = nil)
  /// `{"status":"Pulling from library/busybox","id":"latest"}`
  case named(id: String, status: String)
  /// `{"progressDetail":{},"aux":{"Tag":…,"Digest":…,"Size":…}}`, the end of a push.
  case pushed(tag: String, digest: Digest, size: Int64)
}

/// A container that was made from an image.
public struct ImageUse: Sendable, Equatable {
  public let containerID: String
  public let image: Digest
  /// The image as the container's creator named it: `busybox`, an id.
  public let reference: String
  public let isRunning: Bool

  public init(containerID: String, image: Digest, reference: String, isRunning: Bool) {
    self.containerID = containerID
    self.image = image
    self.reference = reference
    self.isRunning = isRunning
  }
}

/// What Images must know of containers before it removes an image. Containers implements it, from an immutable snapshot: it is
/// called under no lock, and must not wait.
public protocol ImageUsers: Sendable {
  func imageUses() -> [ImageUse]
}

public import Archive
public import ContentStore
public import Errdefs
public import Logging
public import OCI
public import Snapshots

/// The images of this host: what they are called, what they are made of, how they come and go.
///
/// An image is its configuration (a blob, whose digest is the image's id) and an ordered list of layers. It exists when its row is in the
/// database, and not before: blobs and layers are committed first, each whole and synced, then one transaction names them. Removal goes
/// the other way: the rows first, then layers and blobs that no image needs any more; what a crash leaves between the two is swept at start.
///
/// States of an image: absent → stored (tagged or dangling) → absent; *damaged* when the disk lost a layer, until it is loaded again.
///
/// Reads (`resolve`, `list`, `history`) come from an immutable table in memory and never wait. Changes go one after another on a serial queue;
/// `load` and `import` read and unpack on threads of their own and take that queue only to commit. Layers and blobs that a load under way needs
/// are pinned, so that a removal at the same time leaves them.
///
/// Locks: the table's `Mutex`, held for no I/O; the changes' queue before it.
///
/// Must not: know of the API's JSON, of containers but through `ImageUsers`, or delete a blob of an image it can't read.
public final class Images: Sendable {
  public let content: ContentStore
  public let snapshotter: any Snapshotter

  public init(
    content: ContentStore, snapshotter: any Snapshotter, logger: Logger,
    onEvent: @escaping @Sendable (ImageEvent) -> Void
  ) throws {
    self.content = content
    self.snapshotter = snapshotter
  }

  /// Once, when Containers is there.
  public func setUsers(_ users: any ImageUsers) {}

  /// By name, name and digest, id, or the beginning of an id. Never waits.
  /// Throws 404 `No such image: busybox:latest`, or 400 for what isn't a reference.
  public func resolve(_ name: String) throws(EngineError) -> Image { throw .notImplemented("images") }

  /// The newest first. `filters` as the API has them: `dangling`, `label`, `reference`, `before`, `since`, `until`.
  public func list(filters: [String: [String]] = [:], sharedSize: Bool = false, containerCounts: Bool = false)
    throws(EngineError) -> [ImageSummary]
  { throw .notImplemented("images") }

  /// Topmost first.
  public func history(_ name: String) throws(EngineError) -> [ImageHistoryItem] { throw .notImplemented("images") }

  /// The bytes of the image's configuration document.
  public func configuration(_ image: Image) async throws -> [UInt8] { throw EngineError.notImplemented("images") }

  /// `docker tag`: `repository` may not hold a digest; an empty tag means `latest`. Moves the tag when another image has it.
  public func tag(_ source: String, repository: String, tag: String) async throws {
    throw EngineError.notImplemented("images")
  }

  /// `docker rmi`: takes away a name, or the image with its last name. `force` as Docker's. Answers what was done, in order.
  public func remove(_ name: String, force: Bool = false, prune: Bool = true) async throws -> [ImageDeletion] {
    throw EngineError.notImplemented("images")
  }

  /// `docker image prune`: filters `dangling`, `until`, `label`, `label!`. Answers what went, and the bytes that came free.
  public func prune(filters: [String: [String]] = [:]) async throws -> (deletions: [ImageDeletion], reclaimed: Int64) {
    throw EngineError.notImplemented("images")
  }

  /// `docker load`: a docker-archive or an OCI layout, plain, gzip or zstd, read once from start to end.
  /// `platform`: which of several to take; nil: this host's, else the first. Nothing is kept of an archive that is refused.
  public func load(
    _ source: any ByteSource & Sendable, platform: Platform? = nil,
    progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws { throw EngineError.notImplemented("images") }

  /// `docker import`: an image of one layer from a root file system's tar. `changes`: Dockerfile instructions. Answers the id.
  public func importRoot(
    _ source: any ByteSource & Sendable, repository: String, tag: String, message: String, changes: [String],
    platform: Platform?,
    progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws -> Digest { throw EngineError.notImplemented("images") }

  /// `docker save`: an OCI layout that is a docker-archive too, written in order to `write`, which may block.
  public func save(_ names: [String], write: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void) async throws {
    throw EngineError.notImplemented("images")
  }
}

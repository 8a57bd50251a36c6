public import Archive
public import Errdefs
public import Kernel
public import OCI

/// Layers and the writable trees over them.
///
/// A **layer** is what one tar of an image makes of an empty directory, named by the digest of that tar (its diff id), whiteouts as
/// overlayfs wants them. Layers don't know of each other: which lies upon which is an image's business. A layer is either committed, and
/// then whole, synced and never changed, or it doesn't exist.
///
/// A **snapshot** is a private writable tree over a list of layers, named by its owner's id (a container, a build step). Its states:
/// absent → `prepare` → prepared → `remove` → absent. It keeps its layers alive: one whose removal was asked for while a snapshot uses it goes
/// when the last of those snapshots does.
///
/// Guarantees, which `SnapshotterConformance` in the tests checks of every implementation:
/// - `addLayer` answers only when the layer would survive a power cut, and leaves nothing when it fails or the process is killed.
/// - `addLayer` of a layer that exists reads nothing and succeeds; two at once for one layer make one.
/// - a tar whose bytes don't hash to the diff id makes no layer.
/// - `prepare` and `remove` don't wait for a disk; what is removed is out of sight at once, and its space returns behind.
/// - after `recover`, only what was named to it exists.
///
/// Files (`OverlaySnapshotter`). A layer is a tree or, of the other kind, its own tar and an EROFS index over it (target EROFS); one data root
/// may hold both, and a snapshot lie on both:
///
///     <data-root>/layers/<diff id's hex>/fs/          the tree: the overlay's lower directory
///     <data-root>/layers/<diff id's hex>/layer.json   size and the root's own mode and owner
///     <data-root>/layers/<diff id's hex>/tar          byte for byte what the diff id is of
///     <data-root>/layers/<diff id's hex>/extra        only if sparse files need it, see EROFS
///     <data-root>/layers/<diff id's hex>/index        what is mounted; begins with the layer's record (JSON)
///     <data-root>/layers/.new-<n>/                    being made; swept at start
///     <data-root>/images/<chain id's hex>             an index of several layers' indexes; made when it is needed, emptied at start
///     <exec-root>/layers/<chain id's hex>             where indexes are mounted, see ImageMounts; adopted or swept at start
///     <data-root>/snapshots/<id>/{upper,work}
///     <data-root>/snapshots/.pool/<n>/{upper,work}    made ahead, since mkdir is dear on ext4
///     <data-root>/snapshots/.pool/ahead-<n>/          the same under a detached overlay; swept at start
///     <data-root>/trash/<n>                           removed, to be deleted by the trash thread; emptied at start
///
/// Locks: one `Mutex` over the tables of layers and snapshots, never held across a system call that waits for the disk.
///
/// An image whose layers all have indexes is one mount, made when a snapshot needs it and gone with the last one; where they are mixed, each
/// index is one. A tar and its index are synced (two to four syncs a layer) before the directory that names them is renamed, and that after it.
///
/// Must not: know of images or containers, mount anything else that can be seen, or delete what `recover` was told of.
public protocol Snapshotter: Sendable {
  /// As `docker info` names it: `overlay2`, `erofs`.
  var driver: String { get }

  /// `nil` when it isn't committed.
  func layer(_ diffID: Digest) -> Layer?

  /// Reads an uncompressed tar to its end, verifies that it hashes to `diffID`, unpacks and commits it. Blocks: for a thread of its own.
  /// Throws `ArchiveError` for a refused archive and `LayerMismatch` for a digest that lies.
  func addLayer(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> Layer

  /// Forgets a layer and deletes it behind; one that snapshots use, when the last of them goes. Absent is success.
  func removeLayer(_ diffID: Digest)

  /// A new writable tree over `layers`, bottom first. Quick.
  /// Throws `.conflict` when the id is taken, `.notFound` when a layer is missing.
  func prepare(_ id: String, layers: [Digest]) throws(EngineError) -> Snapshot

  /// As `prepare`, of a snapshot that will be started at once: perhaps with an overlay mounted ahead, which `takeMount` gives.
  /// `volatile`: what it holds needn't outlive a power cut.
  func prepareToStart(_ id: String, layers: [Digest], volatile: Bool) throws(EngineError) -> Snapshot

  /// The overlay of a snapshot that was prepared to be started, as a detached mount, whoever asks first; `nil`: mount it.
  /// Close it soon.
  func takeMount(_ id: String) -> SharedDescriptor?

  /// The snapshot, for another start of its container; `nil` when there is none. An overlay mounted ahead is let go of.
  /// Throws when its layers can't be mounted, which takes a moment after the host was started.
  func snapshot(_ id: String) throws(EngineError) -> Snapshot?

  /// Out of sight at once, deleted behind. Absent is success.
  func remove(_ id: String) throws(EngineError)

  /// What is wrong with a committed layer, compared with its uncompressed tar; nothing: empty. Reads all of both; blocks.
  func check(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> [String]

  /// Makes a layer anew from its tar, in place of one that is damaged. No running container may use it. Blocks.
  func replaceLayer(_ diffID: Digest, tar: any ByteSource, limits: ArchiveLimits) throws -> Layer

  /// What is wrong with a snapshot; nil: nothing. Blocks.
  func check(snapshot id: String) -> String?

  /// `GraphDriver.Data` of an image of these layers, bottom first.
  func graphData(layers: [Digest]) -> [String: String]

  /// Bytes in files that were written to the snapshot: walks it, so for `size=1` only. Blocks.
  func usage(_ id: String) throws(EngineError) -> Int64

  /// Once, at start, before anything else: adopts what the database knows of and sweeps the rest. Answers what is missing.
  func recover(layers: Set<Digest>, snapshots: [String: [Digest]]) throws(EngineError) -> SnapshotRecovery

  /// Lets go of what was made ahead; what snapshots lie on stays.
  func close()
}

extension Snapshotter {
  public func prepareToStart(_ id: String, layers: [Digest], volatile: Bool) throws(EngineError) -> Snapshot {
    try prepare(id, layers: layers)
  }

  public func takeMount(_ id: String) -> SharedDescriptor? { nil }

  public func close() {}
}

/// A committed layer.
public struct Layer: Sendable, Equatable {
  public let diffID: Digest
  /// Bytes of its regular files.
  public let size: Int64

  public init(diffID: Digest, size: Int64) {
    self.diffID = diffID
    self.size = size
  }
}

/// A tar doesn't hash to the diff id that it was given for.
public struct LayerMismatch: Error, Sendable, Equatable, CustomStringConvertible {
  public let expected: Digest
  public let actual: Digest

  public init(expected: Digest, actual: Digest) {
    self.expected = expected
    self.actual = actual
  }

  public var description: String { "layer \(expected) has the digest \(actual)" }
}

/// What the runtime mounts as an overlay.
public struct Snapshot: Sendable, Equatable {
  public let id: String
  /// Absolute paths of directories, topmost first; empty for an image without layers.
  public let lower: [String]
  public let upper: String
  public let work: String

  public init(id: String, lower: [String], upper: String, work: String) {
    self.id = id
    self.lower = lower
    self.upper = upper
    self.work = work
  }
}

/// What the database knows of and the disk doesn't have.
public struct SnapshotRecovery: Sendable, Equatable {
  public var missingLayers: Set<Digest> = []
  public var missingSnapshots: Set<String> = []

  public init() {}
}

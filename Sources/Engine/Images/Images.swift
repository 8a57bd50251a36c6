import CLinux
public import ContentStore
import Dispatch
public import Errdefs
public import Events
import Kernel
public import Logging
public import Metadata
public import OCI
public import Registry
public import Snapshots
import Synchronization

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
/// Rows (Metadata): `images` id → `{added, lastTagged, parent}`, `image_names` reference → id, `layers` diff id → `{size, blob}`.
///
/// Locks: the changes' queue, then the table's `Mutex`, held for no I/O.
///
/// Must not: know of the API's JSON, of containers but through `ImageUsers`, or delete a blob of an image it can't read.
public final class Images: Sendable {
  public let content: ContentStore
  public let snapshotter: any Snapshotter
  public let registry: Registry
  let transfers = LayerTransfers()
  let metadata: Metadata
  let events: Events
  let logger: Logger

  let table = Mutex(ImageTable())
  private let users = Mutex<(any ImageUsers)?>(nil)
  /// Where changes take place, one after another.
  let changes = DispatchQueue(label: "images.changes")
  /// Where archives are read and unpacked.
  let work = DispatchQueue(label: "images.work", attributes: .concurrent)
  /// Layers and blobs that loads under way need, and by how many; touched on the changes' queue.
  let pins = Mutex<[Digest: Int]>([:])

  /// Reads the database. Blocks; `recover` must follow before anything is changed.
  public init(
    metadata: Metadata, content: ContentStore, snapshotter: any Snapshotter, events: Events,
    registry: Registry? = nil, logger: Logger
  ) throws {
    self.registry = registry ?? Registry(logger: logger)
    self.metadata = metadata
    self.content = content
    self.snapshotter = snapshotter
    self.events = events
    self.logger = logger
    let read = try readTable()
    table.withLock { $0 = read }
  }

  /// Once, at start: adopts what the database knows of and sweeps the rest. `snapshots`: the containers' ids and layers (bottom first).
  /// Answers what containers have lost; images that lost a layer are told in the log and stay, damaged. Blocks.
  public func recover(snapshots: [String: [Digest]]) throws -> SnapshotRecovery {
    let known = table.withLock { $0 }
    let missingBlobs = try content.recover(owned: known.ownedBlobs().union(unreadable.withLock { $0 }))
    let recovery = try snapshotter.recover(layers: Set(known.layers.keys), snapshots: snapshots)
    for digest in missingBlobs.sorted() { logger.error("content is missing", metadata: ["digest": "\(digest)"]) }
    table.withLock { table in
      table.missingLayers = recovery.missingLayers
      table.rebuildAll()
      for image in table.images.values where !image.missingLayers.isEmpty {
        logger.error(
          "image has lost layers: load it again",
          metadata: ["image": "\(image.id)", "layers": "\(image.missingLayers.map(\.description).sorted())"])
      }
    }
    return recovery
  }

  /// Blobs of images whose configuration couldn't be read: kept as they are.
  let unreadable = Mutex<Set<Digest>>([])

  /// Once, when Containers is there.
  public func setUsers(_ users: any ImageUsers) { self.users.withLock { $0 = users } }

  func imageUses() -> [ImageUse] { users.withLock { $0 }?.imageUses() ?? [] }

  /// The bytes of the image's configuration document.
  public func configuration(_ image: Image) async throws -> [UInt8] {
    try await onThread(work) { [content] in try content.read(image.id) }
  }

  // MARK: reads

  /// By name, name and digest, id, or the beginning of an id. Never waits.
  /// Throws 404 `No such image: busybox:latest`, or 400 for what isn't a reference.
  public func resolve(_ name: String) throws(EngineError) -> Image {
    try Self.resolve(name, in: table.withLock { $0 })
  }

  static func resolve(_ name: String, in table: ImageTable) throws(EngineError) -> Image {
    if let id = Digest(name) ?? Digest(hex: name) {
      if let image = table.images[id] { return image }
      throw .notFound("No such image: \(id)")
    }
    let reference: Reference
    do throws(ReferenceError) { reference = try Reference(name) } catch {
      // A prefix of an id that no name can be: `sha256:abc` is a name with a tag.
      throw .invalidParameter(error.description)
    }
    if let id = table.names[Self.key(reference)], let image = table.images[id] { return image }
    if let image = search(prefix: name, in: table) { return image }
    throw .notFound("No such image: \(reference.tagged.familiar)")
  }

  /// With a digest, the tag doesn't count: a tag moves, the content is what was asked for.
  static func key(_ reference: Reference) -> Reference {
    reference.digest.map { reference.with(digest: $0) } ?? reference.tagged
  }

  /// The one image whose id begins so; `nil` when there is none, or more than one.
  private static func search(prefix: String, in table: ImageTable) -> Image? {
    let digits = prefix.hasPrefix("sha256:") ? prefix.dropFirst(7) : prefix[...]
    guard !digits.isEmpty else { return nil }
    var found: Image?
    for (id, image) in table.images where id.hex.hasPrefix(digits) {
      guard found == nil else { return nil }
      found = image
    }
    return found
  }

  // MARK: for the other files

  /// Runs what may block off the cooperative pool.
  func onThread<T: Sendable>(_ queue: DispatchQueue, _ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try body() }) }
    }
  }

  func tell(
    _ action: String, _ id: String, name: String? = nil, labels: [String: String] = [:], _ more: [String: String] = [:]
  ) {
    var attributes = labels
    if let name { attributes["name"] = name }
    attributes.merge(more) { $1 }
    events.publish(Event(.image, action, id: id, attributes: attributes, time: Sys.realtimeNanoseconds()))
  }

  static func now() -> Timestamp { Timestamp(nanosecondsSinceEpoch: Sys.realtimeNanoseconds()) }
}

import CLinux
import Dispatch
public import Errdefs
public import Kernel
public import OCI
import Rootfs
import Synchronization

/// `Snapshotter` on overlayfs: layers as unpacked trees or as mounted indexes, of which new ones are made as `format` says, and those that are
/// there stay as they are. See `Snapshotter` for the files.
public final class OverlaySnapshotter: Snapshotter {
  public var driver: String { format == .erofs ? "erofs" : "overlay2" }

  let format: LayerFormat
  let mounts: ImageMounts

  let layersPath: String
  let snapshotsPath: String
  let poolPath: String
  let trash: Trash
  /// Files, and directories, which end in a slash; in `pointsPath`, and where an image hides them there, in overlays that are made ahead.
  let mountPoints: [String]
  /// Lies below every image's layers and holds the mount points empty, so that they needn't be made, and deleted, for each snapshot:
  /// seven inodes, for which ext4 looks long where others were deleted lately.
  let pointsPath: String
  let poolQueue = DispatchQueue(label: "snapshots.pool", qos: .utility)
  private let counter = Atomic<UInt64>(0)
  let state = Mutex(State())

  /// Pairs of directories kept ready, and the number at which more are made.
  static let poolSize = 32
  static let poolLow = 20

  struct State {
    var layers: [Digest: LayerState] = [:]
    /// Snapshots and their layers, bottom first.
    var snapshots: [String: [Digest]] = [:]
    /// Names of directories in the pool.
    var pool: [String] = []
    var isFilling = false
    var ahead = AheadState()
  }

  struct LayerState {
    var layer: Layer
    var root: RootAttributes?
    var format = LayerFormat.directory
    /// Files that its index points into.
    var devices = 0
    /// Snapshots that lie on it.
    var users = 0
    /// To be removed when the last of them goes.
    var isCondemned = false
  }

  /// The root directory's own, where the layer's tar tells them: an overlay shows its topmost directory's, which is the snapshot's.
  struct RootAttributes: Equatable {
    var mode: UInt32
    var uid: UInt32
    var gid: UInt32

    static let usual = RootAttributes(mode: 0o755, uid: 0, gid: 0)
  }

  /// Makes the directories that are missing. `mountPoints`: absolute paths that nearly every container mounts something on; files,
  /// and directories, which end in a slash. `onFailure` hears of what couldn't be deleted or made ahead.
  /// `mounts`: where indexes are mounted, below the exec root; made when it is needed.
  public init(
    dataRoot: String, mounts: String, format: LayerFormat = .directory, mountPoints: [String] = [],
    onFailure: @escaping @Sendable (SyscallError) -> Void = { _ in }
  ) throws(EngineError) {
    self.mountPoints = mountPoints
    self.format = format
    self.mounts = ImageMounts(path: mounts, indexes: dataRoot + "/images", onFailure: onFailure)
    layersPath = dataRoot + "/layers"
    snapshotsPath = dataRoot + "/snapshots"
    poolPath = snapshotsPath + "/.pool"
    pointsPath = dataRoot + "/mountpoints"
    do throws(SyscallError) {
      // The data root keeps others out of the set-id files in here; 0711 lets a remapped root pass that got so far.
      for directory in [layersPath, snapshotsPath] { try Sys.mkdirAll(directory, mode: 0o711) }
      try Sys.mkdirAll(poolPath, mode: 0o700)
      // Unpacking Debian after its removal took 2.7 to 4.5 s of system time without, 0.3 s with it.
      for directory in [layersPath, snapshotsPath, poolPath] { try Sys.spreadDirectories(of: directory) }
      try Self.make(mountPoints, in: pointsPath)
      trash = try Trash(path: dataRoot + "/trash", onFailure: onFailure)
    } catch { throw .system("open the snapshots: \(error)", cause: error) }
    self.onFailure = onFailure
  }

  private static func make(_ mountPoints: [String], in path: String) throws(SyscallError) {
    try Sys.mkdirAll(path, mode: 0o755)
    let tree = Root(owning: try Sys.open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW))
    for point in mountPoints {
      if point.hasSuffix("/") { _ = try tree.makeDirectory(point) } else { _ = try tree.makeFile(point) }
    }
  }

  let onFailure: @Sendable (SyscallError) -> Void

  func layerPath(_ diffID: Digest) -> String { "\(layersPath)/\(diffID.hex)" }
  func snapshotPath(_ id: String) -> String { "\(snapshotsPath)/\(id)" }

  // MARK: snapshots

  public func prepare(_ id: String, layers: [Digest]) throws(EngineError) -> Snapshot {
    guard Self.isName(id) else { throw .invalidParameter("invalid snapshot name \"\(id)\"") }
    let reservation = state.withLock {
      state -> Result<(pooled: String?, root: RootAttributes, chains: [ImageMounts.Chain]), EngineError> in
      guard state.snapshots[id] == nil else { return .failure(.conflict("snapshot \(id) exists already")) }
      var root = RootAttributes.usual
      for layer in layers {
        guard let found = state.layers[layer] else { return .failure(.notFound("layer \(layer) is missing")) }
        root = found.root ?? root
      }
      for layer in layers { state.layers[layer]?.users += 1 }
      state.snapshots[id] = layers
      return .success((state.pool.popLast(), root, Self.chains(lowers(layers, state))))
    }
    let (pooled, root, chains) = try reservation.get()
    mounts.hold(chains)
    do throws(SyscallError) {
      try make(id, from: pooled, root)
    } catch {
      release(id)
      throw .system("prepare snapshot \(id): \(error)", cause: error)
    }
    fillPool()
    do throws(EngineError) { return try snapshot(id, layers) } catch {
      try remove(id)
      throw error
    }
  }

  private func make(_ id: String, from pooled: String?, _ root: RootAttributes) throws(SyscallError) {
    let path = snapshotPath(id)
    if let pooled {
      // A directory that is there already would be a stranger's: rename refuses one that isn't empty.
      try Sys.rename("\(poolPath)/\(pooled)", to: path)
    } else {
      try makeDirectories(path)
    }
    try applyRoot(root, to: path)
  }

  func applyRoot(_ root: RootAttributes, to path: String) throws(SyscallError) {
    guard root != .usual else { return }
    let upper = try Sys.open("\(path)/upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    try Sys.chown(upper.raw, root.uid, root.gid)
    try Sys.fchmod(upper.raw, mode_t(root.mode))
  }

  func makeDirectories(_ path: String) throws(SyscallError) {
    try Sys.mkdir(path, mode: 0o711)
    for name in ["upper", "work"] {
      try Sys.mkdir("\(path)/\(name)", mode: 0o755)
      // Whatever the umask is.
      try Sys.chmod("\(path)/\(name)", 0o755)
    }
  }

  public func snapshot(_ id: String) throws(EngineError) -> Snapshot? {
    // Whoever wants the directories mustn't find them in the hands of a mount.
    _ = takeMount(id)
    guard let layers = state.withLock({ $0.snapshots[id] }) else { return nil }
    return try snapshot(id, layers)
  }

  func snapshot(_ id: String, _ layers: [Digest]) throws(EngineError) -> Snapshot {
    let lower: [String]
    do { lower = try lowerPaths(layers) } catch {
      throw .system("mount the layers of snapshot \(id): \(error)", cause: error)
    }
    return Snapshot(id: id, lower: lower, upper: snapshotPath(id) + "/upper", work: snapshotPath(id) + "/work")
  }

  public func remove(_ id: String) throws(EngineError) {
    guard Self.isName(id) else { throw .invalidParameter("invalid snapshot name \"\(id)\"") }
    _ = takeMount(id)
    do throws(SyscallError) { try trash.discard(snapshotPath(id)) } catch {
      throw .system("remove snapshot \(id): \(error)", cause: error)
    }
    release(id)
  }

  /// Takes the snapshot off its layers; those that wait for that go.
  func release(_ id: String) { release(state.withLock { $0.snapshots.removeValue(forKey: id) } ?? []) }

  /// One user of each less.
  func release(_ layers: [Digest]) {
    let (free, chains) = state.withLock { state -> ([Digest], [ImageMounts.Chain]) in
      let chains = Self.chains(lowers(layers, state))
      var free: [Digest] = []
      for layer in layers {
        state.layers[layer]?.users -= 1
        if let found = state.layers[layer], found.isCondemned, found.users == 0 {
          state.layers[layer] = nil
          free.append(layer)
        }
      }
      return (free, chains)
    }
    mounts.release(chains)
    for layer in free { discardLayer(layer) }
  }

  public func usage(_ id: String) throws(EngineError) -> Int64 {
    guard Self.isName(id) else { throw .invalidParameter("invalid snapshot name \"\(id)\"") }
    do throws(SyscallError) { return try TreeSize.measure(snapshotPath(id) + "/upper") } catch {
      if error.errno == .noSuchFile { throw .notFound("snapshot \(id): not found") }
      throw .system("measure snapshot \(id): \(error)", cause: error)
    }
  }

  // MARK: layers

  public func layer(_ diffID: Digest) -> Layer? {
    state.withLock { state in state.layers[diffID].flatMap { $0.isCondemned ? nil : $0.layer } }
  }

  public func removeLayer(_ diffID: Digest) {
    dropAhead { $0.layers.contains(diffID) }
    let isFree = state.withLock { state -> Bool in
      guard let found = state.layers[diffID] else { return false }
      guard found.users == 0 else {
        state.layers[diffID]?.isCondemned = true
        return false
      }
      state.layers[diffID] = nil
      return true
    }
    if isFree { discardLayer(diffID) }
  }

  private func discardLayer(_ diffID: Digest) {
    mounts.forget(layer: layerPath(diffID))
    // What can't be moved now is swept at the next start, since no record names it.
    do throws(SyscallError) { try trash.discard(layerPath(diffID)) } catch { onFailure(error) }
  }

  func newStagingPath() -> String { "\(layersPath)/.new-\(counter.add(1, ordering: .relaxed).newValue)" }

  // MARK: the pool

  /// Makes directories ahead, on a thread of its own, when few are left.
  func fillPool() {
    let isNeeded = state.withLock { state in
      guard !state.isFilling, state.pool.count < Self.poolLow else { return false }
      state.isFilling = true
      return true
    }
    guard isNeeded else { return }
    poolQueue.async { [self] in
      defer { state.withLock { $0.isFilling = false } }
      while state.withLock({ $0.pool.count < Self.poolSize }) {
        let name = newPoolName()
        do throws(SyscallError) { try makeDirectories("\(poolPath)/\(name)") } catch { return onFailure(error) }
        state.withLock { $0.pool.append(name) }
      }
    }
  }

  func newPoolName() -> String { "\(Sys.realtimeNanoseconds())-\(counter.add(1, ordering: .relaxed).newValue)" }

  /// Waits for what goes on behind: the pool filled, the trash empty. For an orderly end, and for tests.
  public func settle() {
    poolQueue.sync {}
    mounts.settle()
    trash.drain()
  }

  public func close() {
    dropAhead { _ in true }
    mounts.settle()
  }

  /// Names of owners: letters, digits, `_`, `-` and, not first, `.`.
  static func isName(_ id: String) -> Bool {
    guard (1...200).contains(id.utf8.count), !id.hasPrefix(".") else { return false }
    return id.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."):
        true
      default: false
      }
    }
  }
}

import Dispatch
import Errdefs
public import Events
import Kernel
public import Logging
public import Metadata
import OCI
import Synchronization

/// Volumes: directories with a name that outlive the containers that use them.
///
/// Owns: the volumes' records and files, who uses which, what is mounted for them on the host, their snapshots and their trash.
///
/// ```
/// <data-root>/berth.db             volumes: no row, no volume
/// <data-root>/volumes/
///   <name>/_data                   what containers see; the place of a host mount for volumes with options
///   <name>/volume.json             {id, name, created, …}: the row once more, beside the data that it is about
///   <name>/fs.img                  a volume with a size where there are no project quotas: its file system, mounted at _data while
///                                  somebody uses it
///   <name>/filling                 what an image has is being copied into that file system
///   <name>/snapshots/<name>/_data  (+ snapshot.json) whole or not there
///   .new-<id>/                     a volume on its way in
///   .trash/<id>/                   a removed volume, as it was, until it is deleted for good
///   .gone-<…>/                     on its way out
/// ```
///
/// A volume has an id for its life and a name that may change; containers hold the id. Its states: being made (`.new-…`, swept after
/// a crash) → there → removed (in the trash, its row gone; `undelete` brings it back) → deleted. Anonymous ones skip the trash.
///
/// Order on disk: a new directory is written and synced, moved to its name, and then a synced transaction makes it exist. A directory
/// without a row is whole all the same (the daemon died in between, or the database was lost), so `recover` takes it in rather than
/// deletes it. A removal first marks the row, then moves the directory, then deletes the row: a marked row is removed at the next start.
///
/// Uses: each container that names a volume holds it from its creation to its removal. They aren't counted on disk: `recover` learns
/// them from the containers' own rows, so that a crash can't make them wrong. Mounts on the host are counted by running containers, and
/// found again in `/proc/self/mountinfo`.
///
/// Locks: `table` alone, held for copies only. Operations on one volume queue by its id, those on one name by that name (`queue`); a
/// queue of a name may be taken first, then one of an id, never the other way round but for a new name in `rename`.
///
/// Must not: delete what a user made because it can't be read; follow a link in a volume; know of containers but by their ids.
public final class Volumes: Sendable {
  public struct Configuration: Sendable {
    public var dataRoot: String
    /// How long a removed volume with a name of its own stays in the trash, in seconds; 0: not at all.
    public var trashSeconds: Int64 = 24 * 3600
    /// Whether a path of the host may be mounted by `--opt device=`; throws when not.
    public var checkDevice: @Sendable (_ path: String, _ isWritable: Bool) throws -> Void = { _, _ in }

    public init(dataRoot: String) { self.dataRoot = dataRoot }
  }

  struct Entry {
    var volume: Volume
    /// Ids of the containers that hold it, running or not.
    var users: Set<String> = []
    /// Of those, the running ones.
    var running: Set<String> = []
    /// What it holds, and when that was measured (monotonic nanoseconds).
    var usage: (bytes: Int64, at: UInt64)?
    var isBeingRemoved = false
  }

  struct Table {
    var byID: [String: Entry] = [:]
    var names: [String: String] = [:]
    /// Of volumes that are being made.
    var reserved: Set<String> = []
    var trash: [String: TrashedVolume] = [:]
  }

  let configuration: Configuration
  /// `<data-root>/volumes`
  let root: String
  let metadata: Metadata
  let events: Events
  let logger: Logger
  let table = Mutex(Table())
  let queue = KeyedQueue()
  /// Empties the trash in time.
  let keeper = Mutex<Task<Void, Never>?>(nil)

  /// Makes the directory; volumes are there after `recover`.
  public init(configuration: Configuration, metadata: Metadata, events: Events, logger: Logger) throws {
    self.configuration = configuration
    self.metadata = metadata
    self.events = events
    self.logger = logger
    root = configuration.dataRoot + "/volumes"
    // 0711: a remapped root may pass, nobody else may list.
    try Sys.mkdirAll(root, mode: 0o711)
    try Sys.mkdirAll(root + "/.trash", mode: 0o700)
  }

  // MARK: Places

  func directory(_ name: String) -> String { "\(root)/\(name)" }
  func data(_ name: String) -> String { "\(root)/\(name)/_data" }

  // MARK: Finding

  /// By name, or by the id of one that has another name. Throws `get x: no such volume`.
  func find(_ reference: String) throws -> Entry {
    try table.withLock { table in
      if let id = table.names[reference], let entry = table.byID[id] { return entry }
      if let entry = table.byID[reference] { return entry }
      throw EngineError.notFound("get \(reference): no such volume")
    }
  }

  /// Throws `get x: no such volume`.
  public func inspect(_ reference: String) throws -> Volume { try find(reference).volume }

  /// By its id; nil when there is none.
  public func volume(id: String) -> Volume? { table.withLock { $0.byID[id]?.volume } }

  // MARK: Telling

  func tell(_ action: String, _ name: String, _ attributes: [String: String]) {
    events.publish(Event(.volume, action, id: name, attributes: attributes, time: Sys.realtimeNanoseconds()))
  }

  /// Runs what waits for a disk away from the cooperative pool.
  func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global(qos: .userInitiated).async { continuation.resume(with: Result(catching: body)) }
    }
  }

  /// Deletes a tree that has no name any more, behind. What fails is logged, and swept at the next start.
  func discard(_ path: String) throws {
    let gone = "\(root)/.gone-\(Self.newID().prefix(16))"
    do throws(SyscallError) { try Sys.rename(path, to: gone) } catch {
      guard error.errno == .noSuchFile else { throw error }
      return
    }
    delete(gone)
  }

  /// The same for what didn't come to be: the failure that is told is another.
  func abandon(_ path: String) async {
    do { try await blocking { [self] in try discard(path) } } catch {
      logger.warning("discard \"\(path)\", which is swept at the next start: \(error)")
    }
  }

  func delete(_ gone: String) {
    DispatchQueue.global(qos: .utility).async { [logger, root] in
      do {
        let project = Self.project(recordedIn: gone)
        try Sys.removeTree(gone)
        // The limit goes after the files, so that the project is free for another volume.
        if project != 0 { try ProjectQuota.limit(project, to: 0, on: root) }
      } catch { logger.warning("delete a removed volume: \(error)") }
    }
  }

  /// Of a removed volume; 0: none, or what is removed is none.
  private static func project(recordedIn directory: String) -> UInt32 {
    guard let text = try? Sys.readFile(directory + "/volume.json", limit: 1 << 20), let json = try? JSON.parse(text)
    else {
      return 0
    }
    return UInt32(exactly: json["project"]?.intValue ?? 0) ?? 0
  }

  /// 64 hexadecimal digits, as Docker names anonymous volumes.
  static func newID() -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: Sys.random(32).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}

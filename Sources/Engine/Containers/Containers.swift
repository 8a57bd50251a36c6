import Dispatch
import Errdefs
public import Events
import Kernel
public import Logging
public import Metadata
import OCI
public import Snapshots
import Synchronization

/// Containers: from a request to a process and back to nothing, with every state, log line and exit code on the way.
///
/// Owns: the containers' records, their life cycle (`ContainerState` draws it), execs, logs, restart policies, health checks, and
/// the daemon's end of the shims. What a container is made of comes from others: images and snapshots give the root,
/// `ContainerNetworking` the network, `ContainerVolumes` the volumes, `Cgroups` and `Seccomp` the confinement, the shim the process.
///
/// ```
/// <data-root>/berth.db                      containers: the record is the container; no row, no container
/// <data-root>/containers/<id>/
///   <id>-json.log (.1, .2, …)               written by the shim
///   exit.json                               how it ended, written by the shim
/// <data-root>/snapshots/<id>/               what it wrote (Snapshots)
/// <exec-root>/shims.log                     what shims complain of: lost log lines, failed calls
/// <exec-root>/containers/<id>/              while it runs: shim.sock, network.json, hostname, hosts, resolv.conf
/// <exec-root>/seccomp/<key>.bpf             compiled filters
/// ```
///
/// Each container has a queue (`OperationQueue`): start, stop, pause, rename, update, removal go one after another, and one container
/// never waits for another's. Kill, wait, attach, lists and `inspect` take no queue: they read the present snapshot. An exit is
/// handled when the shim tells it, whatever operation is under way.
///
/// Crash safety: rows are written before what they name is handed out, and removed before what they name is taken away, so at the next
/// start (`recover`) whatever has no row is an orphan and goes, and whatever has one is adopted (its shim answers), ended (its exit
/// record or its absence says so) or taken up where it stood.
///
/// Locks: `table`, then `Container.live`, then a container's snapshot; all held for copies only.
///
/// Must not: copy stdio, wait for a disk under a lock, or know of the API's JSON.
public final class Containers: Sendable {
  public struct Configuration: Sendable {
    public var dataRoot: String
    public var execRoot: String
    /// The group above the containers' own, `/berth`.
    public var cgroupParent: String
    /// The shim's program.
    public var shimProgram: String
    /// `json-file` or `none`, with options, for containers that don't say.
    public var logDriver = "json-file"
    public var logOptions: [String: String] = [:]
    /// `--init` of the daemon.
    public var useInit = false
    public var ulimits: [HostResources.Ulimit] = []
    /// Seconds between the stop signal and SIGKILL, unless the container says.
    public var stopTimeout = 10
    public var noNewPrivileges = false
    /// The JSON of a profile that takes the place of the built-in one.
    public var seccompProfile: String?
    /// Bytes.
    public var shmSize: Int64 = 64 << 20
    /// `private` or `shareable`.
    public var ipcMode = "private"
    /// `--userns-remap`: the ids of containers that don't ask for the host's; nil: all have the host's.
    public var remap: UserMapping?
    /// What of the host may be bound.
    public var bindPolicy = BindPolicy()
    /// Paths on which the engine listens, to warn whoever gives one away.
    public var sockets: [String] = []

    public init(dataRoot: String, execRoot: String, cgroupParent: String, shimProgram: String) {
      self.dataRoot = dataRoot
      self.execRoot = execRoot
      self.cgroupParent = cgroupParent
      self.shimProgram = shimProgram
    }
  }

  struct Table {
    var byID: [String: Container] = [:]
    /// Reserved from before the row exists until after it is gone.
    var names: [String: String] = [:]
    var execs: [String: String] = [:]
  }

  let configuration: Configuration
  let metadata: Metadata
  let events: Events
  let images: any ContainerImages
  let networks: any ContainerNetworking
  let volumes: any ContainerVolumes
  let snapshotter: any Snapshotter
  let host: HostFacts
  let logger: Logger
  let seccomp: SeccompCache
  let shims: ShimLauncher
  let availableCapabilities: Set<String>
  let table = Mutex(Table())
  /// Made with the first follower of a log.
  let watchHolder = Mutex<FileWatch?>(nil)
  /// The daemon is going down: nothing is restarted any more.
  let stopping = Atomic<Bool>(false)

  /// Makes the directories; containers are there after `recover`.
  public init(
    configuration: Configuration, metadata: Metadata, events: Events, images: any ContainerImages,
    networks: any ContainerNetworking, volumes: any ContainerVolumes, snapshotter: any Snapshotter, host: HostFacts,
    logger: Logger
  ) throws {
    self.configuration = configuration
    self.metadata = metadata
    self.events = events
    self.images = images
    self.networks = networks
    self.volumes = volumes
    self.snapshotter = snapshotter
    self.host = host
    self.logger = logger
    try Sys.mkdirAll(configuration.dataRoot + "/containers", mode: 0o710)
    try Sys.spreadDirectories(of: configuration.dataRoot + "/containers")
    try Sys.mkdirAll(configuration.execRoot + "/containers", mode: 0o710)
    seccomp = try SeccompCache(directory: configuration.execRoot + "/seccomp", kernel: host.kernel)
    shims = try ShimLauncher(
      program: configuration.shimProgram, errors: configuration.execRoot + "/shims.log")
    let permitted = try Sys.capget().permitted
    availableCapabilities = Set(
      CapabilitySet.all.enumerated().filter { permitted & (1 << UInt64($0.offset)) != 0 }.map(\.element))
  }

  // MARK: Places

  func directory(_ id: String) -> String { configuration.dataRoot + "/containers/" + id }
  func runDirectory(_ id: String) -> String { configuration.execRoot + "/containers/" + id }
  func exitRecord(_ id: String) -> String { directory(id) + "/exit.json" }

  // MARK: Finding

  /// The container of an id, a name with or without slash, or an unambiguous beginning of an id.
  func find(_ reference: String) throws -> Container {
    guard !reference.isEmpty else { throw EngineError.invalidParameter("invalid name or ID supplied: \"\"") }
    return try table.withLock { table in
      if let container = table.byID[reference] { return container }
      let name = reference.hasPrefix("/") ? String(reference.dropFirst()) : reference
      if let id = table.names[name], let container = table.byID[id] { return container }
      var found: Container?
      for (id, container) in table.byID where id.hasPrefix(reference) {
        guard found == nil else {
          throw EngineError.invalidParameter("Multiple IDs found with provided prefix: \(reference)")
        }
        found = container
      }
      guard let found else { throw EngineError.notFound("No such container: \(reference)") }
      return found
    }
  }

  func all() -> [Container] { table.withLock { Array($0.byID.values) } }

  /// Every container as it is now, in no order.
  public func snapshots() -> [ContainerSnapshot] { all().map(\.snapshot) }

  /// All that is known of it now. Throws `No such container: x`.
  public func inspect(_ reference: String) throws -> ContainerSnapshot {
    let container = try find(reference)
    var snapshot = present(container.snapshot)
    snapshot.execIDs = container.live.withLock { $0.execs.values.filter(\.isRunning).map(\.id).sorted() }
    return snapshot
  }

  // MARK: Telling

  /// Publishes a container's event, with Docker's attributes: its labels, `image`, `name` and those given.
  func tell(_ action: String, _ snapshot: ContainerSnapshot, _ attributes: [String: String] = [:]) {
    var all = snapshot.config.labels
    if !snapshot.config.image.isEmpty { all["image"] = snapshot.config.image }
    all["name"] = snapshot.name
    all.merge(attributes) { $1 }
    events.publish(Event(.container, action, id: snapshot.id, attributes: all, time: Sys.realtimeNanoseconds()))
  }

  /// Writes the present state into the row. The row gets what is present when it is written, so writes can't overtake one another.
  func save(_ container: Container) async {
    do {
      try await metadata.write { transaction in
        let snapshot = container.snapshot
        try transaction.updateContainer(snapshot.id, state: snapshot.stateJSON.text)
      }
    } catch { logger.error("save the state of container \(container.id): \(error)") }
  }

  /// As `save`, with name and configuration.
  func saveAll(_ container: Container) async throws {
    try await metadata.write { transaction in
      let snapshot = container.snapshot
      try transaction.updateContainer(
        snapshot.id, name: snapshot.name, config: snapshot.configJSON.text, state: snapshot.stateJSON.text)
    }
  }

  /// Runs what waits for a disk or for the kernel away from the cooperative pool.
  func blocking<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global(qos: .userInitiated).async { continuation.resume(with: Result(catching: body)) }
    }
  }

  /// Does it after the answer: clean-up that nobody waits for. What fails is logged, and swept at the next start.
  func behind(_ what: String, _ body: @escaping @Sendable () throws -> Void) {
    DispatchQueue.global(qos: .utility).async { [logger] in
      do { try body() } catch { logger.warning("\(what): \(error)") }
    }
  }
}

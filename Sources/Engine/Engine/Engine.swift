import Cgroups
import CLinux
public import Containers
import ContentStore
import EROFS
import Errdefs
public import Events
public import Images
import Kernel
public import Logging
import Metadata
public import Networks
import OCI
import Registry
import Snapshots
import Synchronization
public import Volumes

/// The wiring of the nouns: opens what is on disk, makes each noun with what it needs, and brings them up in the order in which they need
/// one another.
///
/// Start: lock → database → content, snapshots (which learn from the containers' rows what to keep) → images → networks → volumes → containers
/// (which adopt what runs, let the networks keep what it uses, and sweep the rest). Only then is the API to be served.
///
/// ```
/// <data-root>/berth.lock     one daemon a data root
/// <exec-root>/shims.log      what went wrong in shims
/// ```
///
/// No logic, and nobody calls back into it: the adapters at the end (`ImageSource`, `NetworkSource`, `VolumeSource`, `ContainerUses`) only translate
/// one noun's words into another's.
public final class Engine: Sendable {
  public let containers: Containers
  public let images: Images
  public let networks: Networks
  public let volumes: Volumes
  public let events: Events
  /// Of this installation, the same for the life of the data root.
  public let id: String
  public let host: HostFacts
  /// `--userns-remap`
  public var remapsUsers: Bool { containers.remapsUsers }
  /// As `docker info` names it.
  public let storageDriver: String

  private let metadata: Metadata
  private let logger: Logger
  /// Until `stop`.
  private let lock: Mutex<DataRootLock?>

  private init(
    containers: Containers, images: Images, networks: Networks, volumes: Volumes, events: Events, id: String,
    host: HostFacts, storageDriver: String, metadata: Metadata, logger: Logger, lock: DataRootLock
  ) {
    self.containers = containers
    self.images = images
    self.networks = networks
    self.volumes = volumes
    self.events = events
    self.id = id
    self.host = host
    self.storageDriver = storageDriver
    self.metadata = metadata
    self.logger = logger
    self.lock = Mutex(lock)
  }

  /// Brings everything up; containers that ran go on. Throws when another daemon has the data root, or when something on disk can't be
  /// read: nothing is deleted then.
  public static func start(_ configuration: EngineConfiguration, logger: Logger) async throws -> Engine {
    let dataRoot = configuration.dataRoot
    let execRoot = configuration.execRoot
    try Sys.mkdirAll(dataRoot, mode: 0o710)
    try Sys.mkdirAll(execRoot, mode: 0o711)
    let lock = try DataRootLock(dataRoot)
    let host = try HostFacts.read(layout: try CgroupLayout.probe())
    let metadata = try Metadata(path: dataRoot + "/berth.db")
    let id = try await installation(metadata)
    let events = Events()

    let content = try ContentStore(root: dataRoot + "/content")
    if configuration.layerFormat == .erofs { try probe(dataRoot) }
    let snapshotter = try OverlaySnapshotter(
      dataRoot: dataRoot, mounts: execRoot + "/layers", format: configuration.layerFormat,
      mountPoints: Containers.mountPoints
    ) { logger.warning("snapshots: \($0)") }
    let images = try Images(
      metadata: metadata, content: content, snapshotter: snapshotter, events: events,
      registry: Registry(configuration: configuration.registries, logger: logger), logger: logger)
    let recovery = try images.recover(snapshots: try Containers.snapshots(in: metadata))
    let networks = try Networks(
      configuration: configuration.networks, logger: logger, store: NetworkRecords(metadata: metadata)
    ) { event in
      var attributes = ["name": event.name, "type": event.type]
      if !event.container.isEmpty { attributes["container"] = event.container }
      events.publish(
        Event(.network, event.action, id: event.networkID, attributes: attributes, time: Sys.realtimeNanoseconds()))
    }
    var volumeSettings = configuration.volumes
    volumeSettings.checkDevice = { [policy = configuration.containers.bindPolicy] path, isWritable in
      try policy.check(path: path, isWritable: isWritable)
    }
    let volumes = try Volumes(
      configuration: volumeSettings, metadata: metadata, events: events, logger: logger)
    try await volumes.recover()
    let containers = try Containers(
      configuration: configuration.containers, metadata: metadata, events: events, images: ImageSource(images: images),
      networks: NetworkSource(networks: networks), volumes: VolumeSource(volumes: volumes), snapshotter: snapshotter,
      host: host, logger: logger)
    images.setUsers(ContainerUses(containers: containers))
    try await containers.recover(missing: recovery.missingSnapshots)
    return Engine(
      containers: containers, images: images, networks: networks, volumes: volumes, events: events, id: id, host: host,
      storageDriver: snapshotter.driver, metadata: metadata, logger: logger, lock: lock)
  }

  /// Lets go of everything; containers run on, and their shims with them.
  public func stop() async {
    await containers.shutDown()
    await images.registry.shutDown()
    await networks.close()
    volumes.shutDown()
    images.snapshotter.close()
    do { try metadata.close() } catch { logger.error("close the database: \(error)") }
    lock.withLock { $0 = nil }
  }

  /// Whether this kernel mounts what the storage driver `erofs` makes.
  private static func probe(_ dataRoot: String) throws {
    do { try EROFS.probe(in: dataRoot) } catch {
      throw EngineError.system(
        "storage driver erofs: this kernel doesn't mount an EROFS image from a file in \(dataRoot) (Linux 6.12): \(error)",
        cause: error)
    }
  }

  private static func installation(_ metadata: Metadata) async throws -> String {
    try await metadata.write { transaction in
      if let id = try transaction.value("id") { return id }
      let bytes = Sys.random(16)
      let digits = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
      let id = [0..<4, 4..<6, 6..<8, 8..<10, 10..<16].map { digits[$0].joined() }.joined(separator: "-")
      try transaction.setValue("id", id)
      return id
    }
  }
}

import CLinux
import Cgroups
import Containers
import Engine
import EngineAPI
import Kernel
import Logging
import Networks
import Registry
import Volumes

/// The daemon: options, log, lock, engine, API; then it waits for a signal.
@main struct Program {
  static let version = "0.1.0"

  /// Not an `async` main: that would leave this thread to Dispatch, which waits with every signal unblocked, so that SIGTERM would
  /// kill the daemon. This thread waits for the signals itself.
  static func main() {
    cl_map_small_pages()
    // Each arena keeps what its threads freed: half a megabyte a thread, of which there are as many as a busy moment needed.
    mallopt(M_ARENA_MAX, 2)
    do {
      // Before the first thread, so that all of them leave these signals alone.
      let signals = try TerminationSignals()
      let files = FileLimit()
      if geteuid() == 0, try Sys.isChrooted() {
        throw DaemonOptions.Failure(
          description: "the daemon's root is a chroot: an exec into a container would see the host's files instead; "
            + "start it in the host's root, or make the directory the root of a mount namespace by pivot_root")
      }
      let options = try DaemonOptions(Array(CommandLine.arguments.dropFirst()))
      if options.showsHelp { return print(DaemonOptions.help) }
      if options.showsVersion { return print("Berth version \(version)") }
      Task.detached {
        do {
          try await run(options, signals, files)
          exit(0)
        } catch { fail(error) }
      }
      signals.deliver()
    } catch { fail(error) }
  }

  private static func fail(_ error: any Error) -> Never {
    _ = try? Sys.writeAll(2, "berthd: \(error)\n")
    exit(1)
  }

  private static func run(_ options: DaemonOptions, _ signals: TerminationSignals, _ files: FileLimit) async throws {
    let level = DaemonLog.level(options.logLevel)
    LoggingSystem.bootstrap { _ in DaemonLog(level: level) }
    let log = Logger(label: "berthd")
    guard geteuid() == 0 else { throw DaemonOptions.Failure(description: "the daemon needs to be run as root") }
    umask(0o022)
    try Sys.mkdirAll(options.execRoot, mode: 0o711)
    let pidFile = try PidFile(options.pidFile, execRoot: options.execRoot)
    // Hosts that can't be are told before anything is touched.
    for host in options.hosts { _ = try Host(host) }
    let engine = try await Engine.start(try configuration(options, files), logger: log)
    let server = try EngineServer(nouns: nouns(engine, options), hosts: options.hosts, log: log) {
      // Start and first requests run through most of a large program once; what is needed again comes back from the page cache.
      cl_give_back_code()
      malloc_trim(0)
    }
    try await server.serve()
    log.info("Daemon has completed initialization")
    ReadyNotice.send("READY=1")
    let signal = await signals.wait()
    log.info("Processing signal '\(signal)'")
    ReadyNotice.send("STOPPING=1")
    await server.shutdown()
    await engine.stop()
    log.info("Daemon shutdown complete")
    _ = consume pidFile
  }

  private static func configuration(_ options: DaemonOptions, _ files: FileLimit) throws -> EngineConfiguration {
    // The shim's program stands beside the daemon's.
    let own = try Sys.readlink("/proc/self/exe")
    let directory = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? ""
    var configuration = EngineConfiguration(
      dataRoot: options.dataRoot, execRoot: options.execRoot, shimProgram: "\(directory)/berth-shim")
    if !options.bridge.isEmpty { configuration.networks.bridgeName = options.bridge }
    if !options.bridgeAddress.isEmpty { configuration.networks.bridgeAddress = options.bridgeAddress }
    if !options.defaultBinding.isEmpty { configuration.networks.defaultBinding = options.defaultBinding }
    if !options.logDriver.isEmpty { configuration.containers.logDriver = options.logDriver }
    configuration.containers.logOptions = options.logOptions
    configuration.containers.ulimits = options.ulimits
    if let given = files.replaced, !options.ulimits.contains(where: { $0.name == "nofile" }) {
      configuration.containers.ulimits.append(given)
    }
    configuration.containers.useInit = options.usesInit
    if let size = options.shmSize { configuration.containers.shmSize = size }
    if !options.ipcMode.isEmpty { configuration.containers.ipcMode = options.ipcMode }
    configuration.containers.noNewPrivileges = options.noNewPrivileges
    if !options.seccompProfile.isEmpty, options.seccompProfile != "builtin" {
      configuration.containers.seccompProfile =
        options.seccompProfile == "unconfined"
        ? "unconfined" : String(decoding: try Sys.readFile(options.seccompProfile, limit: 1 << 20), as: UTF8.self)
    }
    if !options.remap.isEmpty { configuration.containers.remap = try UserMapping(remap: options.remap) }
    configuration.containers.bindPolicy = options.bindPolicy
    configuration.containers.sockets = options.hosts.compactMap { text in
      text.hasPrefix("unix://") ? String(text.dropFirst("unix://".count)) : nil
    }
    if let hours = options.volumeTrashHours { configuration.volumes.trashSeconds = hours * 3600 }
    configuration.networks.mtu = options.mtu
    configuration.networks.addressRange = options.addressRange
    configuration.networks.enablesV6 = options.enablesV6
    configuration.networks.bridgeAddress6 = options.bridgeAddress6
    configuration.networks.addressRange6 = options.addressRange6
    configuration.networks.addressPools = options.addressPools
    configuration.networks.reachesPeers = options.reachesPeers
    configuration.networks.masquerades = options.masquerades
    configuration.networks.setsForwarding = options.setsForwarding
    configuration.networks.carries = options.carries
    configuration.networks.respectsHostFirewall = options.respectsHostFirewall
    configuration.networks.hostGateway = options.hostGateway
    configuration.networks.dns = options.dns
    configuration.networks.dnsSearch = options.dnsSearch
    configuration.networks.dnsOptions = options.dnsOptions
    try options.registries.check()
    configuration.registries = options.registries
    configuration.layerFormat = options.layerFormat
    return configuration
  }

  private static func nouns(_ engine: Engine, _ options: DaemonOptions) -> EngineNouns {
    var facts = EngineFacts(version: version, dataRoot: options.dataRoot, id: engine.id)
    facts.debug = options.debug
    facts.remapsUsers = engine.remapsUsers
    facts.labels = options.labels
    facts.storageDriver = engine.storageDriver
    facts.cgroupVersion = engine.host.layout.mode == .v2 ? 2 : 1
    return EngineNouns(
      containers: engine.containers, images: engine.images, networks: engine.networks, volumes: engine.volumes,
      events: engine.events,
      facts: facts)
  }
}

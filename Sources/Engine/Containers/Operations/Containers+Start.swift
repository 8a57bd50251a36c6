import CLinux
import ContainerRuntime
import Errdefs
import Kernel
import Logging
import OCI
import Snapshots
import Synchronization

extension Containers {
  /// Starts a container that doesn't run. Throws `.notModified` when it runs already, and Docker's text when it can't be started; the
  /// container then goes back to where it was, with the exit code 126, 127 or 128 and the reason in its state.
  public func start(_ reference: String, detachKeys: String = "") async throws {
    let container = try find(reference)
    try await container.operations.run {
      try startable(container)
      try await launch(container, manual: true)
    }
  }

  /// daemon/start.go `validateState`
  private func startable(_ container: Container) throws {
    switch container.state.status {
    case .paused: throw EngineError.conflict("cannot start a paused container, try unpause instead")
    case .running: throw EngineError(.notModified, "container is already running")
    case .removing, .dead:
      throw EngineError.conflict("container is marked for removal and cannot be started")
    case .created, .exited, .restarting: break
    }
    if container.live.withLock({ $0.removing }) {
      throw EngineError.conflict("container is marked for removal and cannot be started")
    }
  }

  /// The whole way from a record to a process, in the container's queue. `manual`: somebody asked for it, so the restart policy begins anew.
  func launch(_ container: Container, manual: Bool) async throws {
    var clock = StepClock()
    let launch = container.live.withLock { live in
      live.launch &+= 1
      live.restartDelay?.cancel()
      live.restartDelay = nil
      if manual { live.backOff = 0 }
      return live.launch
    }
    if manual {
      container.update {
        $0.hasBeenManuallyStopped = false; $0.restartCount = 0
      }
    }
    let snapshot = container.snapshot
    do {
      try await settle(container)
      clock.mark("settle")
      var prepared = try await prepare(snapshot, &clock)
      let shim = try await shims.launch(
        id: container.id, runDirectory: runDirectory(container.id), plan: prepared.plan, root: prepared.takeRoot())
      clock.mark("shim")
      let started: ShimProtocol.Started
      do {
        try await handOver(container, to: shim)
        clock.mark("attach")
        started = try await shim.start()
        clock.mark("start")
      } catch {
        shim.abandon()
        throw error
      }
      for warning in started.warnings { logger.warning("container \(container.id): \(warning)") }
      let running = container.update { snapshot in
        snapshot.state.status = .running
        snapshot.state.pid = started.pid
        snapshot.state.startedAt = started.startedAt
        snapshot.state.error = ""
        snapshot.state.oomKilled = false
        snapshot.state.exitCode = 0
        if snapshot.state.health != nil { snapshot.state.health = ContainerState.Health(status: "starting") }
        apply(prepared.attachment, to: &snapshot)
      }
      let attachedMeanwhile = container.live.withLock { live in
        live.shim = shim
        return !live.pending.isEmpty
      }
      if attachedMeanwhile {
        Task {
          do { try await handOver(container, to: shim) } catch {
            logger.warning("attach to container \(container.id), which was starting: \(error)")
          }
        }
      }
      tell("start", running)
      watch(container, shim, launch: launch)
      beginHealthChecks(container, launch: launch)
      // A daemon that dies before this row is written finds the shim by its socket: nobody need wait for it.
      Task { await self.save(container) }
      clock.mark("record")
      logger.debug("container \(container.id) started: \(clock)")
    } catch {
      volumes.unmount(containerID: container.id)
      try await failed(container, error)
    }
  }

  private struct Prepared {
    var plan: LaunchPlan
    var attachment: NetworkAttachment
    /// Named in the plan by the numbers of their descriptors here.
    var namespaces: UserNamespaces?
    /// The overlay, if it was mounted ahead.
    var root: SharedDescriptor?

    /// Gives it away: held, it would keep the file system after the container's end.
    mutating func takeRoot() -> SharedDescriptor? { root.take() }
  }

  /// Network, files, filter, specification: all that the shim needs, in its plan.
  private func prepare(_ snapshot: ContainerSnapshot, _ clock: inout StepClock) async throws -> Prepared {
    let id = snapshot.id
    var security = try SecurityOptions(
      snapshot.hostConfig.securityOpt ?? [], noNewPrivileges: configuration.noNewPrivileges)
    if snapshot.hostConfig.privileged { security.noNewPrivileges = false }
    var builder = SpecBuilder(
      snapshot: snapshot, host: host, security: security, cgroupParent: configuration.cgroupParent)
    builder.defaultUlimits = configuration.ulimits
    builder.availableCapabilities = availableCapabilities
    let joined = try join(snapshot)
    builder.joined = joined.namespaces
    let namespaces = try await userNamespaces(for: snapshot, joined)
    if let namespaces {
      builder.users = namespaces.mapping.users
      builder.groups = namespaces.mapping.groups
      builder.userNamespace = namespaces.path
    }
    let mounted = try await mounted(snapshot)
    builder.snapshot = mounted.snapshot

    let run = runDirectory(id)
    if Sys.exists(run) { try Sys.removeTree(run) }
    try Sys.mkdir(run, mode: 0o710)
    let record = exitRecord(id)
    if Sys.exists(record) { try Sys.unlink(record) }
    clock.mark("directories")

    var request = try networkRequest(snapshot)
    request.namespace = namespaces?.network
    let attachment = try await networks.connect(request)
    try note(attachment, of: id)
    clock.mark("network")
    builder.networkNamespace = attachment.namespacePath
    builder.inheritsNetwork = attachment.namespacePath == nil
    builder.files = try nameFiles(snapshot, attachment, owner: namespaces?.mapping.root ?? (0, 0))
    let spec = try builder.build()
    let choice = seccompChoice(security, snapshot.hostConfig)
    let filter = try seccomp.filter(choice, capabilities: spec.process?.capabilities?.bounding ?? [])
    let mount = namespaces == nil ? snapshotter.takeMount(id) : nil
    guard let tree = try snapshotter.snapshot(id) else {
      throw EngineError.system("the file system of container \(id) is missing")
    }
    if mount == nil, snapshot.hostConfig.autoRemove {
      // An earlier start's mark that the tree may not be whole after a crash (overlayfs.rst, "Volatile mount"); it refuses another.
      try Self.removeIfThere(tree.work + "/work/incompat")
    }
    var plan = LaunchPlan(
      id: id, spec: spec,
      rootfs: .overlay(
        lower: tree.lower, upper: tree.upper, work: tree.work, volatile: snapshot.hostConfig.autoRemove),
      user: snapshot.config.user,
      additionalGroups: snapshot.hostConfig.groupAdd ?? [], seccompFilter: filter?.path,
      initProcess: (snapshot.hostConfig.useInit ?? configuration.useInit) && snapshot.hostConfig.pidMode.isEmpty,
      stdio: LaunchPlan.Stdio(
        terminal: snapshot.config.tty, openStdin: snapshot.config.openStdin, stdinOnce: snapshot.config.stdinOnce),
      exitRecord: record, durableExit: !snapshot.hostConfig.autoRemove, cgroupLayout: host.layout)
    (plan.seccompFlags, plan.seccompListener) = (filter?.flags, filter?.listener)
    plan.log = try log(snapshot)
    plan.pins = mounted.pins
    if let donor = joined.shm { plan.borrowed["/dev/shm"] = donor }
    clock.mark("spec")
    plan.mapsRoot = namespaces != nil
    return Prepared(plan: plan, attachment: attachment, namespaces: namespaces, root: namespaces == nil ? mount : nil)
  }

  func seccompChoice(_ security: SecurityOptions, _ host: HostConfig) -> SecurityOptions.SeccompChoice {
    if let choice = security.seccomp { return choice }
    if host.privileged { return .unconfined }
    switch configuration.seccompProfile {
    case nil, "builtin": return .standard
    case "unconfined": return .unconfined
    case let profile?: return .profile(profile)
    }
  }

  /// The log's place and bounds; Docker's `max-size` and `max-file`.
  private func log(_ snapshot: ContainerSnapshot) throws -> LaunchPlan.Log? {
    guard !snapshot.logPath.isEmpty else { return nil }
    let options = snapshot.hostConfig.logConfig.config
    let size = try options["max-size"].map { text in
      guard let bytes = ByteSize.parse(text), bytes > 0 else {
        throw EngineError.invalidParameter("invalid size: '\(text)'")
      }
      return bytes
    }
    let files = options["max-file"].flatMap { Int($0) } ?? (size == nil ? 1 : 1)
    return LaunchPlan.Log(path: snapshot.logPath, maximumSize: size, maximumFiles: max(1, files))
  }

  func networkRequest(_ snapshot: ContainerSnapshot) throws -> NetworkRequest {
    let host = snapshot.hostConfig
    var mode = host.networkMode
    if mode.hasPrefix("container:") {
      mode = "container:" + (try networkDonor(String(mode.dropFirst("container:".count)), for: snapshot.id)).id
    }
    var settings = snapshot.networkingConfig
    if snapshot.config.networkDisabled || snapshot.disconnected {
      mode = "none"
      settings.endpoints = []
    } else if !settings.endpoints.isEmpty, !mode.hasPrefix("container:"), !["host", "none"].contains(mode) {
      // a network that it was taken off isn't its main one any more
      let main = snapshot.mainNetwork
      if !settings.endpoints.contains(where: { $0.network == main || $0.network == "default" }) {
        let name = try networks.name(ofNetwork: main)
        mode = settings.endpoints.contains { $0.network == name } ? name : settings.endpoints[0].network
      }
    }
    let links = try (host.links ?? []).map { link in
      let parts = link.split(separator: ":", maxSplits: 1).map(String.init)
      let other = try find(parts[0])
      guard other.state.alive else {
        throw EngineError.conflict(
          "Cannot link to a non running container: /\(other.name) AS /\(snapshot.name)/\(parts.last ?? "")")
      }
      guard other.snapshot.endpoints.contains(where: { $0.network == "bridge" }) else {
        throw EngineError.system("Cannot link to /\(other.name), as it does not belong to the default network")
      }
      return "\(other.id):\(parts.count > 1 ? parts[1] : other.name)"
    }
    var request = NetworkRequest(
      containerID: snapshot.id, name: snapshot.name, hostname: snapshot.config.hostname,
      domainname: snapshot.config.domainname, mode: mode, exposedPorts: snapshot.config.exposedPorts,
      portBindings: host.portBindings ?? PortMap(), publishAllPorts: host.publishAllPorts,
      macAddress: snapshot.config.macAddress, settings: settings, dns: host.dns ?? [],
      dnsOptions: host.dnsOptions ?? [], dnsSearch: host.dnsSearch ?? [], extraHosts: host.extraHosts ?? [])
    request.links = links
    return request
  }

  /// Writes `hostname`, `hosts` and `resolv.conf`, or takes those of the container whose network it shares.
  private func nameFiles(
    _ snapshot: ContainerSnapshot, _ attachment: NetworkAttachment, owner: (user: UInt32, group: UInt32)
  ) throws -> [(destination: String, source: String)] {
    var directory = runDirectory(snapshot.id)
    if let files = attachment.files {
      for (name, text) in [
        ("hostname", files.hostname), ("hosts", files.hosts), ("resolv.conf", files.resolvConf),
      ] {
        let file = try Sys.open(directory + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try Sys.writeAll(file.raw, text)
        if owner.user != 0 || owner.group != 0 { try Sys.chown(file.raw, owner.user, owner.group) }
      }
    } else if snapshot.hostConfig.networkMode.hasPrefix("container:") {
      directory = runDirectory(try find(String(snapshot.hostConfig.networkMode.dropFirst("container:".count))).id)
    } else {
      return []
    }
    return ["hostname", "hosts", "resolv.conf"].map { ("/etc/" + $0, directory + "/" + $0) }
  }

  /// Beside the shim's socket, for a daemon that adopts the container before this one has written its row.
  private func note(_ attachment: NetworkAttachment, of id: String) throws {
    let file = try Sys.open(networkNote(id), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
    try Sys.writeAll(file.raw, attachment.record.encoded())
  }

  /// The note of a container whose shim lives and whose row doesn't tell its network.
  func noted(_ id: String) throws -> JSON? {
    guard Sys.exists(networkNote(id)) else { return nil }
    return try JSON.parse(try Sys.readFile(networkNote(id)))
  }

  private func networkNote(_ id: String) -> String { runDirectory(id) + "/network.json" }

  /// What the network gave, into the snapshot.
  func apply(_ attachment: NetworkAttachment, to snapshot: inout ContainerSnapshot) {
    snapshot.endpoints = attachment.endpoints
    snapshot.ports = attachment.ports
    snapshot.sandboxKey = attachment.namespacePath ?? ""
    snapshot.network = attachment.record
    let directory = runDirectory(snapshot.id)
    if attachment.files != nil || Sys.exists(directory + "/hosts") {
      snapshot.hostnamePath = directory + "/hostname"
      snapshot.hostsPath = directory + "/hosts"
      snapshot.resolvConfPath = directory + "/resolv.conf"
    }
  }
}

/// How long each step of a start took, for the log at level debug.
struct StepClock: CustomStringConvertible {
  private var last = Sys.monotonicNanoseconds()
  private var steps: [(name: String, nanoseconds: UInt64)] = []

  mutating func mark(_ name: String) {
    let now = Sys.monotonicNanoseconds()
    steps.append((name, now - last))
    last = now
  }

  var description: String {
    let total = steps.reduce(0) { $0 + $1.nanoseconds }
    return steps.map { "\($0.name) \($0.nanoseconds / 1000)" }.joined(separator: ", ") + ", together \(total / 1000) µs"
  }
}

/// `10m`, `1g`, `512k`, `100`: units of 1,024 (go-units `RAMInBytes`).
public enum ByteSize {
  public static func parse(_ text: String) -> Int64? {
    var body = text.lowercased()
    for suffix in ["ib", "b"] where body.hasSuffix(suffix) {
      body.removeLast(suffix.count)
      break
    }
    let shift: Int64
    switch body.last {
    case "k": shift = 10
    case "m": shift = 20
    case "g": shift = 30
    case "t": shift = 40
    default: shift = 0
    }
    if shift > 0 { body.removeLast() }
    guard let number = Double(body), number >= 0 else { return nil }
    return Int64(exactly: (number * Double(Int64(1) << shift)).rounded(.down))
  }
}

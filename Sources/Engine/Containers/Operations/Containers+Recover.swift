import Cgroups
import ContainerRuntime
import Errdefs
import Kernel
import Logging
public import Metadata
public import OCI
import Synchronization

extension Containers {
  /// The snapshots and their layers that containers' rows name: for the snapshotter's own recovery, which comes first.
  public static func snapshots(in metadata: Metadata) throws -> [String: [Digest]] {
    var result: [String: [Digest]] = [:]
    for record in try metadata.readBlocking({ try $0.containers() }) {
      let snapshot = try ContainerSnapshot(record)
      result[record.id] = try snapshot.digests
      for mount in snapshot.mounts where !mount.snapshotID.isEmpty { result[mount.snapshotID] = mount.imageLayers }
    }
    return result
  }

  /// Once, at the daemon's start, before anybody asks: takes up every container where it stands (shim, exit record or neither), has
  /// the network keep what lives, sweeps what no row names, and applies restart policies. `missing`: containers whose file system is gone.
  public func recover(missing: Set<String> = []) async throws {
    let records = try await metadata.read { try $0.containers() }
    var found: [(Container, ShimConnection, ShimProtocol.State)] = []
    var ended: [(Container, ExitRecord?)] = []
    for record in records {
      let container: Container
      do { container = Container(try ContainerSnapshot(record)) } catch {
        // Its row stays: nothing that a user made is deleted because it can't be read.
        logger.error("container \(record.id) can't be read and is left alone: \(error)")
        continue
      }
      table.withLock { table in
        table.byID[container.id] = container
        table.names[container.name] = container.id
      }
      if missing.contains(container.id) { logger.error("the file system of container \(container.id) is missing") }
      if let (shim, state) = await self.shim(of: container) {
        do {
          if container.snapshot.network == nil, let record = try noted(container.id) {
            container.update { $0.network = record }
          }
        } catch { logger.error("read the network of container \(container.id): \(error)") }
        found.append((container, shim, state))
      } else if container.state.running || Sys.exists(exitRecord(container.id)) {
        ended.append((container, try? ExitRecord.read(exitRecord(container.id))))
      }
    }
    try await networks.reconcile(live: found.compactMap { $0.0.snapshot.network })
    try await volumes.reconcile(
      holdings: Dictionary(
        all().map { ($0.id, Set($0.snapshot.mounts.map(\.volumeID).filter { !$0.isEmpty })) }
      ) { first, _ in first },
      running: Set(found.map { $0.0.id }))
    await thawForgotten()
    for (container, shim, state) in found { await adopt(container, shim, state) }
    for (container, record) in ended { await settle(container, after: record) }
    await sweep(keeping: Set(records.map(\.id)))
    shims.keepAhead(
      ShimLauncher.Ahead(
        count: 4, runDirectories: configuration.execRoot + "/containers", cgroupParent: configuration.cgroupParent,
        cgroupLayout: host.layout))
    await resume()
  }

  /// The shim that answers on the container's socket, and what it says.
  private func shim(of container: Container) async -> (ShimConnection, ShimProtocol.State)? {
    let directory = runDirectory(container.id)
    guard Sys.exists(directory + "/" + ShimProtocol.socketName) else { return nil }
    do {
      guard let shim = try shims.adopt(runDirectory: directory) else { return nil }
      return (shim, try await shim.state())
    } catch {
      logger.warning("the shim of container \(container.id) doesn't answer: \(error)")
      return nil
    }
  }

  private func adopt(_ container: Container, _ shim: ShimConnection, _ state: ShimProtocol.State) async {
    if state.status == .created {
      // A start that the last daemon didn't bring to its end.
      logger.info("container \(container.id): an unfinished start is taken back")
      shim.abandon()
      await settle(container, after: nil)
      return
    }
    let launch = container.live.withLock { live in
      live.launch &+= 1
      live.shim = shim
      for exec in state.execs where exec.code == nil {
        let known = Exec(id: exec.id, containerID: container.id, config: ExecConfig())
        known.state.withLock { state in
          state.started = true
          state.running = true
          state.pid = exec.pid
        }
        live.execs[exec.id] = known
      }
      return live.launch
    }
    for exec in state.execs where exec.code == nil { table.withLock { $0.execs[exec.id] = container.id } }
    let frozen = (try? cgroup(of: container.snapshot).isFrozen()) ?? false
    var attachment: NetworkAttachment?
    if let record = container.snapshot.network {
      do { attachment = try networks.attachment(record: record) } catch {
        logger.error("read the network of container \(container.id): \(error)")
      }
    }
    container.update { [attachment] snapshot in
      snapshot.state.status = frozen ? .paused : .running
      if let started = state.started {
        snapshot.state.pid = started.pid
        snapshot.state.startedAt = started.startedAt
      }
      if let attachment { apply(attachment, to: &snapshot) }
    }
    await save(container)
    logger.info("container \(container.id) goes on")
    watch(container, shim, launch: launch)
    if let exit = state.exit {
      await exited(container, exit, launch: launch)
    } else {
      beginHealthChecks(container, launch: launch)
    }
  }

  /// Nothing of it runs: its record, or 255 as Docker has it when nobody knows.
  private func settle(_ container: Container, after record: ExitRecord?) async {
    let was = container.state
    if was.status == .restarting, record == nil { return }
    guard was.running || record.map({ $0.exitedAt > was.finishedAt }) == true else { return }
    container.update { snapshot in
      snapshot.state.status = .exited
      snapshot.state.pid = 0
      snapshot.state.exitCode = record?.code ?? 255
      snapshot.state.oomKilled = record?.oomKilled ?? false
      snapshot.state.finishedAt = record?.exitedAt ?? Sys.realtimeNanoseconds()
      if let started = record?.startedAt, started > 0 { snapshot.state.startedAt = started }
      snapshot.network = nil
      snapshot.sandboxKey = ""
    }
    await save(container)
    tell(
      "die", container.snapshot,
      [
        "exitCode": "\(container.state.exitCode)",
        "execDuration": "\(max(0, container.state.finishedAt - container.state.startedAt) / 1_000_000_000)",
      ])
  }

  /// What nothing that runs owns: directories without a row, run directories and control groups of what has ended, and shims of
  /// containers that nobody knows. Done before anything is started again, so that it can't take what a new run has made.
  private func sweep(keeping known: Set<String>) async {
    let alive = Set(all().filter { $0.live.withLock { $0.shim != nil } }.map(\.id))
    for entry in (try? Sys.entries(of: configuration.execRoot + "/containers")) ?? [] where !alive.contains(entry.name)
    {
      let path = configuration.execRoot + "/containers/" + entry.name
      if let shim = try? shims.adopt(runDirectory: path) {
        logger.warning("the shim of container \(entry.name), which has no record, is ended")
        if !(await shim.terminate(within: .seconds(10))) { logger.warning("the shim of \(entry.name) hasn't ended") }
      }
      do { try await blocking { try Self.removeIfThere(path) } } catch { logger.warning("sweep \(path): \(error)") }
    }
    do {
      try await blocking { [configuration, logger, host] in
        try CgroupPool.sweep(parent: configuration.cgroupParent, layout: host.layout)
        let parent = try Cgroup(path: configuration.cgroupParent, layout: host.layout)
        for name in try parent.children() where !alive.contains(name) && Self.isID(name) {
          let group = try Cgroup(path: configuration.cgroupParent + "/" + name, layout: host.layout)
          logger.info("control group \(group.path) of no running container is removed")
          try group.killAll()
          try group.remove()
        }
      }
    } catch { logger.warning("sweep control groups: \(error)") }
    for entry in (try? Sys.entries(of: configuration.dataRoot + "/containers")) ?? []
    where !known.contains(entry.name) && Self.isID(entry.name) {
      let path = configuration.dataRoot + "/containers/" + entry.name
      behind("sweep \(path)") { try Self.removeIfThere(path) }
    }
  }

  static func isID(_ name: String) -> Bool {
    name.utf8.count == 64 && name.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }

  /// Restart policies, those first that others depend on; and the removal of `--rm` containers that ended meanwhile.
  private func resume() async {
    let stopped = all().filter { !$0.state.alive }
    for container in stopped where container.snapshot.hostConfig.autoRemove && container.state.startedAt != 0 {
      do {
        try await removeNow(container, result: WaitResult(statusCode: container.state.exitCode), volumes: true)
      } catch {
        logger.error("remove container \(container.id): \(error)")
      }
    }
    let wanted = Dependencies.order(stopped.map(\.snapshot).filter(restartsAtStart))
    Task { [self] in
      for id in wanted {
        guard let container = table.withLock({ $0.byID[id] }) else { continue }
        await container.operations.run {
          guard !container.state.alive else { return }
          do { try await launch(container, manual: true) } catch {
            logger.error("start container \(id) by its restart policy: \(error)")
          }
        }
      }
    }
  }

  private func restartsAtStart(_ snapshot: ContainerSnapshot) -> Bool {
    let policy = snapshot.hostConfig.restartPolicy
    guard snapshot.state.startedAt != 0 else { return false }
    switch policy.name {
    case "always": return true
    case "unless-stopped": return !snapshot.hasBeenManuallyStopped
    case "on-failure":
      return !snapshot.hasBeenManuallyStopped && snapshot.state.exitCode != 0
        && (policy.maximumRetryCount == 0 || snapshot.restartCount < policy.maximumRetryCount)
    default: return false
    }
  }
}

/// Which container must be there before another.
enum Dependencies {
  /// Ids in an order in which each comes after those that it needs: by shared namespaces and by Compose's `depends_on` label.
  /// A circle is cut where it is met.
  static func order(_ snapshots: [ContainerSnapshot]) -> [String] {
    let sorted = snapshots.sorted { ($0.created, $0.id) < ($1.created, $1.id) }
    let byID = Dictionary(sorted.map { ($0.id, $0) }) { first, _ in first }
    var services: [String: [String]] = [:]
    for snapshot in sorted {
      guard let key = service(snapshot) else { continue }
      services[key, default: []].append(snapshot.id)
    }
    var result: [String] = []
    var visited: Set<String> = []
    func visit(_ id: String) {
      guard visited.insert(id).inserted, let snapshot = byID[id] else { return }
      for other in needs(snapshot, services) { visit(other) }
      result.append(id)
    }
    for snapshot in sorted { visit(snapshot.id) }
    return result
  }

  private static func service(_ snapshot: ContainerSnapshot) -> String? {
    guard let project = snapshot.config.labels["com.docker.compose.project"],
      let name = snapshot.config.labels["com.docker.compose.service"]
    else { return nil }
    return project + "/" + name
  }

  private static func needs(_ snapshot: ContainerSnapshot, _ services: [String: [String]]) -> [String] {
    let host = snapshot.hostConfig
    var result: [String] = []
    for mode in [host.networkMode, host.pidMode, host.ipcMode] where mode.hasPrefix("container:") {
      result.append(String(mode.dropFirst("container:".count)))
    }
    if let project = snapshot.config.labels["com.docker.compose.project"],
      let list = snapshot.config.labels["com.docker.compose.depends_on"]
    {
      // `db:service_healthy:false,cache:service_started:true`
      for entry in list.split(separator: ",") {
        guard let name = entry.split(separator: ":").first else { continue }
        result += services[project + "/" + name] ?? []
      }
    }
    return result
  }
}

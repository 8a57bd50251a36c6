import Cgroups
import ContainerRuntime
import Errdefs
import Kernel
import Logging
import OCI
import Synchronization

extension Containers {
  /// Listens to a shim until it goes, and does what its events ask for.
  func watch(_ container: Container, _ shim: ShimConnection, launch: UInt64) {
    Task {
      for await event in shim.events {
        switch event {
        case .exited(let record): await self.exited(container, record, launch: launch)
        case .execExited(let id, let code): self.execExited(container, id, code: code)
        case .oom:
          let snapshot = container.update { $0.state.oomKilled = true }
          self.tell("oom", snapshot)
          await self.save(container)
        case .detached(let exec):
          if exec == nil {
            self.tell("detach", container.snapshot)
          } else {
            self.tell("exec_detach", container.snapshot, ["execID": exec ?? ""])
          }
        }
      }
      await self.lost(container, shim, launch: launch)
    }
  }

  /// The shim has gone without telling an exit: the record on disk says how it ended, or nobody knows. A shim that was killed leaves its
  /// container without a parent, a log or a way to reach it: it is killed too.
  private func lost(_ container: Container, _ shim: ShimConnection, launch: UInt64) async {
    let present = container.live.withLock { $0.launch == launch && $0.shim === shim }
    guard present, container.state.alive else { return }
    do {
      let group = try cgroup(of: container.snapshot)
      try await blocking {
        guard group.exists else { return }
        try group.killAll()
        try group.remove()
      }
    } catch { logger.error("kill what the lost shim of container \(container.id) left: \(error)") }
    let record = await recordedExit(container.id)
    await exited(container, record, launch: launch)
  }

  /// The exit record, or what stands for it when there is none: 137, as after a SIGKILL.
  func recordedExit(_ id: String) async -> ExitRecord {
    let path = exitRecord(id)
    do {
      if let record = try await blocking({ try ExitRecord.read(path) }) { return record }
    } catch { logger.error("read the exit record of container \(id): \(error)") }
    let now = Sys.realtimeNanoseconds()
    return ExitRecord(code: 137, signal: 9, oomKilled: false, startedAt: 0, exitedAt: now)
  }

  /// A container ended: its state, its network, its waiters, and what comes next by its restart policy.
  func exited(_ container: Container, _ record: ExitRecord, launch: UInt64) async {
    let execs: [Exec]? = container.live.withLock { live in
      guard live.launch == launch else { return nil }
      live.health?.cancel()
      live.health = nil
      live.last = live.shim
      live.shim = nil
      defer { live.execs = live.execs.filter { !$0.value.isRunning } }
      return live.execs.values.filter(\.isRunning)
    }
    guard let execs else { return }
    for exec in execs { execEnded(container, exec, code: 137) }

    let before = container.snapshot
    let duration = max(0, record.exitedAt - before.state.startedAt)
    let delay = restartDelay(container, before, code: record.code, duration: duration)
    networks.disconnect(containerID: container.id)
    volumes.unmount(containerID: container.id)
    let after = container.update { snapshot in
      snapshot.state.status = delay == nil ? .exited : .restarting
      snapshot.state.pid = 0
      snapshot.state.exitCode = record.code
      snapshot.state.oomKilled = snapshot.state.oomKilled || record.oomKilled
      snapshot.state.finishedAt = record.exitedAt
      if delay != nil { snapshot.restartCount += 1 }
      if snapshot.state.health != nil, delay == nil { snapshot.state.health?.status = "unhealthy" }
      snapshot.endpoints = []
      snapshot.ports = PortMap()
      snapshot.network = nil
      snapshot.sandboxKey = ""
    }
    if record.oomKilled, !before.state.oomKilled { tell("oom", after) }
    tell("die", after, ["exitCode": "\(record.code)", "execDuration": "\(duration / 1_000_000_000)"])
    let result = WaitResult(statusCode: record.code)

    if let delay {
      await save(container)
      container.resolveWaiters(.exit, result)
      restartLater(container, after: delay, launch: launch)
    } else if after.hostConfig.autoRemove, container.live.withLock({ !$0.restarting }) {
      container.resolveWaiters(.exit, result)
      do { try await removeNow(container, result: result, volumes: true) } catch {
        logger.error("remove container \(container.id) after its exit: \(error)")
      }
    } else {
      await save(container)
      container.resolveWaiters(.exit, result)
    }
  }

  // MARK: Restart policies

  /// Nanoseconds until the container is started again; `nil` when it isn't (restartmanager/restartmanager.go).
  private func restartDelay(
    _ container: Container, _ snapshot: ContainerSnapshot, code: Int32, duration: Int64
  ) -> Int64? {
    if stopping.load(ordering: .relaxed) || snapshot.hasBeenManuallyStopped { return nil }
    let policy = snapshot.hostConfig.restartPolicy
    switch policy.name {
    case "always", "unless-stopped": break
    case "on-failure":
      guard code != 0, policy.maximumRetryCount == 0 || snapshot.restartCount < policy.maximumRetryCount else {
        return nil
      }
    default: return nil
    }
    let milliseconds: Int64? = container.live.withLock { live in
      if live.removing || live.restarting { return nil }
      live.backOff = live.backOff == 0 || duration >= 10_000_000_000 ? 100 : min(live.backOff * 2, 60_000)
      return live.backOff
    }
    return milliseconds.map { $0 * 1_000_000 }
  }

  func restartLater(_ container: Container, after delay: Int64, launch: UInt64) {
    let task = Task {
      do { try await Task.sleep(nanoseconds: UInt64(max(0, delay))) } catch { return }
      await container.operations.run {
        let wanted = container.live.withLock { $0.launch == launch && !$0.removing }
        guard wanted, container.state.status == .restarting, !Task.isCancelled else { return }
        do { try await self.launch(container, manual: false) } catch {
          self.logger.error("restart container \(container.id): \(error)")
        }
      }
    }
    container.live.withLock { live in
      if live.launch == launch { live.restartDelay = task } else { task.cancel() }
    }
  }

  /// Calls a waiting restart off: the container is then exited.
  func cancelRestart(_ container: Container) async {
    container.live.withLock { live in
      live.restartDelay?.cancel()
      live.restartDelay = nil
    }
    let cancelled = container.change { snapshot in
      guard snapshot.state.status == .restarting else { return false }
      snapshot.state.status = .exited
      return true
    }
    if cancelled { await save(container) }
  }

  /// Waits until the shim of the last run has let go of cgroup and run directory, before the next run takes them.
  func settle(_ container: Container) async throws {
    guard let shim = container.live.withLock({ $0.last }) else { return }
    guard await shim.closed(within: .seconds(10)) else {
      throw EngineError.system("the last run of container \(container.id) has not come to its end")
    }
    container.live.withLock { $0.last = nil }
  }
}

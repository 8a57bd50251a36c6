import Cgroups
import CLinux
import Errdefs
import Kernel
import Logging
import Metadata
import Synchronization

extension Containers {
  /// Asks a container to end (its stop signal), waits `timeout` seconds (-1: for ever, `nil`: its own, else the daemon's) and then
  /// kills it. Throws `.notModified` when it doesn't run.
  public func stop(_ reference: String, signal: String? = nil, timeout: Int? = nil) async throws {
    let container = try find(reference)
    try await container.operations.run {
      let state = container.state
      guard state.running else { throw EngineError(.notModified, "container is already stopped") }
      try await halt(container, signal: signal, timeout: timeout, manual: true)
      tell("stop", container.snapshot)
    }
  }

  /// Stop and start; only a start when it doesn't run.
  public func restart(_ reference: String, signal: String? = nil, timeout: Int? = nil) async throws {
    let container = try find(reference)
    try await container.operations.run {
      if container.live.withLock({ $0.removing }) {
        throw EngineError.conflict("container is marked for removal and cannot be started")
      }
      container.live.withLock { $0.restarting = true }
      defer { container.live.withLock { $0.restarting = false } }
      if container.state.running {
        try await halt(container, signal: signal, timeout: timeout, manual: false)
        tell("stop", container.snapshot)
      }
      try await launch(container, manual: true)
      tell("restart", container.snapshot)
    }
  }

  /// Brings the container down, in its queue. `manual`: `unless-stopped` stays down after it.
  func halt(_ container: Container, signal: String?, timeout: Int?, manual: Bool) async throws {
    let snapshot = container.snapshot
    let word =
      signal.flatMap { $0.isEmpty ? nil : $0 }
      ?? (snapshot.config.stopSignal.isEmpty ? "SIGTERM" : snapshot.config.stopSignal)
    let number = try Signal.parse(word)
    let seconds = timeout ?? snapshot.config.stopTimeout ?? configuration.stopTimeout
    if manual { container.update { $0.hasBeenManuallyStopped = true } }
    if snapshot.state.status == .restarting {
      await cancelRestart(container)
      return
    }
    guard container.state.alive else { return }
    if container.state.paused { try thaw(container) }
    try await send(number, to: container)
    if try await ended(container, within: seconds < 0 ? nil : .seconds(seconds)) { return }
    logger.info("container \(container.id) did not exit within \(seconds) s of signal \(number): it is killed")
    try await terminate(container)
  }

  /// SIGKILL, and the wait for its effect.
  func terminate(_ container: Container) async throws {
    try await send(Signal.kill, to: container)
    if try await ended(container, within: .seconds(10)) { return }
    // Processes that a signal to pid 1 can't reach: the group's own kill.
    try await blocking { [self] in try cgroup(of: container.snapshot).killAll() }
    guard try await ended(container, within: .seconds(10)) else {
      throw EngineError.system(
        "cannot stop container: \(container.id): tried to kill container, but did not receive an exit event")
    }
  }

  /// Whether it ends within so long (`nil`: for ever); at once when it has. A waiter is good for one deadline only: it is resolved by it.
  private func ended(_ container: Container, within limit: Duration?) async throws -> Bool {
    let (id, waiter) = container.addWaiter(.exit)
    defer { container.forget(waiter: id) }
    // It may have ended before the waiter was there.
    guard container.state.alive else { return true }
    let timer = limit.map { limit in
      Task {
        try await Task.sleep(for: limit)
        waiter.resolve(.failure(DeadlinePassed()))
      }
    }
    defer { timer?.cancel() }
    do {
      _ = try await waiter.value()
      return true
    } catch is DeadlinePassed { return false }
  }

  /// Through the shim, which holds the process; a process that is gone already is no error.
  func send(_ signal: Int32, to container: Container) async throws {
    guard let shim = container.live.withLock({ $0.shim }) else { return }
    let snapshot = container.snapshot
    do { try await shim.signal(signal) } catch let error as SyscallError where error.errno == .noSuchProcess {
      return
    } catch ShimError.gone {
      // It ended with its container a moment ago; the exit is on its way to whoever waits for it.
      return
    }
    tell("kill", snapshot, ["signal": "\(signal)"])
  }

  /// Sends a signal: `SIGKILL`, `KILL`, `9`; empty is SIGKILL, and a signal that ends is taken as the user's wish to stop. Takes no queue.
  public func kill(_ reference: String, signal: String = "") async throws {
    let container = try find(reference)
    let number = try signal.isEmpty ? Signal.kill : Signal.parse(signal)
    let state = container.state
    if state.status == .restarting {
      container.update { $0.hasBeenManuallyStopped = true }
      await cancelRestart(container)
      return
    }
    guard state.alive else {
      throw EngineError.conflict("cannot kill container: \(reference): container \(container.id) is not running")
    }
    let own = container.snapshot.config.stopSignal
    let stop = own.isEmpty ? Signal.terminate : (try? Signal.parse(own)) ?? Signal.terminate
    if number == Signal.kill || number == stop { container.update { $0.hasBeenManuallyStopped = true } }
    if number == Signal.kill {
      if container.state.paused { try thaw(container) }
      try await terminate(container)
    } else {
      try await send(number, to: container)
    }
  }

  /// The daemon goes down: nothing is restarted any more, and the shims are let go of. Containers run on; an operation that is
  /// under way fails, and the next daemon finds what it left.
  public func shutDown() async {
    stopping.store(true, ordering: .relaxed)
    for container in all() {
      container.live.withLock { live in
        // What the shim still tells is for the next daemon.
        live.launch &+= 1
        live.restartDelay?.cancel()
        live.health?.cancel()
        live.shim = nil
        live.last = nil
      }
    }
    shims.letGo()
    // Where nothing runs, the last shim removes the groups' parent when it has gone, unless it went before it was let go of.
    try? Cgroup(path: configuration.cgroupParent, layout: host.layout).removeIfUnused()
    // What was written last is in the database before it is closed.
    do { try await metadata.write { _ in } } catch { logger.error("finish the database: \(error)") }
  }
}

private struct DeadlinePassed: Error {}

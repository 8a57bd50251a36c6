import ContainerRuntime
import Errdefs
import Kernel
import Logging
import OCI
import Synchronization

extension Containers {
  /// Probes a container from its start to its end (daemon/health.go), when it has a check.
  func beginHealthChecks(_ container: Container, launch: UInt64) {
    let snapshot = container.snapshot
    guard snapshot.state.health != nil, let check = snapshot.config.healthcheck,
      let command = Self.command(check, snapshot)
    else { return }
    let task = Task { [self] in
      while !Task.isCancelled {
        let now = container.snapshot
        guard (try? await Task.sleep(nanoseconds: UInt64(max(1, Self.interval(check, now.state))))) != nil else {
          return
        }
        guard container.live.withLock({ $0.launch == launch }), container.state.alive else { return }
        // A frozen process answers nothing.
        if container.state.paused { continue }
        let probe = await probe(container, command, check)
        guard !Task.isCancelled else { return }
        record(probe, container, check)
      }
    }
    container.live.withLock { live in
      live.health?.cancel()
      live.health = task
    }
  }

  private static let second: Int64 = 1_000_000_000

  private static func interval(_ check: HealthConfig, _ state: ContainerState) -> Int64 {
    let usual = check.interval > 0 ? check.interval : 30 * second
    let inStart = Sys.realtimeNanoseconds() - state.startedAt < check.startPeriod
    guard inStart, state.health?.status == "starting" else { return usual }
    return check.startInterval > 0 ? check.startInterval : usual
  }

  private static func command(_ check: HealthConfig, _ snapshot: ContainerSnapshot) -> [String]? {
    guard let test = check.test, let kind = test.first else { return nil }
    switch kind {
    case "CMD": return Array(test.dropFirst())
    case "CMD-SHELL": return (snapshot.config.shell ?? ["/bin/sh", "-c"]) + test.dropFirst()
    default: return nil
    }
  }

  private typealias Probe = ContainerState.Health.Probe

  private func probe(_ container: Container, _ command: [String], _ check: HealthConfig) async -> Probe {
    let start = Sys.realtimeNanoseconds()
    var output: [UInt8] = []
    let code: Int32
    do {
      (code, output) = try await run(container, command, timeout: check.timeout > 0 ? check.timeout : 30 * Self.second)
    } catch {
      code = -1
      output = Array("\(error)".utf8)
    }
    return Probe(
      start: start, end: Sys.realtimeNanoseconds(), exitCode: code,
      output: String(decoding: output.prefix(4096), as: UTF8.self))
  }

  /// Runs a command in the container and keeps the first 4,096 bytes of what it writes.
  private func run(_ container: Container, _ command: [String], timeout: Int64) async throws -> (Int32, [UInt8]) {
    var config = ExecConfig()
    config.cmd = command
    config.attachStdout = true
    config.attachStderr = true
    let id = try await createExec(container.id, config)
    let (waiterID, waiter) = container.addExecWaiter(id)
    defer { container.forgetExec(waiter: waiterID) }
    let pair = try Sys.socketPair(Sys.sockStream)
    let own = SharedDescriptor(owning: pair.0)
    let theirs = SharedDescriptor(owning: pair.1)
    let request = AttachRequest(stdin: false, stdout: true, stderr: true) { _ in
      AttachRequest.Connection(socket: theirs)
    }
    try await startExec(id, attach: request)
    let timer = Task { [self] in
      try await Task.sleep(nanoseconds: UInt64(timeout))
      waiter.resolve(.failure(ProbeTimeout()))
      guard let shim = container.live.withLock({ $0.shim }) else { return }
      do { try await shim.signal(Signal.kill, exec: id) } catch {
        logger.debug("kill health check \(id) of container \(container.id): \(error)")
      }
    }
    defer { timer.cancel() }
    do {
      let result = try await waiter.value()
      return (result.statusCode, try await blocking { try Self.collect(own.raw) })
    } catch is ProbeTimeout {
      let seconds = Double(timeout) / 1e9
      let text = "Health check exceeded timeout (\(seconds == seconds.rounded() ? "\(Int(seconds))" : "\(seconds)")s)"
      return (-1, Array(text.utf8))
    }
  }

  /// What came on the socket, without its frames. Doesn't wait for those that the command left behind.
  private static func collect(_ socket: Int32) throws -> [UInt8] {
    try Sys.setNonBlocking(socket)
    var bytes: [UInt8] = []
    while bytes.count < 64 << 10, try Sys.poll(socket, 1, timeout: 100) != 0 {
      var part = [UInt8](repeating: 0, count: 8192)
      let count: Result<Int, SyscallError> = part.withUnsafeMutableBytes { buffer in
        do throws(SyscallError) { return .success(try Sys.read(socket, buffer)) } catch { return .failure(error) }
      }
      guard case .success(let length) = count, length > 0 else { break }
      bytes += part.prefix(length)
    }
    var output: [UInt8] = []
    var rest = bytes[...]
    while rest.count >= 8 {
      let header = Array(rest.prefix(8))
      let length = Int(header[4]) << 24 | Int(header[5]) << 16 | Int(header[6]) << 8 | Int(header[7])
      output += rest.dropFirst(8).prefix(length)
      rest = rest.dropFirst(8 + length)
    }
    return output
  }

  private func record(_ probe: Probe, _ container: Container, _ check: HealthConfig) {
    let retries = check.retries > 0 ? Int(check.retries) : 3
    let (before, after) = container.change { snapshot -> (String, ContainerSnapshot) in
      var health = snapshot.state.health ?? ContainerState.Health(status: "starting")
      let before = health.status
      health.log = Array((health.log + [probe]).suffix(5))
      if probe.exitCode == 0 {
        health.failingStreak = 0
        health.status = "healthy"
      } else if !(health.status == "starting" && probe.start - snapshot.state.startedAt < check.startPeriod) {
        health.failingStreak += 1
        if health.failingStreak >= retries { health.status = "unhealthy" }
      }
      snapshot.state.health = health
      return (before, snapshot)
    }
    if let status = after.state.health?.status, status != before { tell("health_status: " + status, after) }
  }
}

private struct ProbeTimeout: Error {}

extension Container {
  /// Registers who waits for the end of an exec.
  func addExecWaiter(_ exec: String) -> (id: String, waiter: Waiter) {
    let waiter = Waiter(.exit)
    live.withLock { $0.execWaiters[exec] = waiter }
    return (exec, waiter)
  }

  func forgetExec(waiter exec: String) { live.withLock { _ = $0.execWaiters.removeValue(forKey: exec) } }
}

import ContainerRuntime
import Errdefs
import Kernel
import OCI
import Synchronization
import Terminal

extension Containers {
  /// Registers a process to be run. Answers its id. Throws Docker's texts when the container doesn't run.
  public func createExec(_ reference: String, _ config: ExecConfig) async throws -> String {
    let container = try find(reference)
    try executable(container, reference)
    guard !config.cmd.isEmpty else { throw EngineError.invalidParameter("No exec command specified") }
    for variable in config.env where variable.isEmpty || variable.hasPrefix("=") {
      throw EngineError.invalidParameter("invalid environment variable: \(variable)")
    }
    _ = try DetachKeys.parse(config.detachKeys)
    let exec = Exec(id: Self.newID(), containerID: container.id, config: config)
    container.live.withLock { live in
      live.execs[exec.id] = exec
      // Those that ended are kept for `inspect`, the newest first to stay.
      if live.execs.count > 1000, let ended = live.execs.first(where: { $0.value.snapshot.canRemove }) {
        live.execs[ended.key] = nil
      }
    }
    table.withLock { $0.execs[exec.id] = container.id }
    tell("exec_create: " + Self.line(config), container.snapshot, ["execID": exec.id])
    return exec.id
  }

  private func executable(_ container: Container, _ reference: String) throws {
    let state = container.state
    if state.paused {
      throw EngineError.conflict("Container \(reference) is paused, unpause the container before exec")
    }
    if state.restarting {
      throw EngineError.conflict("Container \(reference) is restarting, wait until the container is running")
    }
    guard state.status == .running else { throw EngineError.conflict("container \(container.id) is not running") }
  }

  private func findExec(_ id: String) throws -> (Exec, Container) {
    let container = table.withLock { table in table.execs[id].flatMap { table.byID[$0] } }
    guard let container, let exec = container.live.withLock({ $0.execs[id] }) else {
      throw EngineError.notFound("No such exec instance: \(id)")
    }
    return (exec, container)
  }

  /// Runs it. `attach` is `nil` for a detached one. Returns once the process runs; a failure after the client was handed over is told
  /// to it on its stream, as Docker does, and thrown too.
  public func startExec(_ id: String, consoleSize: ConsoleSize? = nil, attach: AttachRequest?) async throws {
    let (exec, container) = try findExec(id)
    try executable(container, container.id)
    let first = exec.state.withLock { state in
      defer { state.started = true }
      return !state.started
    }
    guard first else {
      if exec.snapshot.exitCode != nil {
        throw EngineError.conflict("exec command \(id) has already run")
      }
      throw EngineError.conflict("exec command \(id) is already running")
    }
    guard let shim = container.live.withLock({ $0.shim }) else {
      throw EngineError.conflict("container \(container.id) is not running")
    }
    let plan = try plan(exec, container.snapshot, consoleSize ?? exec.config.consoleSize, stdin: attach?.stdin ?? false)
    let config = exec.config
    tell("exec_start: " + Self.line(config), container.snapshot, ["execID": id])

    let framed = attach?.framed ?? !config.tty
    var connection: AttachRequest.Connection?
    var request: ShimProtocol.Attach?
    if let attach {
      let keys = try DetachKeys.parse(attach.detachKeys.isEmpty ? config.detachKeys : attach.detachKeys)
      let opened = try await attach.connect(!framed)
      request = ShimProtocol.Attach(
        exec: id, stdin: attach.stdin && config.attachStdin, stdout: attach.stdout && config.attachStdout,
        stderr: attach.stderr && config.attachStderr, mux: framed, detachKeys: keys, pending: opened.pending)
      connection = opened
    }
    exec.state.withLock { $0.running = true }
    do {
      let started = try await shim.exec(plan, attach: request, socket: connection?.socket)
      exec.state.withLock { if $0.running { $0.pid = started.pid } }
    } catch {
      let (told, code) = Self.explainExec(error)
      exec.end(code: code)
      if let connection {
        // The client has switched to the stream: there it reads why.
        try? Self.sendAll(Self.frame(told.message + "\r\n", tty: !framed), on: connection.socket.raw)
      }
      throw told
    }
  }

  private func plan(_ exec: Exec, _ snapshot: ContainerSnapshot, _ size: ConsoleSize?, stdin: Bool) throws -> ExecPlan {
    let config = exec.config
    let security = try SecurityOptions(
      snapshot.hostConfig.securityOpt ?? [], noNewPrivileges: configuration.noNewPrivileges)
    let builder = SpecBuilder(
      snapshot: snapshot, host: host, security: security, availableCapabilities: availableCapabilities,
      cgroupParent: configuration.cgroupParent)
    let privileged = config.privileged || snapshot.hostConfig.privileged
    var process = RuntimeSpec.Process()
    process.terminal = config.tty
    process.consoleSize = size.map { ($0.width, $0.height) }
    process.args = config.cmd
    var merged = snapshot.config
    merged.tty = config.tty
    merged.env = Self.environment(snapshot.config.env ?? [], config.env)
    process.env = merged.environment()
    let directory = config.workingDir.isEmpty ? snapshot.config.workingDir : config.workingDir
    process.cwd = directory.isEmpty ? "/" : directory
    let names = try builder.capabilities(privileged: privileged)
    var capabilities = RuntimeSpec.Capabilities()
    capabilities.bounding = names
    capabilities.effective = names
    capabilities.permitted = names
    process.capabilities = capabilities
    process.rlimits = snapshot.hostConfig.resources.rlimits(defaults: configuration.ulimits)
    process.noNewPrivileges = security.noNewPrivileges
    process.oomScoreAdj = snapshot.hostConfig.oomScoreAdj
    let choice = privileged && security.seccomp == nil ? .unconfined : seccompChoice(security, snapshot.hostConfig)
    let user = config.user.isEmpty ? snapshot.config.user : config.user
    let filter = try seccomp.filter(choice, capabilities: names)
    var plan = ExecPlan(
      id: exec.id, process: process, user: user.isEmpty ? nil : user,
      additionalGroups: config.user.isEmpty ? snapshot.hostConfig.groupAdd ?? [] : [],
      seccompFilter: filter?.path,
      stdio: LaunchPlan.Stdio(terminal: config.tty, openStdin: stdin && config.attachStdin, stdinOnce: true))
    (plan.seccompFlags, plan.seccompListener) = (filter?.flags, filter?.listener)
    return plan
  }

  /// The container's variables with the exec's in place of equal ones.
  private static func environment(_ base: [String], _ own: [String]) -> [String] {
    var result = base
    for variable in own {
      let key = variable.prefix { $0 != "=" }
      if let index = result.firstIndex(where: { $0.prefix { $0 != "=" } == key }) {
        result[index] = variable
      } else {
        result.append(variable)
      }
    }
    return result
  }

  /// The command as Docker's events show it: program, space, arguments.
  private static func line(_ config: ExecConfig) -> String {
    (config.cmd.first ?? "") + " " + config.cmd.dropFirst().joined(separator: " ")
  }

  static func explainExec(_ error: any Error) -> (EngineError, Int32) {
    guard let failure = error as? LaunchFailure else {
      if let error = error as? EngineError { return (error, 126) }
      return (.system("\(error)", cause: error), 126)
    }
    let text = "OCI runtime exec failed: exec failed: unable to start container process: \(failure.message): unknown"
    let words = text.lowercased()
    if words.contains("executable file not found") || words.contains("no such file or directory") {
      return (.invalidParameter(text, cause: failure), 127)
    }
    return (.invalidParameter(text, cause: failure), 126)
  }

  /// A message as a client that reads framed output sees it, on standard output.
  static func frame(_ text: String, tty: Bool) -> [UInt8] {
    let bytes = Array(text.utf8)
    if tty { return bytes }
    let length = UInt32(truncatingIfNeeded: bytes.count)
    return [1, 0, 0, 0, UInt8(length >> 24), UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255)]
      + bytes
  }

  /// Throws `No such exec instance: x`.
  public func inspectExec(_ id: String) async throws -> ExecSnapshot {
    let (exec, container) = try findExec(id)
    if exec.isRunning, let shim = container.live.withLock({ $0.shim }) {
      // A client that has just seen the end of its stream asks for the exit code, which the shim told before it: once the shim has
      // answered, that event is here or it didn't end. A shim that is gone takes its execs along: `exited` ends them.
      let told = (try? await shim.state())?.execs.first { $0.id == id }
      if let code = told?.code, exec.isRunning { execEnded(container, exec, code: code) }
      if told == nil { await exec.ended() }
    }
    return exec.snapshot
  }

  public func resizeExec(_ id: String, width: UInt16, height: UInt16) async throws {
    let (exec, container) = try findExec(id)
    guard exec.isRunning, let shim = container.live.withLock({ $0.shim }) else {
      throw EngineError.conflict("exec \(id) is not running")
    }
    guard exec.config.tty else { return }
    try await shim.resize(exec: id, width: width, height: height)
  }

  func execExited(_ container: Container, _ id: String, code: Int32) {
    guard let exec = container.live.withLock({ $0.execs[id] }) else { return }
    execEnded(container, exec, code: code)
  }

  func execEnded(_ container: Container, _ exec: Exec, code: Int32) {
    exec.end(code: code)
    if let waiter = container.live.withLock({ $0.execWaiters.removeValue(forKey: exec.id) }) {
      waiter.resolve(.success(WaitResult(statusCode: code)))
    }
    tell("exec_die", container.snapshot, ["execID": exec.id, "exitCode": "\(code)"])
  }
}

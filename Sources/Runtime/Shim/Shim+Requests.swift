import CLinux
import ContainerRuntime
import Kernel
import OCI
import Terminal

extension Shim {
  /// A process beside the container's own.
  final class Exec {
    let streams: Streams
    let watcher: ProcessWatch
    let id: String

    init(id: String, streams: Streams, watcher: ProcessWatch) {
      self.id = id
      self.streams = streams
      self.watcher = watcher
    }
  }

  /// Serves one request and answers it. What is no request ends its connection.
  func serve(_ received: ShimProtocol.Received, from connection: ControlConnection) {
    let tag: Int64
    let fields: JSONFields
    do throws(JSONError) {
      fields = try JSONFields(try JSON.parse(received.message))
      tag = try fields.required("tag", fields.int("tag"))
    } catch {
      Complaint.tell("request: \(error)")
      connection.close()
      return
    }
    var reply: ShimProtocol.Reply
    do throws(LaunchFailure) {
      let request: ShimProtocol.Request
      do throws(JSONError) {
        request = try ShimProtocol.Request(fields)
      } catch {
        throw LaunchFailure(step: "request", errno: EINVAL, object: error.path, message: "shim request: \(error)")
      }
      reply = try perform(request, received.descriptors)
    } catch { reply = .failure(error) }
    connection.send(reply.encoded(tag: tag))
    if case .state(let state) = reply { untold.removeAll { exec in state.execs.contains { $0.id == exec.id } } }
    if case .started = reply {
      hasLaunched = true
      watchMemory()
      opening.drain()
    }
    if case .failed = phase, started == nil, case .some(.string("start")) = fields.value("op") { release() }
    if case .some(.string("release")) = fields.value("op"), started == nil { release() }
  }

  private func perform(_ request: ShimProtocol.Request, _ descriptors: [SharedDescriptor]) throws(LaunchFailure)
    -> ShimProtocol.Reply
  {
    switch request {
    case .start: return .started(try start())
    case .state: return .state(state())
    case .release: return .done
    case .exec(let plan, let attach): return .started(try exec(plan, attach, descriptors.first))
    case .attach(let attach):
      let streams = try streams(of: attach.exec)
      guard !streams.hasEnded else { throw gone(attach.exec) }
      streams.attach(attach, socket: try checked(descriptors.first))
      return .done
    case .signal(let signal, let exec):
      let process = try process(of: exec)
      try call("signal") { () throws(SyscallError) in try process.signal(signal) }
      return .done
    case .resize(let exec, let width, let height):
      let process = try process(of: exec)
      guard let terminal = process.terminal else {
        throw LaunchFailure(step: "resize", errno: ENOTTY, object: "", message: "resize: the process has no terminal")
      }
      try call("resize") { () throws(SyscallError) in
        try WindowSize(width: width, height: height).apply(to: terminal.raw)
      }
      return .done
    }
  }

  private func call(_ step: String, _ body: () throws(SyscallError) -> Void) throws(LaunchFailure) {
    do throws(SyscallError) { try body() } catch { throw Self.failure(step, error) }
  }

  private func checked(_ socket: SharedDescriptor?) throws(LaunchFailure) -> SharedDescriptor {
    guard let socket else {
      throw LaunchFailure(step: "attach", errno: EINVAL, object: "", message: "attach: the client's socket is missing")
    }
    try call("attach") { () throws(SyscallError) in try Streams.checkSocket(socket) }
    return socket
  }

  private func gone(_ exec: String?) -> LaunchFailure {
    LaunchFailure(step: "process", errno: ESRCH, object: exec ?? "", message: "the process has exited")
  }

  private func streams(of exec: String?) throws(LaunchFailure) -> Streams {
    guard let exec else { return streams }
    guard let running = execs[exec] else { throw gone(exec) }
    return running.streams
  }

  private func process(of exec: String?) throws(LaunchFailure) -> ContainerProcess {
    if let exec {
      guard let running = execs[exec], !running.watcher.isClosed else { throw gone(exec) }
      return running.watcher.process
    }
    switch phase {
    case .created(let container), .running(let container): return container.process
    case .failed, .exited: throw gone(nil)
    }
  }

  private func state() -> ShimProtocol.State {
    var running: [ShimProtocol.Exec] = []
    for exec in execs.values where !exec.watcher.isClosed {
      running.append(ShimProtocol.Exec(id: exec.id, pid: exec.watcher.process.pid, code: nil))
    }
    switch phase {
    case .failed, .created: return ShimProtocol.State(status: .created, started: nil, execs: [], exit: nil)
    case .running: return ShimProtocol.State(status: .running, started: started, execs: running + untold, exit: nil)
    case .exited(let record):
      return ShimProtocol.State(status: .exited, started: started, execs: running + untold, exit: record)
    }
  }

  private func start() throws(LaunchFailure) -> ShimProtocol.Started {
    switch phase {
    case .failed(let failure): throw failure
    case .running, .exited:
      throw LaunchFailure(step: "start", errno: EALREADY, object: "", message: "the container was started before")
    case .created(let container):
      do throws(LaunchFailure) {
        try container.start()
      } catch {
        phase = .failed(error)
        throw error
      }
      let started = ShimProtocol.Started(
        pid: container.process.pid, startedAt: Sys.realtimeNanoseconds(), warnings: container.warnings)
      self.started = started
      container.forgetPlan()
      phase = .running(container)
      watchMain(container)
      return started
    }
  }

  private func exec(_ plan: ExecPlan, _ attach: ShimProtocol.Attach?, _ socket: SharedDescriptor?) throws(LaunchFailure)
    -> ShimProtocol.Started
  {
    guard case .running(let container) = phase, outcome.exit == nil else { throw gone(nil) }
    guard execs[plan.id] == nil else {
      throw LaunchFailure(step: "exec", errno: EEXIST, object: plan.id, message: "exec \(plan.id) runs already")
    }
    let client = attach == nil ? nil : try checked(socket)
    let streams = Streams(loop, plan.stdio, isExec: true)
    let stdio: ContainerRuntime.Stdio
    do throws(SyscallError) { stdio = try streams.open() } catch { throw Self.failure("stdio", error) }
    let process = try container.exec(plan, stdio: stdio)
    let startedAt = Sys.realtimeNanoseconds()
    let id = plan.id
    let watcher = ProcessWatch(loop, process) { [unowned self] exit in execExited(id, exit) }
    execs[id] = Exec(id: id, streams: streams, watcher: watcher)
    streams.onDetach = { [unowned self] in tell(.detached(exec: id)) }
    streams.onDone = { [unowned self] in execs[id] = nil }
    do throws(SyscallError) {
      try streams.handedOver(terminal: process.terminal)
    } catch {
      // It runs, without anyone to hear it: better no exec than that.
      try? process.signal(SIGKILL)
      throw Self.failure("stdio", error)
    }
    if let attach, let client { streams.attach(attach, socket: client) }
    return ShimProtocol.Started(pid: process.pid, startedAt: startedAt)
  }

  private func execExited(_ id: String, _ exit: Sys.Exit) {
    guard let exec = execs[id] else { return }
    // Before its clients see their end: they ask for the code then.
    if !tell(.execExited(id: id, code: exit.code)) {
      untold.append(ShimProtocol.Exec(id: id, pid: exec.watcher.process.pid, code: exit.code))
    }
    exec.streams.processExited()
  }
}

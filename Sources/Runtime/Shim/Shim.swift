import CLinux
import Cgroups
import ContainerRuntime
import Kernel
import OCI

/// The parent of one container and of its execs: its standard streams, log, attached clients and exit status.
///
/// Owns: the container's `RunningContainer`; `Streams` for it and for each exec (pipes or terminal, log, attachers);
/// the control connections of `ShimProtocol`; the exit record. The daemon may be dead at any time, and come back:
/// nothing waits for it.
///
/// States: waiting for its plan (`Opening`) → created (prepared, waits before its exec) → running → exited (record written, daemons told) → the process
/// ends once attachers have their last bytes. From created: a failed start, `release`, or the loss of the last daemon
/// end it without a record.
///
/// ```
/// <run-dir>/shim.sock      for daemons; the daemon removes the directory
/// plan.log.path            the log (JSONLog)
/// plan.exitRecord          how it ended (ExitRecord)
/// ```
///
/// One thread, one epoll; no locks. Its private memory is counted in kilobytes: buffers are made when they are needed and given
/// back when the loop is idle.
///
/// Must not: import Foundation, NIO, Dispatch or use async; block on a daemon, a client or the container; outlive its
/// container by more than its clients need; remove what the daemon reads.
public final class Shim {
  let loop: EventLoop
  private let directory: Descriptor
  private(set) var connections: [ControlConnection] = []
  private var listener: ControlListener?

  enum Phase {
    /// Nothing is left of the container, or never was.
    case failed(LaunchFailure)
    case created(RunningContainer)
    case running(RunningContainer)
    case exited(ExitRecord)
  }

  var phase: Phase
  var started: ShimProtocol.Started?
  /// The container's own.
  var streams: Streams
  var watcher: ProcessWatch?
  var execs: [String: Exec] = [:]
  /// Those that ended and that no daemon was told of yet.
  var untold: [ShimProtocol.Exec] = []
  var outcome: Outcome
  private var oomSource: OOMSource?
  var opening: Opening
  /// A process was started since memory was last given back.
  var hasLaunched = false

  /// What is needed of the plan at the end.
  struct Outcome {
    let exitRecord: String
    let durable: Bool
    /// The group of the daemon's containers, if this one's is in it.
    let groupParent: Cgroup?
    /// Processes other than pid 1's own may be in the cgroup when it has ended.
    let sharesProcesses: Bool
    var exit: (exit: Sys.Exit, at: Int64)?
  }

  /// Runs a shim in this process until its container has ended. `arguments`: the program's name, and the run directory or what
  /// holds its place, to be seen by whoever lists processes. Answers the process's exit status.
  public static func main(_ arguments: [String]) -> Int32 {
    guard arguments.count == 2, !arguments[1].hasPrefix("-") else {
      Complaint.tell("usage: berth-shim RUN-DIRECTORY (it is started by berthd)")
      return 64
    }
    cl_map_small_pages()
    // The daemon's end, a terminal's hang-up or a stopped service must not end the container. The init stage resets
    // these.
    for signal in [SIGPIPE, SIGHUP, SIGINT, SIGTERM] { cl_ignore_signal(signal) }
    do throws(SyscallError) {
      // 4 is this program, as the daemon's launcher executes it; nothing else is ours.
      try Sys.closeRange(from: UInt32(ShimProtocol.controlDescriptor) + 1)
      // Executed from a descriptor, the process would be called by its number.
      let name: StaticString = "berth-shim"
      try Sys.prctl(PR_SET_NAME, UInt(bitPattern: name.utf8Start))
      try Sys.retrying("chdir", "/") { chdir("/") }
      let loop = try EventLoop()
      var opening = Opening(loop)
      defer { opening.drain() }
      guard let launch = try opening.await(ShimProtocol.controlDescriptor) else {
        opening.leave()
        return 0
      }
      Opening.show(launch.directory)
      let shim = try Shim(loop, launch, opening)
      try loop.run()
      return withExtendedLifetime(shim) { 0 }
    } catch {
      Complaint.tell("\(error)")
      return 1
    }
  }

  init(_ loop: EventLoop, _ launch: Opening.Launch, _ opening: Opening) throws(SyscallError) {
    self.loop = loop
    self.opening = opening
    directory = try Sys.open(launch.directory, O_DIRECTORY | O_PATH)
    let plan = launch.plan
    Complaint.container = plan.id
    let pidNamespace = plan.spec.linux.namespace(.pid)
    outcome = Outcome(
      exitRecord: plan.exitRecord, durable: plan.durableExit, groupParent: Self.groupParent(launch),
      sharesProcesses: pidNamespace == nil || pidNamespace?.path != nil)
    phase = .failed(LaunchFailure(step: "prepare", errno: 0, object: plan.id, message: "not prepared"))
    streams = Streams(loop, plan.stdio, isExec: false)
    joined(ShimProtocol.controlDescriptor)
    streams.onDetach = { [unowned self] in tell(.detached(exec: nil)) }
    loop.onIdle = { [unowned self] in giveBackMemory() }
    prepare(plan, ContainerRuntime.Provisions(groups: opening.groups, root: launch.root))
  }

  /// What `--cgroup-parent` named is the user's own, and stays.
  private static func groupParent(_ launch: Opening.Launch) -> Cgroup? {
    let plan = launch.plan
    guard let layout = plan.cgroupLayout, launch.directory.hasSuffix("/containers/" + plan.id) else { return nil }
    let execRoot = String(launch.directory.dropLast("/containers/".utf8.count + plan.id.utf8.count))
    let parent = Cgroups.defaultParent(execRoot: execRoot)
    guard plan.spec.linux.cgroupsPath == parent + "/" + plan.id else { return nil }
    return try? Cgroup(path: parent, layout: layout)
  }

  static func failure(_ step: String, _ error: SyscallError) -> LaunchFailure {
    LaunchFailure(step: step, errno: error.errno.rawValue, object: error.object, message: "\(error)")
  }

  private func prepare(_ plan: LaunchPlan, _ provisions: ContainerRuntime.Provisions) {
    do throws(LaunchFailure) {
      let stdio: ContainerRuntime.Stdio
      do throws(SyscallError) { stdio = try streams.open() } catch { throw Self.failure("stdio", error) }
      // What only a started container needs is made while its process prepares itself.
      var failure: SyscallError?
      let container = try ContainerRuntime.prepare(plan, stdio: stdio, provisions: provisions) { _ in
        do throws(SyscallError) {
          streams.log = try plan.log.map { log throws(SyscallError) in try JSONLog(log) }
          listener = try ControlListener(self, directory: directory.raw)
          listener?.watch(Source.readable)
        } catch { failure = error }
        return .wait
      }
      if let failure {
        container.abandon()
        throw Self.failure(failure.call == "bind" ? "listen" : "log", failure)
      }
      do throws(SyscallError) {
        try streams.handedOver(terminal: container.process.terminal)
      } catch {
        container.abandon()
        throw Self.failure("stdio", error)
      }
      phase = .created(container)
    } catch { phase = .failed(error) }
    loop.touch()
  }

  // MARK: Daemons

  func joined(_ fd: Int32) {
    do throws(SyscallError) { try Sys.fcntl(fd, F_SETFD, Int(FD_CLOEXEC)) } catch {
      Complaint.tell("\(error)")
      return
    }
    let connection = ControlConnection(self, fd: fd)
    connections.append(connection)
    connection.watch(Source.readable)
  }

  func lost(_ connection: ControlConnection) {
    connections.removeAll { $0 === connection }
    guard connections.isEmpty else { return }
    switch phase {
    case .created, .failed: release()
    case .running, .exited: break
    }
  }

  /// Tells every daemon; false when there was none.
  @discardableResult
  func tell(_ event: ShimProtocol.Event) -> Bool {
    let message = event.encoded()
    var told = false
    for connection in connections where connection.send(message) { told = true }
    return told
  }

  /// Takes back a container that wasn't started, and ends.
  func release() {
    if case .created(let container) = phase { container.abandon() }
    phase = .failed(LaunchFailure(step: "release", errno: 0, object: "", message: "the container was released"))
    streams.onDone = { [unowned self] in loop.stop() }
    streams.endOutputs()
  }

  // MARK: The end

  func watchMain(_ container: RunningContainer) {
    watcher = ProcessWatch(loop, container.process) { [unowned self] exit in mainExited(exit, container) }
    streams.onEnd = { [unowned self] in ended(container) }
    streams.onClosed = { [unowned self] in finish(container) }
  }

  /// Off the way of the start: kills that came before are counted at the end all the same.
  func watchMemory() {
    guard case .running(let container) = phase, oomSource == nil else { return }
    oomSource = OOMSource(loop, container.cgroup) { [unowned self] in tell(.oom) }
  }

  private func mainExited(_ exit: Sys.Exit, _ container: RunningContainer) {
    outcome.exit = (exit, Sys.realtimeNanoseconds())
    if outcome.sharesProcesses {
      // Its processes don't die with pid 1, and would hold the streams.
      do throws(CgroupError) { try container.cgroup.killAll() } catch { Complaint.tell("\(error)") }
    }
    streams.onDone = { [unowned self] in loop.stop() }
    streams.processExited()
  }

  /// The process has exited and its output is in the log: record, then daemons.
  private func ended(_ container: RunningContainer) {
    guard let (exit, at) = outcome.exit, case .running = phase else { return }
    var signal: Int32?
    if case .signaled(let number) = exit { signal = number }
    let record = ExitRecord(
      code: exit.code, signal: signal, oomKilled: oomSource?.hasKilled() ?? false, startedAt: started?.startedAt ?? at,
      exitedAt: at)
    do throws(SyscallError) { try record.write(to: outcome.exitRecord, durable: false) } catch {
      Complaint.tell("\(error)")
    }
    phase = .exited(record)
    tell(.exited(record))
  }

  /// Everybody has been told: cgroup and namespaces, which the kernel takes its time for, then the disk.
  private func finish(_ container: RunningContainer) {
    oomSource?.close()
    oomSource = nil
    for exec in execs.values { exec.streams.endOutputs() }
    for warning in container.finish() { Complaint.tell(warning) }
    listener?.close()
    // With a daemon there will be other containers; without one, the last out takes the groups' parent along. One that ends while this runs
    // has left by now, or looks at the parent itself after it has left.
    if connections.allSatisfy(\.isDeserted) { outcome.groupParent?.removeIfUnused() }
    // A daemon that sees its connection end knows that nothing of the container is left.
    for connection in connections { connection.close() }
    guard outcome.durable else { return }
    streams.log?.sync()
    syncRecord()
  }

  private func syncRecord() {
    do throws(SyscallError) {
      let file = try Sys.open(outcome.exitRecord)
      try Sys.fdatasync(file.raw)
      if let slash = outcome.exitRecord.lastIndex(of: "/") {
        try Sys.syncDirectory(String(outcome.exitRecord[...slash]))
      }
    } catch  where error.errno == .noSuchFile {
      // the daemon has removed the container meanwhile
    } catch { Complaint.tell("\(error)") }
  }

  /// Called when there is nothing to do: what was needed for a moment goes back to the kernel.
  private func giveBackMemory() {
    loop.buffer.giveBack()
    streams.log?.output.giveBack()
    malloc_trim(0)
    guard hasLaunched else { return }
    hasLaunched = false
    // A launch touches stack and code that waiting doesn't.
    cl_give_back_stack()
    cl_give_back_code()
  }
}

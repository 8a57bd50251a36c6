import Cgroups
import CLinux
import ContainerRuntime
import Kernel
import OCI
import Systemd

/// What create and run have in common: from the bundle to a process that waits before its exec and is written down.
struct Creation {
  let bundle: Bundle
  let state: StateDirectory
  var record: StateDirectory.Record
  let container: RunningContainer

  static let flags: [Flag] = [
    Flag("bundle", "b", value: "DIR", "the bundle; the working directory when not given"),
    Flag("config", "f", value: "FILE", "the configuration, instead of the bundle's config.json"),
    Flag("console-socket", value: "SOCKET", "where the terminal's master is sent"),
    Flag("pid-file", value: "FILE", "where the process's id is written"),
    Flag("preserve-fds", value: "N", "descriptors from 3 on that the process inherits"),
    Flag("no-pivot", nil, "accepted; the root is moved where pivot_root can't be had"),
    Flag("no-new-keyring", nil, "accepted; the container has a session keyring of its own"),
    Flag("no-subreaper", nil, "accepted"),
  ]

  /// `detached`: the container outlives this process; with `gated`, another one starts it.
  init(_ call: RuntimeCommand.Invocation, detached: Bool, gated: Bool) throws(CommandError) {
    let options = call.options
    let id = try call.containerID()
    try StateDirectory.validate(id)
    let pidFile = try options.value("pid-file").map { path throws(CommandError) in try Environment.absolute(path) }
    let bundle = try Bundle(options.value("bundle") ?? ".", configuration: options.value("config"))
    guard let process = bundle.spec.process else { throw CommandError("process: is missing") }
    let console = try ConsoleSocket(options.value("console-socket"), terminal: process.terminal, detached: detached)
    // Sources of bind mounts may be relative to the bundle.
    try attempt("enter the bundle") { () throws(SyscallError) in try Sys.chdir(bundle.path) }

    let state = try StateDirectory.create(id, root: call.root)
    self.bundle = bundle
    self.state = state
    do throws(CommandError) {
      (record, container) = try Self.make(call, bundle, state, gated: gated, console)
    } catch {
      // The message is what counts; what is left is found by delete.
      try? state.remove()
      throw error
    }
    do throws(CommandError) {
      if let pidFile { try PidFile.write(record.pid, to: pidFile) }
    } catch {
      container.abandon()
      try? state.remove()
      throw error
    }
    for warning in container.warnings { call.log.warning(warning) }
  }

  private static func make(
    _ call: RuntimeCommand.Invocation, _ bundle: Bundle, _ state: StateDirectory, gated: Bool,
    _ console: borrowing ConsoleSocket
  ) throws(CommandError) -> (StateDirectory.Record, RunningContainer) {
    var spec = bundle.spec
    // Without cgroups the container stays where its creator is, and its limits are warnings.
    var layout =
      call.globals.withoutCgroup
      ? CgroupLayout.none
      : try attempt("find the cgroups") { () throws(SyscallError) in try CgroupLayout.probe() }
    let systemd =
      call.globals.systemdCgroup ? try SystemdDriver(spec.linux.cgroupsPath, id: state.id) : nil
    if systemd != nil { layout = try SystemdDriver.layout(layout) }
    let cgroupPath = try systemd?.path() ?? CgroupName.path(spec.linux.cgroupsPath, id: state.id)
    spec.linux.cgroupsPath = cgroupPath
    var record = StateDirectory.Record(
      id: state.id, ociVersion: spec.ociVersion, bundle: bundle.path, rootfs: bundle.rootfs,
      created: Timestamp(nanosecondsSinceEpoch: Sys.realtimeNanoseconds()), owner: geteuid(),
      namespaces: spec.linux.namespaces.map(\.kind), annotations: spec.annotations ?? [:])
    // Without rules all is denied; the devices that every container has are allowed whatever the rules are (runc and crun alike).
    var resources = spec.linux.resources ?? RuntimeSpec.Resources()
    if resources.devices.isEmpty { resources.devices = [RuntimeSpec.DeviceRule(allow: false, access: "rwm")] }
    resources.devices += Cgroups.defaultDevices.filter(\.allow)
    if call.globals.withoutCgroup { resources.devices = [] }
    spec.linux.resources = resources
    record.cgroupPath = cgroupPath
    record.cgroupLayout = layout
    record.systemdUnit = systemd?.scope.unit
    record.personality = spec.linux.personality
    record.memoryPolicy = spec.linux.memoryPolicy
    record.hasTerminal = spec.process?.terminal ?? false
    record.hasLateHooks = spec.hooks.map { !$0.poststart.isEmpty || !$0.poststop.isEmpty } ?? false
    if let profile = spec.linux.seccomp {
      let filter = try SeccompFilters.filter(profile, root: call.root)
      (record.seccompFilter, record.seccompFlags, record.seccompListener) = (filter.path, filter.flags, filter.listener)
      spec.linux.seccomp = nil
    }
    let resctrl = try spec.linux.intelRDT.map { asked throws(CommandError) in try Resctrl(asked, id: state.id) }
    record.resctrl = resctrl?.removed ?? []
    record.resctrlGroup = resctrl?.group
    // The cgroup is named before it is made, so that delete finds it whatever happens to us.
    try state.saveFirst(record)
    var keeper: ScopeKeeper?
    if let systemd {
      let started = try systemd.start(state.id, spec, layout)
      keeper = started.keeper
      if started.path != cgroupPath {
        (spec.linux.cgroupsPath, record.cgroupPath) = (started.path, started.path)
        try state.save(record)
      }
    }
    defer { withExtendedLifetime(keeper) {} }
    let preserved = try InheritedDescriptors(call.options.number("preserve-fds"))
    spec.process?.env += preserved.environment
    var plan = LaunchPlan(
      id: state.id, spec: spec, rootfs: .directory(bundle.rootfs), seccompFilter: record.seccompFilter,
      stdio: LaunchPlan.Stdio(terminal: record.hasTerminal, openStdin: true, stdinOnce: false), exitRecord: "",
      cgroupLayout: layout)
    plan.bundle = bundle.path
    (plan.seccompFlags, plan.seccompListener) = (record.seccompFlags, record.seccompListener)
    plan.preservedDescriptors = preserved.count
    // What is to be found on disk is written while the process prepares itself.
    let mayGo = !gated && !call.options.has("pid-file") && resctrl == nil && systemd == nil
    var failure: CommandError?
    let write = { (pid: Int32) -> ContainerRuntime.Permission in
      do throws(CommandError) { try Self.write(&record, pid, bundle, state) } catch {
        failure = error
        return .wait
      }
      return mayGo ? .go : .wait
    }
    let container: RunningContainer
    do throws(LaunchFailure) {
      let stdio = ContainerRuntime.Stdio(input: 0, output: 1, error: 2)
      if gated {
        let gate: StartGate
        do throws(SyscallError) { gate = try StartGate(in: state.directory) } catch {
          throw LaunchFailure(
            step: "create", errno: error.errno.rawValue, object: error.object, message: "start socket: \(error)")
        }
        container = try ContainerRuntime.prepare(plan, stdio: stdio, gate: gate, meanwhile: write)
      } else {
        container = try ContainerRuntime.prepare(plan, stdio: stdio, meanwhile: write)
      }
    } catch {
      keeper = nil
      if let unit = record.systemdUnit { try? SystemdDriver.stop(unit) }
      throw CommandError("unable to start container process: \(error.message)")
    }
    keeper = nil
    do throws(CommandError) {
      if let failure { throw failure }
      if let resctrl { try resctrl.apply(record.pid) }
      if let terminal = container.process.terminal { try console.send(terminal) }
      return (record, container)
    } catch {
      container.abandon()
      try? Resctrl.remove(record.resctrl)
      if let unit = record.systemdUnit { try? SystemdDriver.stop(unit) }
      throw error
    }
  }
}

extension Creation {
  private static func write(
    _ record: inout StateDirectory.Record, _ pid: Int32, _ bundle: Bundle, _ state: StateDirectory
  )
    throws(CommandError)
  {
    guard let (_, startTime) = StateDirectory.Record.stat(of: pid) else {
      throw CommandError("the container's process has ended early")
    }
    record.pid = pid
    record.startTime = startTime
    // First, since whoever finds a process in the state may read it.
    try attempt("write the state of container \(state.id)") { () throws(SyscallError) in
      try state.write("config.json", bundle.bytes)
    }
    try state.save(record)
  }
}

enum PidFile {
  /// Whole or not at all, as whoever waits for it expects.
  static func write(_ pid: Int32, to path: String) throws(CommandError) {
    try attempt("write pid file") { () throws(SyscallError) in
      try Sys.replaceFile(path, with: Array("\(pid)".utf8), durable: false)
    }
  }
}

/// `--preserve-fds`, and sockets that systemd activated us with (sd_listen_fds(3)).
struct InheritedDescriptors {
  let count: Int32
  let environment: [String]

  init(_ asked: Int32?) throws(CommandError) {
    let asked = asked ?? 0
    guard (0...1024).contains(asked) else { throw CommandError("invalid value for flag --preserve-fds") }
    let listening = Environment.value("LISTEN_FDS").flatMap { Int32($0) } ?? 0
    guard listening > 0, listening <= 1024,
      Environment.value("LISTEN_PID").flatMap({ Int32($0) }) ?? getpid() == getpid()
    else {
      count = asked
      environment = []
      return
    }
    count = asked + listening
    var variables = ["LISTEN_FDS=\(listening)", "LISTEN_PID=1"]
    if let names = Environment.value("LISTEN_FDNAMES") { variables.append("LISTEN_FDNAMES=\(names)") }
    environment = variables
  }
}

extension Creation {
  /// Leaves the container to whoever starts it.
  func leave() throws(CommandError) {
    do throws(LaunchFailure) { try container.leave() } catch { throw CommandError(error.message) }
    state.unlock()
  }
}

import Cgroups
import CLinux
import Kernel
import OCI
import Rootfs

/// The child's half of a launch: from the clone to the program. `Stage.Step` says what stands where and why.
final class InitStage {
  let plan: LaunchPlan
  let request: ProcessRequest
  let namespaces: NamespaceSetup
  let entrance: CgroupEntrance
  let cgroups: CgroupMounts?
  let stdio: ContainerRuntime.Stdio
  /// Detached by the parent when the child is in a user namespace, where it may not reach or mount them.
  let root: SharedDescriptor?
  /// What else only the parent could open is among them: other containers' mounts, and id-mapped ones.
  let sources: [Int: SharedDescriptor]
  let opensPropagating: Bool
  /// The listener of a `StartGate`.
  let gate: Int32?

  init(
    plan: LaunchPlan, request: ProcessRequest, namespaces: NamespaceSetup, entrance: consuming CgroupEntrance,
    cgroups: CgroupMounts?, stdio: ContainerRuntime.Stdio, root: SharedDescriptor?, sources: [Int: SharedDescriptor],
    opensPropagating: Bool, gate: Int32?
  ) {
    self.plan = plan
    self.request = request
    self.namespaces = namespaces
    self.entrance = entrance
    self.cgroups = cgroups
    self.stdio = stdio
    self.root = root
    self.sources = sources
    self.opensPropagating = opensPropagating
    self.gate = gate
  }

  func run(_ stage: inout Stage) throws(LaunchFailure) -> Never {
    let spec = plan.spec
    try stage.enter(.signals)
    Sys.resetSignals()

    try stage.enter(.dumpable)
    // Those in a user namespace own their files in /proc until the time offsets are written.
    if !namespaces.hasUser { try stage.attempt("prctl") { () throws(SyscallError) in try Sys.prctl(4, 0) } }

    try stage.enter(.session)
    try stage.attempt("setsid") { () throws(SyscallError) in try Sys.setsid() }
    try Self.joinKeyring(plan.id, stage)

    try stage.enter(.cgroup)
    do throws(CgroupError) { try entrance.enter() } catch {
      throw stage.failure(error.errno.rawValue, error.path, "\(error)")
    }

    try stage.enter(.namespaces)
    try namespaces.enter(stage)

    try stage.enter(.userNamespace)
    if namespaces.hasUser { try becomeRoot(stage) }

    try stage.enter(.rootfs)
    umask(0)
    let sources = try openSources(stage)
    var isChrooted = false
    let root = try attachRoot(stage, &isChrooted)

    try stage.enter(.mounts)
    var mounter = Mounter(root: root, cgroups: cgroups, pins: plan.pins, label: spec.linux.mountLabel)
    for (index, mount) in spec.mounts.enumerated() {
      do throws(RootfsError) { try mounter.mount(mount, source: sources[index]) } catch {
        throw LaunchFailure(step: error.step, errno: error.errno, object: error.object, message: error.message)
      }
    }

    try stage.enter(.devices)
    let bindsDev = spec.mounts.contains {
      $0.destination == "/dev" && ($0.type == "bind" || MountOptions($0.options).bind)
    }
    if !bindsDev {
      try stage.mounting { () throws(RootfsError) in
        try Rootfs.makeDevices(spec.linux.devices, in: mounter.root, bind: namespaces.hasUser)
      }
    }

    try stage.enter(.console)
    let slave = try openTerminal(in: mounter.root, console: !bindsDev, stage)

    try stage.enter(.sysctl)
    var proc: ProcFS?
    if let mount = mounter.takeProc() {
      do throws(SyscallError) { proc = try ProcFS(mount) } catch {
        throw stage.failure(error.errno.rawValue, "/proc", "procfs: \(error)")
      }
    }
    if !spec.linux.sysctl.isEmpty {
      switch proc {
      case .some(let proc): try Sysctl.apply(spec.linux.sysctl, through: proc, stage)
      case .none:
        let own = try stage.attempt("procfs") { () throws(SyscallError) in try ProcFS() }
        try Sysctl.apply(spec.linux.sysctl, through: own, stage)
      }
    }

    try stage.enter(.masks)
    try stage.attempt("make working directory \"\(request.process.cwd)\"") { () throws(SyscallError) in
      _ = try mounter.root.makeDirectory(request.process.cwd)
    }
    try stage.mounting { () throws(RootfsError) in
      try Rootfs.mask(spec.linux.maskedPaths, in: mounter.root, mounter.kernelMounts)
      try Rootfs.makeReadOnly(spec.linux.readonlyPaths, in: mounter.root, mounter.kernelMounts)
      if spec.root?.readonly == true { try mounter.makeRootReadOnly() }
    }

    if let hooks = spec.hooks { try runHooks(hooks, stage) }

    try stage.enter(.pivot)
    try stage.mounting { () throws(RootfsError) in
      try Rootfs.pivot(into: mounter.root, isChrooted: isChrooted)
      if let propagation { try Rootfs.setRootPropagation(propagation) }
    }

    try stage.enter(.hostname)
    try stage.attempt("set host name") { () throws(SyscallError) in
      if let name = spec.hostname, !name.isEmpty { try Sys.sethostname(name) }
      if let name = spec.domainname, !name.isEmpty { try Sys.setdomainname(name) }
    }

    try ProcessStage(request: request, stdio: stdio, slave: slave).run(
      &stage, proc: proc, waits: true, gate: gate, beforeProgram: startContainer)
  }

  /// Runs the startContainer hooks; `nil` when there are none.
  private var startContainer: (() throws(LaunchFailure) -> Void)? {
    guard let hooks = plan.spec.hooks, !hooks.startContainer.isEmpty else { return nil }
    return { () throws(LaunchFailure) in try hooks.run(.startContainer, self.plan.state(.created, pid: getpid())) }
  }

  /// Keys that the engine's session holds are none of the container's. Kernels without keyrings, and filters that deny them, are
  /// as good; a quota that is used up isn't worth the container.
  static func joinKeyring(_ id: String, _ stage: Stage) throws(LaunchFailure) {
    do throws(SyscallError) {
      try Sys.joinSessionKeyring("_ses." + id)
    } catch  where error.errno == .noSuchCall || error.errno == .notPermitted {
    } catch { stage.warn("the container shares the engine's session keyring: \(error.errno)") }
  }

  /// Those of the runtime's namespaces are the parent's to run.
  private func runHooks(_ hooks: RuntimeSpec.Hooks, _ stage: Stage) throws(LaunchFailure) {
    if !hooks.prestart.isEmpty || !hooks.createRuntime.isEmpty {
      try stage.attempt("await hooks") { () throws(SyscallError) in
        try Message.needHooks.send(on: stage.channel)
        guard let (message, _) = try Message.receive(from: stage.channel), case .hooked = message else { _exit(127) }
      }
    }
    try hooks.run(.createContainer, plan.state(.creating, pid: getpid()))
  }

  private func becomeRoot(_ stage: Stage) throws(LaunchFailure) {
    try stage.attempt("become root of the user namespace") { () throws(SyscallError) in
      if namespaces.newUser {
        try Message.needMaps.send(on: stage.channel)
        guard let (message, _) = try Message.receive(from: stage.channel), case .mapped = message else { _exit(127) }
      }
      try Sys.setgid(0)
      try Sys.setuid(0)
      try Sys.leaveGroups()
      try Sys.prctl(4, 0)
    }
  }

  private func openSources(_ stage: Stage) throws(LaunchFailure) -> [Int: SharedDescriptor] {
    guard opensPropagating else { return sources }
    let own = try stage.mounting { () throws(RootfsError) in
      try Mounter.openSources(plan.spec.mounts, .propagating, pins: plan.pins) { mount throws(SyscallError) in
        throw SyscallError("mount_setattr", mount.destination, .notPermitted)
      }
    }
    return own.merging(sources) { $1 }
  }

  private func attachRoot(_ stage: Stage, _ isChrooted: inout Bool) throws(LaunchFailure) -> Root {
    // Hooks that run before the change of root find the mounts below the bundle's root directory.
    var place: String?
    if let hooks = plan.spec.hooks, case .directory(let path) = plan.rootfs,
      !hooks.prestart.isEmpty || !hooks.createRuntime.isEmpty || !hooks.createContainer.isEmpty
    {
      place = path
    }
    return try stage.mounting { () throws(RootfsError) in
      if propagation?.staysSlave == true, root != nil || !plan.rootfs.isOverlay {
        let mount: Descriptor
        if let root { mount = try Rootfs.duplicate(root) } else { mount = try plan.rootfs.mount() }
        try Rootfs.makeSlave(mount)
        isChrooted = try Rootfs.leavePropagation()
        return try Rootfs.attach(mount, over: place)
      }
      isChrooted = try Rootfs.leavePropagation()
      if let root { return try Rootfs.attach(try Rootfs.duplicate(root), over: place) }
      return try Rootfs.attach(try plan.rootfs.mount(), over: place)
    }
  }

  /// Known to be one by `ConfigurationCheck`.
  private var propagation: Rootfs.RootPropagation? {
    plan.spec.linux.rootfsPropagation.flatMap { Rootfs.RootPropagation(rawValue: $0) }
  }

  private func openTerminal(in root: borrowing Root, console: Bool, _ stage: Stage) throws(LaunchFailure)
    -> SharedDescriptor?
  {
    guard request.terminal else { return nil }
    let terminal = try stage.mounting { () throws(RootfsError) in try Rootfs.openTerminal(in: root) }
    if console {
      try stage.mounting { () throws(RootfsError) in try Rootfs.bindConsole(terminal.slave, in: root) }
    }
    try stage.attempt("hand over the terminal") { () throws(SyscallError) in
      try Message.terminal.send(on: stage.channel, descriptors: [terminal.master.raw])
    }
    return SharedDescriptor(terminal.takeSlave())
  }
}

extension LaunchPlan.Rootfs {
  /// A file system of the container's own, which nobody else has mounted.
  var isOverlay: Bool { if case .overlay = self { true } else { false } }

  /// A detached mount of it.
  func mount() throws(RootfsError) -> Descriptor {
    switch self {
    case .directory(let path): try Rootfs.directory(path)
    case .overlay(let lower, let upper, let work, let volatile):
      try Rootfs.overlay(lower: lower, upper: upper, work: work, volatile: volatile)
    }
  }
}

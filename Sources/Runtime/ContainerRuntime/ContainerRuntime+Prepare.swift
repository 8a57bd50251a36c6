import Cgroups
import CLinux
import Kernel
import OCI
import Rootfs

extension ContainerRuntime {
  /// Makes cgroup, process, namespaces, mounts and terminal; the process waits just before its exec.
  /// On failure nothing is left: the child is killed and reaped, the cgroup removed.
  ///
  /// With a `gate` the container is to be left to whoever opens that: see `RunningContainer.leave`. `meanwhile` is done once, between
  /// the clone and the wait for the child, unless something fails before; it is told the process's id. Where it answers `.go` the
  /// program runs as soon as it can, not only at `start`, which is to be called all the same; not for containers that need us in
  /// between (user namespaces, a terminal, hooks, a gate).
  public static func prepare(
    _ plan: LaunchPlan, stdio: Stdio, gate: consuming StartGate? = nil, provisions: Provisions = Provisions(),
    meanwhile: (_ pid: Int32) -> Permission = { _ in .wait }
  ) throws(LaunchFailure) -> RunningContainer {
    trace?.mark(.plan)
    let request = try ProcessRequest(plan)
    let linux = plan.spec.linux
    let namespaces = try NamespaceSetup(linux)
    try Sysctl.validate(linux.sysctl, plan.spec)
    try ConfigurationCheck.run(plan.spec)
    let devices = try NetDevices(linux)

    trace?.mark(.makeCgroup)
    let cgroup: Cgroup
    let warnings: [String]
    do throws(CgroupError) {
      (cgroup, warnings) = try makeGroup(plan, provisions)
    } catch { throw LaunchFailure(error) }
    do throws(LaunchFailure) {
      return try launch(
        plan, request, namespaces, devices, cgroup, stdio, warnings, gate, provisions.root, meanwhile)
    } catch let failure {
      do throws(CgroupError) { try cgroup.remove() } catch {
        throw LaunchFailure(
          step: failure.step, errno: failure.errno, object: failure.object,
          message: "\(failure.message) (and left behind: \(error))")
      }
      _ = plan.spec.hooks?.runAll(.poststop, plan.state(.stopped, pid: nil))
      throw failure
    }
  }

  /// Whether a program may run before `start`.
  public enum Permission: Sendable { case wait, go }

  /// An ordinary user without a delegated group has none, unless it asked for limits.
  private static func makeGroup(_ plan: LaunchPlan, _ provisions: Provisions) throws(CgroupError) -> (
    cgroup: Cgroup, warnings: [String]
  ) {
    let path = plan.spec.linux.cgroupsPath ?? "/berth/\(plan.id)"
    var resources = plan.spec.linux.resources ?? RuntimeSpec.Resources()
    // Nobody but root may set device rules, in a group of its own neither; it makes no devices that they would be about.
    if geteuid() != 0 { resources.devices = [] }
    do throws(CgroupError) {
      return try provisions.group(path, layout: try plan.layout(), plan.cgroupMade ? nil : resources)
    } catch  where [.permissionDenied, .notPermitted, .readOnlyFileSystem].contains(error.errno) && geteuid() != 0 {
      guard resources == RuntimeSpec.Resources() else { throw error }
      return (try Cgroup(path: path, layout: .none), ["no cgroup: \(error)"])
    }
  }

  private static func launch(
    _ plan: LaunchPlan, _ request: ProcessRequest, _ namespaces: NamespaceSetup, _ devices: NetDevices,
    _ cgroup: Cgroup, _ stdio: Stdio, _ warnings: [String], _ gate: borrowing StartGate?, _ root: SharedDescriptor?,
    _ meanwhile: (Int32) -> Permission
  ) throws(LaunchFailure) -> RunningContainer {
    trace?.mark(.clone)
    let entrance: CgroupEntrance
    do throws(CgroupError) { entrance = try cgroup.entrance() } catch { throw LaunchFailure(error) }
    let cloneInto = entrance.cloneInto
    let listener: Int32? =
      switch gate {
      case .some(let gate): gate.listener.raw
      case .none: nil
      }
    // In a user namespace the child may not open what is the host's; where we may not either, it is left to the child, which can.
    let opens = namespaces.hasUser ? try isPrivileged() : false
    if opens, !request.terminal {
      let linux = plan.spec.linux
      try stdio.give(to: MountedTree.Owners(users: linux.uidMappings, groups: linux.gidMappings).outside(0, 0))
    }
    var prepared = try plan.borrow()
    let mappings = MappingNamespaces(linux: plan.spec.linux, joined: namespaces.joinedUser)
    let initStage: InitStage
    do throws(RootfsError) {
      prepared.merge(
        try Mounter.openSources(plan.spec.mounts, opens ? .all : .idMapped, pins: plan.pins) {
          mount throws(SyscallError) in try mappings.of(mount)
        }
      ) { borrowed, _ in borrowed }
      initStage = InitStage(
        plan: plan, request: request, namespaces: namespaces, entrance: entrance,
        cgroups: cgroup.mounts(for: plan.spec),
        stdio: stdio, root: root == nil && opens ? try plan.mountRoot(mappings) : root,
        sources: prepared, opensPropagating: !opens, gate: listener)
    } catch { throw LaunchFailure(error) }
    let through: (() throws(SyscallError) -> Void)? =
      namespaces.joinedUser == nil ? nil : { () throws(SyscallError) in try namespaces.enterBeforeBirth() }
    var launch = try Launch(
      flags: namespaces.cloneFlags, cgroup: cloneInto, entering: namespaces.joinedByParent, through: through
    ) { stage throws(LaunchFailure) in try initStage.run(&stage) }
    launch.notice = plan.seccompListener.map { listener in
      SeccompNotice(listener: listener, state: plan.state(.created, pid: launch.pid))
    }
    // While the child works: namespaces made by the clone itself are there already.
    let held = try launch.hold([.mount, .network, .ipc].filter { namespaces.cloneFlags & $0.cloneFlag != 0 })
    if !devices.isEmpty {
      do throws(LaunchFailure) { try devices.move(into: try namespaces.network(of: launch)) } catch {
        launch.kill()
        throw error
      }
    }
    let permission = meanwhile(launch.pid)
    if permission == .go, listener == nil, !namespaces.hasUser, !plan.stdio.terminal, plan.spec.hooks == nil,
      plan.seccompListener == nil
    {
      launch.allow()
    }
    var services = Launch.Services()
    services.maps = { pid throws(LaunchFailure) in try namespaces.writeMaps(of: pid) }
    if let hooks = plan.spec.hooks {
      services.hooks = { pid throws(LaunchFailure) in
        try hooks.run(.prestart, plan.state(.creating, pid: pid))
        try hooks.run(.createRuntime, plan.state(.creating, pid: pid))
      }
    }
    try launch.awaitReady(services)
    let process = try launch.process()
    let all = warnings + launch.warnings
    return RunningContainer(
      plan: plan, process: process, cgroup: cgroup, launch: launch, namespaces: held, warnings: all)
  }
}

extension ContainerRuntime {
  static func isPrivileged() throws(LaunchFailure) -> Bool {
    do throws(SyscallError) { return try Sys.capget().effective & CapabilitySets.sysAdmin != 0 } catch {
      throw LaunchFailure(step: "plan", errno: error.errno.rawValue, object: "", message: "\(error)")
    }
  }
}

extension LaunchPlan {
  /// The sources that another process has, by the index of their mounts.
  func borrow() throws(LaunchFailure) -> [Int: SharedDescriptor] {
    guard !borrowed.isEmpty else { return [:] }
    var sources: [Int: SharedDescriptor] = [:]
    for (index, mount) in spec.mounts.enumerated() {
      guard let pid = borrowed[mount.destination] else { continue }
      do throws(SyscallError) {
        let namespace = try Sys.open("/proc/\(pid)/ns/mnt")
        sources[index] = try DetachedMount.tmpfs(at: mount.source ?? "", in: namespace)
      } catch {
        throw LaunchFailure(
          step: "mount", errno: error.errno.rawValue, object: mount.destination,
          message: "share \(mount.destination) of process \(pid): \(error)")
      }
    }
    return sources
  }

  func layout() throws(CgroupError) -> CgroupLayout {
    if let cgroupLayout { return cgroupLayout }
    do throws(SyscallError) { return try CgroupLayout.probe() } catch {
      throw CgroupError("find", controller: "cgroup", path: error.object, error.errno)
    }
  }
}

extension LaunchFailure {
  init(_ error: CgroupError) {
    self.init(
      step: "cgroup", errno: error.errno.rawValue, object: error.path,
      message: (error.field.map { "linux.resources.\($0): " } ?? "") + "\(error)")
  }

  init(_ error: RootfsError) {
    self.init(step: error.step, errno: error.errno, object: error.object, message: error.message)
  }
}

extension Cgroup {
  /// What a mount of type `cgroup` in the container shows; `nil` when it has none.
  func mounts(for spec: RuntimeSpec) -> CgroupMounts? {
    guard spec.mounts.contains(where: { $0.type == "cgroup" || $0.type == "cgroup2" }) else { return nil }
    let namespaced = spec.linux.namespace(.cgroup) != nil
    if layout.mode == .v2 {
      guard let unified = layout.unified else { return nil }
      return CgroupMounts(unified: namespaced ? unified + path : unified, namespaced: namespaced)
    }
    var mounts = CgroupMounts(unified: nil, namespaced: namespaced)
    // A hierarchy that the group doesn't use (v1's freezer beside v2) has no directory of it.
    for hierarchy in layout.hierarchies where Sys.exists(hierarchy.mountPoint + path) {
      let name = String(hierarchy.mountPoint.split(separator: "/").last ?? "")
      mounts.hierarchies.append(.init(name: name, source: hierarchy.mountPoint + path))
      for controller in hierarchy.controllers where controller != name && !controller.contains("=") {
        mounts.links.append(.init(name: controller, target: name))
      }
    }
    if let unified = layout.unified { mounts.hierarchies.append(.init(name: "unified", source: unified + path)) }
    return mounts
  }
}

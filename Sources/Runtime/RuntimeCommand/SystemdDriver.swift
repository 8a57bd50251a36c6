import Cgroups
import CLinux
import Kernel
import OCI
import Systemd

/// The systemd cgroup driver: the container's group is a scope of systemd's.
///
/// A scope needs a process when it is made. Ours is one that only waits, and ends once the container has been born in the scope, as it
/// would be in any other group: nothing of the container's own birth is different.
struct SystemdDriver {
  let scope: SystemdScope
  private let isUser = geteuid() != 0

  init(_ cgroupsPath: String?, id: String) throws(CommandError) {
    let isUser = isUser
    scope = try Self.attemptSystemd { () throws(SystemdError) in
      try SystemdScope(cgroupsPath, id: id, isUser: isUser)
    }
  }

  /// systemd counts processes in its own hierarchy too, where v1 has one.
  static func layout(_ layout: CgroupLayout) throws(CommandError) -> CgroupLayout {
    try attempt("find systemd's cgroups") { () throws(SyscallError) in try layout.adding(named: "systemd") }
  }

  /// Where the scope is to be expected, before systemd has said.
  func path() throws(CommandError) -> String {
    try attemptSystemd { () throws(SystemdError) in try scope.path() }
  }

  /// Makes the scope; answers its path, and the process that keeps it until the container is in it.
  func start(_ id: String, _ spec: RuntimeSpec, _ layout: CgroupLayout) throws(CommandError) -> (
    path: String, keeper: ScopeKeeper
  ) {
    let manager = try Self.manager(isUser: isUser)
    let keeper = try ScopeKeeper()
    let expected = try path()
    let path = try attemptSystemd { () throws(SystemdError) in
      let properties = try scope.properties(
        description: "berth container \(id)", pids: [keeper.pid], spec.linux.resources ?? RuntimeSpec.Resources(),
        isV2: layout.mode == .v2, annotations: spec.annotations ?? [:])
      try manager.startTransientUnit(scope.unit, properties)
      return try manager.controlGroup(ofScope: scope.unit) ?? expected
    }
    return (path, keeper)
  }

  static func update(_ unit: String, _ resources: RuntimeSpec.Resources, isV2: Bool) throws(CommandError) {
    let manager = try manager(isUser: geteuid() != 0)
    try attemptSystemd { () throws(SystemdError) in
      try manager.setProperties(of: unit, SystemdScope.limits(resources, isV2: isV2))
    }
  }

  static func stop(_ unit: String) throws(CommandError) {
    let manager = try manager(isUser: geteuid() != 0)
    try attemptSystemd { () throws(SystemdError) in try manager.stopUnit(unit) }
  }

  private static func manager(isUser: Bool) throws(CommandError) -> SystemdManager {
    try attemptSystemd { () throws(SystemdError) in try SystemdManager(isUser: isUser) }
  }

  private func attemptSystemd<T>(_ body: () throws(SystemdError) -> T) throws(CommandError) -> T {
    try Self.attemptSystemd(body)
  }

  private static func attemptSystemd<T>(_ body: () throws(SystemdError) -> T) throws(CommandError) -> T {
    do throws(SystemdError) { return try body() } catch { throw CommandError("systemd cgroup driver: \(error)") }
  }
}

/// A process that waits until it is killed; gone with its last owner, and with the runtime.
final class ScopeKeeper {
  let pid: Int32
  private let pidfd: Descriptor

  init() throws(CommandError) {
    let child = try attempt("make a process for the scope") { () throws(SyscallError) in try Sys.clone3(flags: 0) }
    if child.pid == 0 {
      Sys.resetSignals()
      // PR_SET_PDEATHSIG; a runtime that has ended by now has left the pipe that we would hold open, so let go of all.
      _ = cl_prctl(1, UInt(SIGKILL), 0, 0, 0)
      _ = cl_close_range(0, .max, 0)
      while true { pause() }
    }
    pid = child.pid
    pidfd = Descriptor(owning: child.pidfd)
  }

  deinit {
    try? Sys.sendSignal(pidfd: pidfd.raw, SIGKILL)
    _ = try? Sys.wait(pidfd: pidfd.raw)
  }
}

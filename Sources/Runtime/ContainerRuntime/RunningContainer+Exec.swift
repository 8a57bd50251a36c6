import Cgroups
import CLinux
import Kernel
import OCI

extension RunningContainer {
  /// Runs one more process in the container: a child of the caller, in all the container's namespaces and its cgroup.
  /// Answers once the program runs. On failure the process has been reaped.
  public func exec(_ plan: ExecPlan, stdio: ContainerRuntime.Stdio) throws(LaunchFailure) -> ContainerProcess {
    let linux = self.plan.spec.linux
    let (process, warnings) = try Launch.exec(
      try ProcessRequest(plan, user: self.plan.user, setting: ProcessRequest.Setting(linux)), container: self.plan.id,
      pid: process.pid, pidfd: process.pidfd.raw, cgroup: cgroup, kinds: linux.namespaces.map(\.kind), stdio: stdio,
      notice: plan.seccompListener.map {
        SeccompNotice(listener: $0, state: self.plan.state(.running, pid: self.process.pid))
      })
    self.warnings += warnings
    return process
  }
}

extension Launch {
  /// The child is born in the container's pid namespace, which this process names for its children for the moment of the clone;
  /// the other namespaces it enters by one setns on the pidfd (Linux 5.8). So there is one clone and no process in between.
  static func exec(
    _ request: ProcessRequest, container: String, pid: Int32, pidfd: Int32, cgroup: Cgroup,
    kinds: [RuntimeSpec.NamespaceKind], stdio: ContainerRuntime.Stdio, notice: SeccompNotice?
  ) throws(LaunchFailure) -> (process: ContainerProcess, warnings: [String]) {
    var kinds = kinds
    var entering: [Launch.Joined] = []
    var root: (uid: UInt32, gid: UInt32)?
    do throws(SyscallError) {
      if kinds.contains(.user) {
        // Given by a path it may be our own, which can't be entered.
        let user = try Sys.namespace(pidfd: pidfd, pid: pid, RuntimeSpec.NamespaceKind.user.cloneFlag)
        if try Sys.isOwnNamespace(user.raw, "user") { kinds.removeAll { $0 == .user } }
        if kinds.contains(.user), !request.terminal { root = try ContainerRuntime.Stdio.root(ofProcess: pid) }
      }
      if kinds.contains(.pid) {
        let pidNamespace = try Sys.namespace(pidfd: pidfd, pid: pid, RuntimeSpec.NamespaceKind.pid.cloneFlag)
        entering = [(.pid, SharedDescriptor(pidNamespace))]
      }
    } catch {
      throw LaunchFailure(
        step: "namespaces", errno: error.errno.rawValue, object: container,
        message: "container \(container) is not running: \(error)")
    }
    // Who isn't the host's root may enter the others only as root of the user namespace, from which it can't come back.
    let userFirst = kinds.contains(.user) ? try !ContainerRuntime.isPrivileged() : false
    if !userFirst { try stdio.give(to: root) }
    let first: UInt64 =
      userFirst
      ? RuntimeSpec.NamespaceKind.user.cloneFlag | (entering.isEmpty ? 0 : RuntimeSpec.NamespaceKind.pid.cloneFlag) : 0
    if userFirst { entering = [] }
    let through: (() throws(SyscallError) -> Void)? =
      userFirst ? { () throws(SyscallError) in try Sys.setns(pidfd, Int32(truncatingIfNeeded: first)) } : nil
    let stage: ExecStage
    do throws(CgroupError) {
      // What isn't listed is the host's, where we are.
      stage = ExecStage(
        container: container, request: request, entrance: try cgroup.entrance(), pidfd: pidfd,
        namespaces: kinds.reduce(0) { $1 == .pid ? $0 : $0 | $1.cloneFlag } & ~first, inUser: kinds.contains(.user),
        stdio: stdio)
    } catch { throw LaunchFailure(error) }
    var launch = try Launch(flags: 0, cgroup: stage.cloneInto, entering: entering, through: through) {
      line throws(LaunchFailure) in try stage.run(&line)
    }
    launch.notice = notice
    try launch.awaitProgram()
    let warnings = launch.warnings
    return (try launch.process(), warnings)
  }
}

import Cgroups
import CLinux
import Kernel
import OCI

extension RunningContainer {
  /// Runs one more process in the container: a child of the caller, in all the container's namespaces and its cgroup.
  /// Answers once the program runs. On failure the process has been reaped.
  ///
  /// The child is born in the container's pid namespace, which this process names for its children for the moment of the clone;
  /// the other namespaces it enters by one setns on the pidfd (Linux 5.8). So there is one clone and no process in between.
  public func exec(_ plan: ExecPlan, stdio: ContainerRuntime.Stdio) throws(LaunchFailure) -> ContainerProcess {
    let request = try ProcessRequest(plan, of: self.plan)
    let kinds = self.plan.spec.linux.namespaces.map(\.kind)
    var entering: [Launch.Joined] = []
    do throws(SyscallError) {
      if kinds.contains(.pid) {
        let pidNamespace = try Sys.namespace(
          pidfd: process.pidfd.raw, pid: process.pid, RuntimeSpec.NamespaceKind.pid.cloneFlag)
        entering = [(.pid, SharedDescriptor(pidNamespace))]
      }
    } catch {
      throw LaunchFailure(
        step: "namespaces", errno: error.errno.rawValue, object: self.plan.id,
        message: "container \(self.plan.id) is not running: \(error)")
    }
    let stage: ExecStage
    do throws(CgroupError) {
      // What isn't listed is the host's, where we are.
      stage = ExecStage(
        container: self.plan.id, request: request, entrance: try cgroup.entrance(), pidfd: process.pidfd.raw,
        namespaces: kinds.reduce(0) { $1 == .pid ? $0 : $0 | $1.cloneFlag }, stdio: stdio)
    } catch { throw LaunchFailure(error) }
    var launch = try Launch(flags: 0, cgroup: stage.cloneInto, entering: entering) { line throws(LaunchFailure) in
      try stage.run(&line)
    }
    try launch.awaitProgram()
    warnings += launch.warnings
    return try launch.process()
  }
}

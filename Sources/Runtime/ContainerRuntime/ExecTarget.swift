public import Cgroups
import CLinux
public import Kernel
public import OCI

/// A container that runs, as an exec sees it: by its first process, which need not be the caller's child.
public struct ExecTarget: ~Copyable {
  public let container: String
  public let pid: Int32
  public let pidfd: Descriptor
  public let cgroup: Cgroup
  /// The namespaces that the process is in and the caller isn't.
  public let namespaces: [RuntimeSpec.NamespaceKind]
  public let personality: String?
  public let memoryPolicy: RuntimeSpec.MemoryPolicy?

  public init(
    container: String, pid: Int32, pidfd: consuming Descriptor, cgroup: Cgroup,
    namespaces: [RuntimeSpec.NamespaceKind], personality: String?, memoryPolicy: RuntimeSpec.MemoryPolicy? = nil
  ) {
    self.container = container
    self.pid = pid
    self.pidfd = pidfd
    self.cgroup = cgroup
    self.namespaces = namespaces
    self.personality = personality
    self.memoryPolicy = memoryPolicy
  }

  /// Runs a process there, as `RunningContainer.exec`. Answers what couldn't be had, too.
  /// `state`: what a listener of the plan's filter is told.
  public borrowing func exec(_ plan: ExecPlan, stdio: ContainerRuntime.Stdio, state: RuntimeSpec.State)
    throws(LaunchFailure) -> (process: ContainerProcess, warnings: [String])
  {
    let request = try ProcessRequest(
      plan, user: nil, setting: ProcessRequest.Setting(personality: personality, memoryPolicy: memoryPolicy))
    return try Launch.exec(
      request, container: container, pid: pid, pidfd: pidfd.raw, cgroup: cgroup, kinds: namespaces, stdio: stdio,
      notice: plan.seccompListener.map { SeccompNotice(listener: $0, state: state) })
  }
}

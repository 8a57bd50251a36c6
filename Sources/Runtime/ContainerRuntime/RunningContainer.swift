public import Cgroups
import CLinux
public import Kernel
import OCI

/// A container from the moment its init stage has everything ready until its resources are given back.
///
/// States: prepared (`ContainerRuntime.prepare` returned: the process waits just before exec) → running (`start`) → ended (the
/// caller reaped `process`) → finished (`finish`: cgroup removed, namespaces dropped). A failed `start`, and `abandon`, kill
/// and reap the process and finish. Single-threaded callers only.
///
/// ```
/// let container = try ContainerRuntime.prepare(plan, stdio: .init(input: 0, output: 1, error: 2))
/// try container.start()
/// // epoll on container.process.pidfd; when it is readable:
/// let exit = try container.process.wait()
/// // report the exit first: dropping the namespaces takes the kernel 0.3 ms
/// container.finish()
/// ```
public final class RunningContainer {
  public private(set) var plan: LaunchPlan
  /// Pid 1 of the container (Berth's own init, with `plan.initProcess`).
  public let process: ContainerProcess
  public let cgroup: Cgroup
  /// What was asked for and can't be had here, e.g. a raised rlimit: for the daemon's log.
  public internal(set) var warnings: [String]

  private var launch: Launch?
  /// Held so that the kernel takes mounts, network and ipc down when we let go, not while the process ends.
  private var namespaces: [SharedDescriptor]

  init(
    plan: LaunchPlan, process: ContainerProcess, cgroup: Cgroup, launch: consuming Launch,
    namespaces: [SharedDescriptor],
    warnings: [String]
  ) {
    self.plan = plan
    self.process = process
    self.cgroup = cgroup
    self.launch = consume launch
    self.namespaces = namespaces
    self.warnings = warnings
  }

  /// Lets the process go into its exec and answers once that happened. A program that can't be executed is a failure with
  /// Docker's words (`exec: "foo": executable file not found in $PATH`), after which the container is finished.
  public func start() throws(LaunchFailure) {
    guard var launch = launch.take() else {
      throw LaunchFailure(
        step: "start", errno: EALREADY, object: plan.id, message: "container \(plan.id) has been started before")
    }
    let seen = launch.warnings.count
    do throws(LaunchFailure) { try launch.go() } catch {
      finish()
      throw error
    }
    warnings += launch.warnings.dropFirst(seen)
    guard let hooks = plan.spec.hooks, !hooks.poststart.isEmpty else { return }
    do throws(LaunchFailure) { try hooks.run(.poststart, plan.state(.running, pid: process.pid)) } catch {
      abandon()
      throw error
    }
  }

  /// Leaves a container that was prepared with a gate to whoever opens that: it outlives this process. Everything that is needed
  /// to find it again has been written down by now.
  public func leave() throws(LaunchFailure) {
    guard let launch = launch.take() else { return }
    do throws(SyscallError) { try launch.release() } catch {
      finish()
      throw LaunchFailure(step: "create", errno: error.errno.rawValue, object: plan.id, message: "create: \(error)")
    }
    namespaces = []
  }

  /// Keeps of the plan only what execs need: mounts, paths and environment of the first process are kilobytes for each container.
  public func forgetPlan() {
    var spec = RuntimeSpec()
    spec.linux.namespaces = plan.spec.linux.namespaces
    spec.linux.personality = plan.spec.linux.personality
    spec.linux.memoryPolicy = plan.spec.linux.memoryPolicy
    spec.hooks = plan.spec.hooks
    spec.annotations = spec.hooks == nil ? nil : plan.spec.annotations
    let bundle = plan.bundle
    plan = LaunchPlan(
      id: plan.id, spec: spec, rootfs: .directory(""), user: plan.user, stdio: plan.stdio, exitRecord: plan.exitRecord)
    plan.bundle = bundle
  }

  /// Kills what is left in the cgroup, removes it, and drops the namespaces. Call once the exit has been reported.
  /// Answers what could not be removed, for the log.
  @discardableResult
  public func finish() -> [String] {
    namespaces = []
    let left = removeGroup()
    guard let hooks = plan.spec.hooks else { return left }
    return left + hooks.runAll(.poststop, plan.state(.stopped, pid: nil))
  }

  private func removeGroup() -> [String] {
    do throws(CgroupError) {
      do throws(CgroupError) {
        try cgroup.remove(timeout: 0)
      } catch  where error.errno == .busy {
        // Processes outlive pid 1 only where the pid namespace is the host's or another container's.
        try cgroup.killAll()
        try cgroup.remove()
      }
      return []
    } catch { return ["\(error)"] }
  }

  /// Kills and reaps a process that will not be started (or must end at once), and finishes.
  public func abandon() {
    launch = nil
    try? process.signal(SIGKILL)
    _ = try? process.wait()
    finish()
  }
}

/// A process of a container that is the caller's child.
public final class ContainerProcess {
  /// In the caller's pid namespace.
  public let pid: Int32
  /// Readable when the process has ended.
  public let pidfd: Descriptor
  /// The master end of its terminal, blocking; nil without one.
  public let terminal: SharedDescriptor?

  init(pid: Int32, pidfd: consuming Descriptor, terminal: SharedDescriptor?) {
    self.pid = pid
    self.pidfd = pidfd
    self.terminal = terminal
  }

  /// Sends a signal; a process that has ended is ESRCH.
  public func signal(_ number: Int32) throws(SyscallError) { try Sys.sendSignal(pidfd: pidfd.raw, number) }

  /// Reaps; `nil` when `nonBlocking` and it still runs.
  public func wait(nonBlocking: Bool = false) throws(SyscallError) -> Sys.Exit? {
    try Sys.wait(pidfd: pidfd.raw, nonBlocking: nonBlocking)
  }
}

public import Kernel

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
  public let plan: LaunchPlan
  /// Pid 1 of the container (Berth's own init, with `plan.initProcess`).
  public let process: ContainerProcess
  /// What was asked for and can't be had here, e.g. a raised rlimit: for the daemon's log.
  public internal(set) var warnings: [String]

  init(plan: LaunchPlan, process: ContainerProcess, warnings: [String]) {
    self.plan = plan
    self.process = process
    self.warnings = warnings
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

/// The birth, the execs and the end of one container: an OCI runtime as a library.
///
/// `berth-shim` calls it directly; `berth-runtime` puts runc's command line on it. Single-threaded callers only: the child of
/// `clone3` goes on in Swift (DESIGN.md rule 6). Reports failures as `LaunchFailure`.
///
/// Owns: `LaunchPlan`, the launch (`Launch`, the parent's half; `InitStage` and `ProcessStage`, the child's) with the numbered
/// steps of `Stage.Step`, exec into a running container, user and group look-up in the container's own `/etc`, capabilities,
/// rlimits, Berth's own init.
///
/// ```
/// parent                                  child
/// check plan, read filter
/// make cgroup
/// clone3 ───────────────────────────────▶ signals, dumpable, session, cgroup, namespaces
///        ◀───────────────────── need maps userNamespace (if any)
/// write maps ───────────────────── mapped ▶ rootfs, mounts, devices
///        ◀──────────────────── terminal   console (if any)
/// hold namespaces                         sysctl, masks, pivot, hostname, user, stdio, limits, directory, identity, program
///        ◀─────────────────────── ready   ready
/// start ───────────────────────────── go ▶ initProcess, seccomp, exec
///        ◀──── end of the channel: it runs; or failure
/// ```
///
/// Must not: import Foundation, NIO, Dispatch or use async; write logs or copy stdio (the shim's work); know of the daemon.
public enum ContainerRuntime {
  /// The descriptors that become the process's 0, 1 and 2: borrowed, any numbers, copied by the child. With a terminal they are
  /// ignored: all three are the slave, whose master is `ContainerProcess.terminal`.
  public struct Stdio: Sendable {
    public var input: Int32
    public var output: Int32
    public var error: Int32
    public init(input: Int32, output: Int32, error: Int32) {
      self.input = input
      self.output = output
      self.error = error
    }
  }
}

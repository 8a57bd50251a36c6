/// The birth, the execs and the end of one container: an OCI runtime as a library.
///
/// `berth-shim` calls it directly; `berth-runtime` puts runc's command line on it. Single-threaded callers only: the child of
/// `clone3` goes on in Swift (DESIGN.md rule 6). Reports failures as `LaunchFailure`.
///
/// Owns: `LaunchPlan`, the launch (parent's half) and the init stage (child's half) with their numbered steps, exec into a
/// running container, user and group look-up in the container's own `/etc`, capabilities, rlimits.
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

  /// Makes cgroup, process, namespaces, mounts and terminal; the process waits just before its exec.
  /// On failure nothing is left: the child is killed and reaped, the cgroup removed.
  public static func prepare(_ plan: LaunchPlan, stdio: Stdio) throws(LaunchFailure) -> RunningContainer {
    throw LaunchFailure(step: "prepare", errno: 0, object: plan.id, message: "not built yet")
  }
}

extension RunningContainer {
  /// Lets the process go into its exec and answers once that happened. A program that can't be executed is a failure with
  /// Docker's words (`exec: "foo": executable file not found in $PATH`), after which the container is finished.
  public func start() throws(LaunchFailure) {
    throw LaunchFailure(step: "start", errno: 0, object: plan.id, message: "not built yet")
  }

  /// Runs one more process in the container: a child of the caller, in all the container's namespaces and its cgroup.
  /// Answers once the program runs. On failure the process has been reaped.
  public func exec(_ plan: ExecPlan, stdio: ContainerRuntime.Stdio) throws(LaunchFailure) -> ContainerProcess {
    throw LaunchFailure(step: "exec", errno: 0, object: plan.id, message: "not built yet")
  }

  /// Kills what is left in the cgroup, removes it, and drops the namespaces. Call once the exit has been reported.
  /// Answers what could not be removed, for the log.
  @discardableResult
  public func finish() -> [String] { [] }

  /// Kills and reaps a process that will not be started (or must end at once), and finishes.
  public func abandon() {}
}

import CLinux
import Kernel
public import OCI

/// The six moments of a container's life at which programs of the configuration run (config.md, "POSIX-platform Hooks").
///
/// | point | when | who runs it, in whose namespaces and files |
/// | --- | --- | --- |
/// | prestart, createRuntime | create: everything is mounted, the root isn't changed yet | the parent, the runtime's |
/// | createContainer | create: after those | the child, the container's namespaces, the runtime's files |
/// | startContainer | start: just before the program | the child, the container's |
/// | poststart | start: the program runs | the parent, the runtime's |
/// | poststop | the container is gone | the parent, the runtime's |
public enum HookPoint: String, Sendable, CaseIterable {
  case prestart, createRuntime, createContainer, startContainer, poststart, poststop
}

extension RuntimeSpec.Hooks {
  public subscript(point: HookPoint) -> [RuntimeSpec.Hook] {
    switch point {
    case .prestart: prestart
    case .createRuntime: createRuntime
    case .createContainer: createContainer
    case .startContainer: startContainer
    case .poststart: poststart
    case .poststop: poststop
    }
  }

  /// Runs the hooks of a point one after the other, up to the first that fails. Each gets the state on its standard input, and no
  /// descriptor of ours.
  public func run(_ point: HookPoint, _ state: RuntimeSpec.State) throws(LaunchFailure) {
    for (index, hook) in self[point].enumerated() {
      try hook.run("error running \(point.rawValue) hook #\(index)", state, inherits: point != .startContainer)
    }
  }

  /// Runs all hooks of a point whose failures change nothing (poststop); answers these.
  public func runAll(_ point: HookPoint, _ state: RuntimeSpec.State) -> [String] {
    var failures: [String] = []
    for (index, hook) in self[point].enumerated() {
      do throws(LaunchFailure) {
        try hook.run("error running \(point.rawValue) hook #\(index)", state, inherits: point != .startContainer)
      } catch {
        failures.append(error.message)
      }
    }
    return failures
  }
}

extension RuntimeSpec.Hook {
  /// `what` begins the message of a failure.
  /// Without an environment of its own it `inherits` ours, as with runc and crun; inside the container it has none then.
  func run(_ what: String, _ state: RuntimeSpec.State, inherits: Bool) throws(LaunchFailure) {
    func failure(_ errno: Int32, _ text: String) -> LaunchFailure {
      LaunchFailure(step: "hooks", errno: errno, object: path, message: "\(what): \(text)")
    }
    let outcome: Subprocess.Outcome
    do throws(SyscallError) {
      outcome = try Subprocess.run(
        path, args ?? [path], environment: env ?? (inherits ? Self.ownEnvironment : []), input: state.json.encoded(),
        seconds: timeout.map { max(0, $0) })
    } catch { throw failure(error.errno.rawValue, "\(error)") }
    switch outcome.end {
    case .failed(let error): throw failure(error.rawValue, "exec \(path): \(error)")
    case .late: throw failure(ETIMEDOUT, "hook ran past specified timeout of \(timeout ?? 0).0s")
    case .ended(.exited(0)): return
    case .ended(.exited(let status)):
      throw failure(0, "exit status \(status), stdout: \(outcome.output), stderr: \(outcome.error)")
    case .ended(.signaled(let signal)):
      throw failure(0, "signal \(signal), stdout: \(outcome.output), stderr: \(outcome.error)")
    }
  }

  private static var ownEnvironment: [String] {
    var result: [String] = []
    guard var entry = cl_environ() else { return [] }
    while let text = entry.pointee {
      result.append(String(cString: text))
      entry += 1
    }
    return result
  }
}

import CLinux
public import ContainerRuntime
public import Kernel

extension ShimConnection {
  /// Starts the container that the shim has prepared. Throws `LaunchFailure`, after which nothing is left of it.
  public func start() async throws -> ShimProtocol.Started {
    try started(await request(.start, name: "start", timeout: 60_000_000_000))
  }

  /// Runs a process in the container; `attach` comes with the client's `socket`. Throws `LaunchFailure`, and then the
  /// client has heard and seen nothing.
  public func exec(_ plan: ExecPlan, attach: ShimProtocol.Attach? = nil, socket: SharedDescriptor? = nil) async throws
    -> ShimProtocol.Started
  {
    try started(
      await request(
        .exec(plan, attach), descriptors: socket.map { [$0] } ?? [], name: "exec", timeout: 60_000_000_000))
  }

  private func started(_ reply: ShimProtocol.Reply) throws -> ShimProtocol.Started {
    guard case .started(let started) = reply else { throw ShimError.unexpected("\(reply)") }
    return started
  }

  /// Joins a client to the streams of the container, or of an exec. Before `start`, it misses nothing. The socket is
  /// the shim's from then on; let go of it.
  public func attach(_ attach: ShimProtocol.Attach, socket: SharedDescriptor) async throws {
    try await call { try await request(.attach(attach), descriptors: [socket], name: "attach") }
  }

  /// As `attach`, without waiting for the answer, so that a `start` sent next needn't either.
  func attachInPassing(
    _ attach: ShimProtocol.Attach, socket: SharedDescriptor, onFailure: @escaping @Sendable (any Error) -> Void
  ) {
    post(.attach(attach), descriptors: [socket], name: "attach") { result in
      switch result {
      case .success(.failure(let failure)): onFailure(failure)
      case .success: return
      case .failure(let error): onFailure(error)
      }
    }
  }

  /// Throws ESRCH when the process has ended.
  public func signal(_ signal: Int32, exec: String? = nil) async throws {
    try await call { try await request(.signal(signal, exec: exec), name: "signal") }
  }

  /// Throws ENOTTY without a terminal, ESRCH when the process has ended.
  public func resize(exec: String? = nil, width: UInt16, height: UInt16) async throws {
    try await call { try await request(.resize(exec: exec, width: width, height: height), name: "resize") }
  }

  /// What runs. When this returns, `events` holds all that happened before: it tells whether an exec that seems to run
  /// has ended.
  public func state() async throws -> ShimProtocol.State {
    let reply = try await request(.state, name: "state")
    guard case .state(let state) = reply else { throw ShimError.unexpected("\(reply)") }
    return state
  }

  /// Takes back a container that wasn't started; the shim then ends.
  public func release() async throws { _ = try await request(.release, name: "release") }

  /// Ends the container, started or not, and waits until nothing is left of it; false when that takes longer.
  public func terminate(within duration: Duration) async -> Bool {
    // Whichever of the two doesn't apply is refused, and a shim that has gone needs neither.
    _ = try? await release()
    _ = try? await signal(SIGKILL)
    return await closed(within: duration)
  }

  /// As `release`, without waiting: a shim that loses its daemon before the start takes its container back.
  public func abandon() { close() }

  /// A failure of a system call in the shim is thrown as that.
  private func call(_ body: () async throws -> ShimProtocol.Reply) async throws {
    do { _ = try await body() } catch let failure as LaunchFailure where failure.errno != 0 {
      throw SyscallError(failure.step, failure.object, Errno(rawValue: failure.errno))
    }
  }
}

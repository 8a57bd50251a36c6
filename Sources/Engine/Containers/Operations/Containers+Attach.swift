import CLinux
import ContainerRuntime
import Errdefs
import Kernel
import Logging
import Terminal
import Synchronization

extension Containers {
  /// Joins a client to the container's streams: those of the process that runs, else of the next one. Returns when the client has
  /// been handed over. Throws Docker's texts before `request.connect` is called.
  public func attach(_ reference: String, _ request: AttachRequest) async throws {
    let container = try find(reference)
    let snapshot = container.snapshot
    if snapshot.state.paused {
      throw EngineError.conflict("container \(container.id) is paused, unpause the container before attach")
    }
    if snapshot.state.restarting {
      throw EngineError.conflict("container \(container.id) is restarting, wait until the container is running")
    }
    _ = try DetachKeys.parse(request.detachKeys)
    let tty = snapshot.config.tty
    // Once its client has the answer it may start the container, and must not miss what a quick one says. Logs may take their time.
    let isAwaited = request.stream && !request.logs
    if isAwaited { container.live.withLock { $0.arriving += 1 } }
    defer { if isAwaited { Self.arrived(at: container) } }
    let connection = try await request.connect(tty)
    if request.logs {
      let options = LogOptions(stdout: request.stdout, stderr: request.stderr)
      let socket = connection.socket
      for try await chunk in try await logs(container.id, options) {
        try await blocking { try Self.sendAll(chunk, on: socket.raw) }
      }
    }
    guard request.stream else { return }
    tell("attach", snapshot)
    let waiting = Container.PendingAttach(request: request, connection: connection)
    let shim: ShimConnection? = container.live.withLock { live in
      if live.shim == nil { live.pending.append(waiting) }
      return live.shim
    }
    if let shim { try await shim.attach(try Self.attach(waiting, tty: tty), socket: connection.socket) }
  }

  private static func arrived(at container: Container) {
    let waiting = container.live.withLock { live -> [CheckedContinuation<Void, Never>] in
      live.arriving -= 1
      guard live.arriving == 0 else { return [] }
      defer { live.arrivals = [] }
      return live.arrivals
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Those that attached before the start, in their order. The shim has been sent them when this returns, and what is sent next comes
  /// after them.
  func handOver(_ container: Container, to shim: ShimConnection) async throws {
    await withCheckedContinuation { continuation in
      let isQuiet = container.live.withLock { live in
        if live.arriving > 0 { live.arrivals.append(continuation) }
        return live.arriving == 0
      }
      if isQuiet { continuation.resume() }
    }
    let pending = container.live.withLock { live in
      defer { live.pending = [] }
      return live.pending
    }
    let tty = container.snapshot.config.tty
    for attach in pending {
      let logger = logger
      shim.attachInPassing(try Self.attach(attach, tty: tty), socket: attach.connection.socket) { error in
        logger.warning("attach to container \(container.id): \(error)")
      }
    }
  }

  private static func attach(_ attach: Container.PendingAttach, tty: Bool) throws -> ShimProtocol.Attach {
    let request = attach.request
    return ShimProtocol.Attach(
      stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, mux: !tty,
      detachKeys: try DetachKeys.parse(request.detachKeys), pending: attach.connection.pending)
  }

  /// Writes to a socket that may not be blocking, waiting at most ten seconds for room each time.
  static func sendAll(_ bytes: [UInt8], on socket: Int32) throws {
    var sent = 0
    while sent < bytes.count {
      switch sendSome(bytes[sent...], on: socket) {
      case .success(let count): sent += count
      case .failure(let error):
        guard error.errno == .wouldBlock else { throw error }
        guard try Sys.poll(socket, Int16(POLLOUT), timeout: 10_000) != 0 else {
          throw SyscallError("send", "fd \(socket)", .timedOut)
        }
      }
    }
  }

  private static func sendSome(_ bytes: ArraySlice<UInt8>, on socket: Int32) -> Result<Int, SyscallError> {
    bytes.withUnsafeBytes { buffer in
      do throws(SyscallError) { return .success(try Sys.send(socket, buffer)) } catch { return .failure(error) }
    }
  }
}

extension DetachKeys {
  /// Docker's keys as the shim takes them; empty for the default, which it knows.
  static func parse(_ text: String) throws -> [UInt8] {
    guard !text.isEmpty else { return [] }
    do { return try DetachKeys(text).bytes } catch {
      throw EngineError.invalidParameter("Invalid detach keys (\(text)) provided")
    }
  }
}

import CLinux
public import ContainerRuntime
import Kernel
import OCI
import Synchronization

/// Why a shim didn't answer.
public enum ShimError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The connection has ended: the container has, or the shim was killed.
  case gone
  /// It didn't answer in time.
  case timedOut(String)
  /// It answered something else than was asked.
  case unexpected(String)

  public var description: String {
    switch self {
    case .gone: "the container's shim has ended"
    case .timedOut(let request): "the container's shim didn't answer \"\(request)\" in time"
    case .unexpected(let what): "the container's shim answered \(what)"
    }
  }
}

/// The daemon's end of one shim's socket: requests with replies and deadlines, and its events in their order.
///
/// States: open → closed, when either side ends it; then `events` ends and every request throws `ShimError.gone`. A
/// connection that closes without `exited` tells that the shim was killed, or that this daemon was too slow to read:
/// the exit record on disk (`ExitRecord.read`) knows, if anyone does. After `exited` it closes once cgroup, mounts and
/// namespaces are gone.
public final class ShimConnection: Sendable {
  /// What the shim tells of itself, to be read by one task. Events wait for it; it ends when the connection does.
  public let events: AsyncStream<ShimProtocol.Event>
  /// The shim's pid.
  public let pid: Int32

  private let sink: AsyncStream<ShimProtocol.Event>.Continuation
  private let hub: ShimHub
  private let state: Mutex<State>

  private struct Packet: Sendable {
    var message: [UInt8]
    var descriptors: [SharedDescriptor]
  }

  /// Called once, with no lock held.
  typealias Answer = @Sendable (Result<ShimProtocol.Reply, any Error>) -> Void

  private struct State {
    var socket: SharedDescriptor?
    var token: UInt64 = 0
    var lastTag: Int64 = 0
    var pending: [Int64: Answer] = [:]
    /// What the shim hadn't room for.
    var queue: [Packet] = []
    var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    var lastWaiter: UInt64 = 0
  }

  /// Takes over a connected socket.
  init(_ socket: SharedDescriptor, pid: Int32, hub: ShimHub) throws(SyscallError) {
    (events, sink) = AsyncStream.makeStream()
    self.hub = hub
    self.pid = pid
    state = Mutex(State(socket: socket))
    let token = try hub.add(socket.raw, events: EPOLLIN.rawValue, self)
    let closed = state.withLock { state in
      state.token = token
      return state.socket == nil
    }
    // The hub's thread was faster.
    if closed { hub.remove(socket.raw, token: token) }
  }

  deinit { end() }

  // MARK: Requests

  /// One request and its reply. A failure that the shim tells is thrown as `LaunchFailure`.
  func request(
    _ request: ShimProtocol.Request, descriptors: [SharedDescriptor] = [], name: String,
    timeout: UInt64 = 10_000_000_000
  ) async throws -> ShimProtocol.Reply {
    let reply = try await withCheckedThrowingContinuation { continuation in
      post(request, descriptors: descriptors, name: name, timeout: timeout) { continuation.resume(with: $0) }
    }
    if case .failure(let failure) = reply { throw failure }
    return reply
  }

  /// Sends a request and comes back; requests reach the shim in the order in which they are sent.
  func post(
    _ request: ShimProtocol.Request, descriptors: [SharedDescriptor] = [], name: String,
    timeout: UInt64 = 10_000_000_000, _ answer: @escaping Answer
  ) {
    let tag: Int64? = state.withLock { state in
      guard state.socket != nil else { return nil }
      state.lastTag += 1
      state.pending[state.lastTag] = answer
      return state.lastTag
    }
    guard let tag else { return answer(.failure(ShimError.gone)) }
    hub.after(timeout) { [weak self] in self?.finish(tag, .failure(ShimError.timedOut(name))) }
    send(Packet(message: request.encoded(tag: tag), descriptors: descriptors))
  }

  private func finish(_ tag: Int64, _ result: Result<ShimProtocol.Reply, any Error>) {
    let answer = state.withLock { $0.pending.removeValue(forKey: tag) }
    answer?(result)
  }

  private func send(_ packet: Packet) {
    let alive = state.withLock { state in
      guard let socket = state.socket else { return true }
      if state.queue.isEmpty {
        do throws(SyscallError) {
          try transmit(packet, socket)
          return true
        } catch  where error.errno == .wouldBlock {
          // below
        } catch {
          return false
        }
      }
      state.queue.append(packet)
      watch(&state, writable: true)
      return true
    }
    if !alive { close() }
  }

  private func transmit(_ packet: Packet, _ socket: SharedDescriptor) throws(SyscallError) {
    try ShimProtocol.send(packet.message, descriptors: packet.descriptors.map(\.raw), on: socket.raw)
  }

  private func watch(_ state: inout State, writable: Bool) {
    guard let socket = state.socket, state.token != 0 else { return }
    let events = EPOLLIN.rawValue | (writable ? EPOLLOUT.rawValue : 0)
    // It fails only for a descriptor that isn't watched, and this one is.
    try? hub.modify(socket.raw, events: events, token: state.token)
  }

  // MARK: The end

  /// Waits until the connection has ended; false when it hasn't in time.
  public func closed(within duration: Duration) async -> Bool {
    let (seconds, attoseconds) = duration.components
    let nanoseconds =
      UInt64(max(0, min(seconds, 1 << 30))) * 1_000_000_000 + UInt64(max(0, attoseconds / 1_000_000_000))
    return await withCheckedContinuation { continuation in
      let number: UInt64? = state.withLock { state in
        guard state.socket != nil else { return nil }
        state.lastWaiter += 1
        state.waiters[state.lastWaiter] = continuation
        return state.lastWaiter
      }
      guard let number else {
        continuation.resume(returning: true)
        return
      }
      hub.after(nanoseconds) { [weak self] in
        self?.state.withLock({ $0.waiters.removeValue(forKey: number) })?.resume(returning: false)
      }
    }
  }

  /// Lets go of the shim, which goes on. One whose container wasn't started takes it back and ends.
  public func close() { end() }

  private func end() {
    let (socket, token, pending, waiters) = state.withLock { state in
      defer {
        state.socket = nil
        state.pending = [:]
        state.waiters = [:]
        state.queue = []
      }
      return (state.socket, state.token, state.pending, state.waiters)
    }
    guard let socket else { return }
    hub.remove(socket.raw, token: token)
    for answer in pending.values { answer(.failure(ShimError.gone)) }
    sink.finish()
    for continuation in waiters.values { continuation.resume(returning: true) }
  }
}

extension ShimConnection: ShimHub.Member {
  func ready(_ events: UInt32, buffer: UnsafeMutableRawBufferPointer) {
    guard let socket = state.withLock({ $0.socket }) else { return }
    if events & EPOLLOUT.rawValue != 0 { flush() }
    guard events & ~EPOLLOUT.rawValue != 0 else { return }
    do throws(SyscallError) {
      // As many as there are, so that a burst costs one wake-up; another member's turn comes soon enough.
      for _ in 0..<32 {
        guard let received = try ShimProtocol.receive(socket.raw, through: buffer) else {
          close()
          return
        }
        take(received.message)
      }
    } catch  where error.errno == .wouldBlock {
      return
    } catch { close() }
  }

  private func take(_ message: [UInt8]) {
    do throws(JSONError) {
      switch try ShimProtocol.Message(decoding: message) {
      case .event(let event): sink.yield(event)
      case .reply(let tag, let reply): finish(tag, .success(reply))
      }
    } catch {
      // Not a shim that we know how to talk to.
      close()
    }
  }

  private func flush() {
    let alive = state.withLock { state in
      guard let socket = state.socket else { return true }
      while let packet = state.queue.first {
        do throws(SyscallError) {
          try transmit(packet, socket)
          state.queue.removeFirst()
        } catch  where error.errno == .wouldBlock {
          return true
        } catch {
          return false
        }
      }
      watch(&state, writable: false)
      return true
    }
    if !alive { close() }
  }
}

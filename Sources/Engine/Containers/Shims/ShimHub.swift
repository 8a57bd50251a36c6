import CLinux
import Kernel
import Synchronization

/// One thread that waits on the sockets of all shims: it takes their messages in, ends requests whose deadline has
/// passed, and reaps the shims that are this process's children.
///
/// Lives as long as the process. Lock order: a connection's lock is never held while the hub's is taken.
final class ShimHub: Sendable {
  /// What a descriptor wakes.
  protocol Member: AnyObject, Sendable {
    /// On the hub's thread; must not block.
    func ready(_ events: UInt32, buffer: UnsafeMutableRawBufferPointer)
  }

  private struct State {
    var members: [UInt64: any Member] = [:]
    var lastToken: UInt64 = 0
    /// Sorted by time, those of requests answered meanwhile included.
    var deadlines: [Deadline] = []
    var armedFor: UInt64?
  }

  private struct Deadline {
    var time: UInt64
    var expire: @Sendable () -> Void
  }

  private let epoll: Descriptor
  private let timer: Descriptor
  private let state = Mutex(State())

  /// The process's hub; nil when the kernel didn't give what it needs.
  static func start() throws(SyscallError) -> ShimHub {
    let hub = try ShimHub()
    try hub.startThread()
    return hub
  }

  private init() throws(SyscallError) {
    epoll = try Sys.epoll()
    timer = try Sys.timerfd()
    try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, timer.raw, events: EPOLLIN.rawValue, token: 0)
  }

  private func startThread() throws(SyscallError) {
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, 512 << 10)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    let context = Unmanaged.passRetained(self)
    let result = pthread_create(
      &thread, &attributes,
      { context in
        guard let context else { return nil }
        // SAFETY: the pointer was made from a retained ShimHub just before
        let hub = Unmanaged<ShimHub>.fromOpaque(context).takeRetainedValue()
        pthread_setname_np(pthread_self(), "shims")
        hub.run()
        return nil
      }, context.toOpaque())
    guard result == 0 else {
      context.release()
      throw SyscallError("pthread_create", "shims", Errno(rawValue: result))
    }
  }

  // MARK: Members

  /// Answers the token to give back to `modify` and `remove`.
  func add(_ fd: Int32, events: UInt32, _ member: any Member) throws(SyscallError) -> UInt64 {
    let token = state.withLock { state in
      state.lastToken += 1
      state.members[state.lastToken] = member
      return state.lastToken
    }
    do throws(SyscallError) {
      try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, fd, events: events, token: token)
    } catch {
      state.withLock { $0.members[token] = nil }
      throw error
    }
    return token
  }

  /// Ends every connection, also that of a shim which is still taking a container apart that has been removed.
  func closeConnections() {
    for case let connection as ShimConnection in state.withLock({ Array($0.members.values) }) { connection.close() }
  }

  func modify(_ fd: Int32, events: UInt32, token: UInt64) throws(SyscallError) {
    try Sys.epollControl(epoll.raw, EPOLL_CTL_MOD, fd, events: events, token: token)
  }

  /// Before the descriptor is closed.
  func remove(_ fd: Int32, token: UInt64) {
    state.withLock { $0.members[token] = nil }
    // ENOENT: it never got in
    try? Sys.epollControl(epoll.raw, EPOLL_CTL_DEL, fd)
  }

  /// Calls `expire` on the hub's thread after so many nanoseconds.
  func after(_ nanoseconds: UInt64, _ expire: @escaping @Sendable () -> Void) {
    let time = Sys.monotonicNanoseconds() &+ nanoseconds
    state.withLock { state in
      var index = state.deadlines.endIndex
      while index > 0, state.deadlines[index - 1].time > time { index -= 1 }
      state.deadlines.insert(Deadline(time: time, expire: expire), at: index)
      arm(&state)
    }
  }

  private func arm(_ state: inout State) {
    guard let first = state.deadlines.first, state.armedFor.map({ $0 > first.time }) ?? true else { return }
    let now = Sys.monotonicNanoseconds()
    // 0 would disarm
    try? Sys.setTimer(timer.raw, nanoseconds: first.time > now ? first.time - now : 1)
    state.armedFor = first.time
  }

  // MARK: The thread

  private func run() {
    let capacity = 64
    let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: capacity)
    events.initialize(repeating: epoll_event())
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    while true {
      let count: Int
      do throws(SyscallError) {
        count = try Sys.epollWait(epoll.raw, events, timeout: -1)
      } catch {
        preconditionFailure("the shims' epoll: \(error)")
      }
      for event in events[..<min(count, capacity)] {
        let token = event.data.u64
        if token == 0 {
          expire()
        } else if let member = state.withLock({ $0.members[token] }) {
          member.ready(event.events, buffer: buffer)
        }
      }
    }
  }

  private func expire() {
    _ = try? Sys.drainEvent(timer.raw)
    let expired = state.withLock { state in
      let now = Sys.monotonicNanoseconds()
      let count = state.deadlines.firstIndex { $0.time > now } ?? state.deadlines.endIndex
      defer { state.deadlines.removeFirst(count) }
      state.armedFor = nil
      let expired = state.deadlines[..<count]
      return Array(expired)
    }
    for deadline in expired { deadline.expire() }
    state.withLock { arm(&$0) }
  }
}

/// Waits for the end of a shim that is this process's child, so that it doesn't stay a zombie.
final class ShimReaper: ShimHub.Member {
  private let pidfd: SharedDescriptor
  private let hub: ShimHub
  private let token = Mutex<UInt64>(0)
  private let ended: @Sendable (Sys.Exit) -> Void

  init(_ pid: pid_t, _ hub: ShimHub, ended: @escaping @Sendable (Sys.Exit) -> Void) throws(SyscallError) {
    pidfd = SharedDescriptor(try Sys.pidfdOpen(pid))
    self.hub = hub
    self.ended = ended
    let added = try hub.add(pidfd.raw, events: EPOLLIN.rawValue, self)
    token.withLock { $0 = added }
  }

  func ready(_ events: UInt32, buffer: UnsafeMutableRawBufferPointer) {
    do throws(SyscallError) {
      guard let exit = try Sys.wait(pidfd: pidfd.raw, nonBlocking: true) else { return }
      ended(exit)
    } catch {
      // ECHILD: somebody else has reaped it
    }
    hub.remove(pidfd.raw, token: token.withLock { $0 })
  }
}

import CLinux
import Kernel

/// The shim's one thread: waits on epoll and lets each descriptor's `Source` do its work.
///
/// A source is kept alive by the loop while it is watched. What it does must not block.
final class EventLoop {
  private let epoll: Descriptor
  /// By descriptor.
  private var sources: [Source?] = []
  /// Tells the events of a descriptor that was closed from those of its number's next owner.
  private var generation: UInt32 = 0
  private var stopped = false

  /// For one read or receive at a time; the bytes before `headerRoom` are left for a frame's header.
  let buffer: PageBuffer
  static let headerRoom = 8
  static let readSize = 64 << 10

  /// Called once after each `touch()`, when nothing has happened for `quiet` milliseconds.
  var onIdle: () -> Void = {}
  private var touched = false
  private static let quiet: Int32 = 1000

  init() throws(SyscallError) {
    epoll = try Sys.epoll()
    buffer = try PageBuffer(capacity: Self.headerRoom + Self.readSize)
  }

  /// Something was done that may have left memory to give back. It stays while there is more to do, since it would be
  /// needed again.
  func touch() { touched = true }

  func stop() { stopped = true }

  func run() throws(SyscallError) {
    let capacity = 16
    let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: capacity)
    defer { events.deallocate() }
    events.initialize(repeating: epoll_event())
    while !stopped {
      let count = try Sys.epollWait(epoll.raw, events, timeout: touched ? Self.quiet : -1)
      if count == 0 {
        touched = false
        onIdle()
        continue
      }
      for event in events[..<min(count, capacity)] {
        let token = event.data.u64
        let fd = Int(UInt32(truncatingIfNeeded: token))
        guard fd < sources.count, let source = sources[fd], source.token == token else { continue }
        source.ready(event.events)
        if stopped { return }
      }
    }
  }

  fileprivate func add(_ source: Source, _ events: UInt32) throws(SyscallError) {
    generation &+= 1
    let token = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: source.fd))
    try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, source.fd, events: events, token: token)
    source.token = token
    let index = Int(source.fd)
    while sources.count <= index { sources.append(nil) }
    sources[index] = source
  }

  fileprivate func modify(_ source: Source, _ events: UInt32) throws(SyscallError) {
    try Sys.epollControl(epoll.raw, EPOLL_CTL_MOD, source.fd, events: events, token: source.token)
  }

  fileprivate func remove(_ source: Source) throws(SyscallError) {
    sources[Int(source.fd)] = nil
    source.token = 0
    try Sys.epollControl(epoll.raw, EPOLL_CTL_DEL, source.fd)
  }
}

/// An open descriptor that the loop may watch. Subclasses say what to do when it is ready.
class Source {
  static let readable = EPOLLIN.rawValue
  static let writable = EPOLLOUT.rawValue
  static let hangUp = EPOLLHUP.rawValue
  static let error = EPOLLERR.rawValue

  // The loop lives as long as the process.
  unowned let loop: EventLoop
  let fd: Int32
  private let owned: Bool
  private(set) var isClosed = false
  fileprivate var token: UInt64 = 0
  private var interest: UInt32?

  /// `owned`: closed with `close()`; otherwise the subclass keeps its owner alive.
  init(_ loop: EventLoop, fd: Int32, owned: Bool = true) {
    self.loop = loop
    self.fd = fd
    self.owned = owned
  }

  deinit { if owned && !isClosed { _ = CLinux.close(fd) } }

  /// Watches for these events, and always for hang-up and error; nil: for nothing at all.
  func watch(_ events: UInt32?) {
    guard !isClosed, events != interest else { return }
    do throws(SyscallError) {
      switch (interest, events) {
      case (nil, let events?): try loop.add(self, events)
      case (_?, let events?): try loop.modify(self, events)
      case (_?, nil): try loop.remove(self)
      case (nil, nil): break
      }
      interest = events
    } catch {
      Complaint.tell("\(error)")
    }
  }

  func ready(_ events: UInt32) {}

  func close() {
    guard !isClosed else { return }
    watch(nil)
    isClosed = true
    if owned { _ = CLinux.close(fd) }
  }
}

/// A timer that fires once, made when it is first wanted.
final class Timer: Source {
  private var action: (() -> Void)?

  init(_ loop: EventLoop) throws(SyscallError) { super.init(loop, fd: try Sys.timerfd().take()) }

  func arm(milliseconds: UInt64, _ action: @escaping () -> Void) {
    self.action = action
    do throws(SyscallError) { try Sys.setTimer(fd, nanoseconds: milliseconds * 1_000_000) } catch {
      Complaint.tell("\(error)")
    }
    watch(Self.readable)
  }

  override func ready(_ events: UInt32) {
    let action = self.action
    close()
    self.action = nil
    action?()
  }

  override func close() {
    super.close()
    action = nil
  }
}

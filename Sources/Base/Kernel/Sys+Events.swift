public import CLinux

extension Sys {
  public static func epoll() throws(SyscallError) -> Descriptor {
    Descriptor(owning: try retrying("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
  }

  /// epoll_ctl(2); `operation`: EPOLL_CTL_ADD, _MOD, _DEL. `token` comes back with the event.
  public static func epollControl(
    _ epoll: Int32, _ operation: Int32, _ fd: Int32, events: UInt32 = 0, token: UInt64 = 0
  )
    throws(SyscallError)
  {
    var event = epoll_event(events: events, data: epoll_data_t(u64: token))
    try retrying("epoll_ctl", "fd \(fd)") { epoll_ctl(epoll, operation, fd, &event) }
  }

  /// Waits for events, at most `timeout` milliseconds (-1: for ever); fills `buffer` and answers how many.
  public static func epollWait(_ epoll: Int32, _ buffer: UnsafeMutableBufferPointer<epoll_event>, timeout: Int32 = -1)
    throws(SyscallError) -> Int
  {
    Int(
      try retrying("epoll_wait") { epoll_wait(epoll, buffer.baseAddress, Int32(buffer.count), timeout) })
  }

  public static func eventfd(_ initial: UInt32 = 0) throws(SyscallError) -> Descriptor {
    Descriptor(owning: try retrying("eventfd") { CLinux.eventfd(initial, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
  }

  /// Adds 1 to an eventfd.
  public static func signalEvent(_ fd: Int32) throws(SyscallError) {
    var one: UInt64 = 1
    try retrying("write", "eventfd \(fd)") { CLinux.write(fd, &one, 8) }
  }

  /// Sets an eventfd or timerfd back to 0; answers what it held.
  @discardableResult
  public static func drainEvent(_ fd: Int32) throws(SyscallError) -> UInt64 {
    var value: UInt64 = 0
    do throws(SyscallError) {
      try retrying("read", "eventfd \(fd)") { CLinux.read(fd, &value, 8) }
    } catch  where error.errno == .wouldBlock { return 0 }
    return value
  }

  /// Blocks these signals and gives a descriptor to read them from (struct signalfd_siginfo).
  public static func signalfd(_ signals: [Int32]) throws(SyscallError) -> Descriptor {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    try retrying("sigprocmask") { sigprocmask(SIG_BLOCK, &set, nil) }
    return Descriptor(owning: try retrying("signalfd") { CLinux.signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK)) })
  }

  public static func timerfd() throws(SyscallError) -> Descriptor {
    Descriptor(
      owning: try retrying("timerfd_create") {
        timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
      })
  }

  /// Fires once, `nanoseconds` from now; 0 disarms.
  public static func setTimer(_ fd: Int32, nanoseconds: UInt64) throws(SyscallError) {
    var spec = itimerspec()
    spec.it_value.tv_sec = Int(nanoseconds / 1_000_000_000)
    spec.it_value.tv_nsec = Int(nanoseconds % 1_000_000_000)
    try retrying("timerfd_settime", "fd \(fd)") { timerfd_settime(fd, 0, &spec, nil) }
  }

  /// poll(2) on one descriptor: the events that hold, 0 after `timeout` milliseconds (-1: for ever).
  public static func poll(_ fd: Int32, _ events: Int16, timeout: Int32 = -1) throws(SyscallError) -> Int16 {
    var entry = pollfd(fd: fd, events: events, revents: 0)
    try retrying("poll", "fd \(fd)") { CLinux.poll(&entry, 1, timeout) }
    return entry.revents
  }

  /// inotify_init1(2), non-blocking.
  public static func inotify() throws(SyscallError) -> Descriptor {
    Descriptor(owning: try retrying("inotify_init1") { inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK)) })
  }

  /// inotify_add_watch(2); `mask`: IN_MODIFY and its siblings. Answers the watch.
  @discardableResult
  public static func inotifyAdd(_ fd: Int32, _ path: String, _ mask: UInt32) throws(SyscallError) -> Int32 {
    try retrying("inotify_add_watch", path) { inotify_add_watch(fd, path, mask) }
  }
}

import CLinux

/// A thread of our own (pthreads(7)), for what acts on the calling thread: unshare(2), setns(2), blocking waits in a daemon.
///
/// Whoever started it joins it, once; a thread that is never joined keeps its stack.
public struct Thread: ~Copyable, Sendable {
  private let handle: pthread_t

  private final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts `body` on a thread of that name (15 bytes at most are kept). EAGAIN: no more threads.
  public init(name: String, _ body: @escaping @Sendable () -> Void) throws(SyscallError) {
    let box = Unmanaged.passRetained(Body(body))
    var handle = pthread_t()
    let error = pthread_create(
      &handle, nil,
      { argument in
        // SAFETY: the argument is the box that was retained for this thread alone
        if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, box.toOpaque())
    guard error == 0 else {
      box.release()
      throw SyscallError("pthread_create", name, Errno(rawValue: error))
    }
    _ = pthread_setname_np(handle, String(name.prefix(15)))
    self.handle = handle
  }

  /// Waits for its end.
  public consuming func join() {
    _ = pthread_join(handle, nil)
  }
}

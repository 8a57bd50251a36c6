import CLinux
import Kernel
import Synchronization

/// Runs a task's synchronous parts on one thread in a network namespace of its own, so that all that the task opens is in there.
final class NamespaceExecutor: TaskExecutor {
  private struct Queue: Sendable {
    var jobs: [UnownedJob] = []
    var closed = false
  }
  private let queue = Mutex(Queue())
  private let wake: SharedDescriptor

  private init() throws { wake = SharedDescriptor(try Sys.eventfd()) }

  func enqueue(_ job: consuming ExecutorJob) {
    let unowned = UnownedJob(job)
    queue.withLock { $0.jobs.append(unowned) }
    try? Sys.signalEvent(wake.raw)
  }

  private func loop() {
    while true {
      let (jobs, closed) = queue.withLock { queue in
        defer { queue.jobs = [] }
        return (queue.jobs, queue.closed)
      }
      for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
      if jobs.isEmpty {
        if closed { return }
        var polled = pollfd(fd: wake.raw, events: Int16(POLLIN), revents: 0)
        _ = poll(&polled, 1, -1)
        _ = try? Sys.drainEvent(wake.raw)
      }
    }
  }

  /// Runs `body` in a new namespace with `lo` up.
  static func run<T: Sendable>(_ body: @escaping @Sendable () async throws -> T) async throws -> T {
    let executor = try NamespaceExecutor()
    let thread = try Thread(name: "test-host") {
      guard (try? Sys.unshare(CLONE_NEWNET)) != nil else { fatalError("unshare: are the tests run as root?") }
      executor.loop()
    }
    let result = await Task(executorPreference: executor) { try await body() }.result
    executor.queue.withLock { $0.closed = true }
    try Sys.signalEvent(executor.wake.raw)
    thread.join()
    return try result.get()
  }
}

/// Runs `body` on a thread of its own in the namespace of that descriptor, and waits for it.
func within<T: Sendable>(_ namespace: SharedDescriptor, _ body: @escaping @Sendable () throws -> T) throws -> T {
  try Background(namespace, body).value()
}

/// Work on a thread of its own in another namespace.
final class Background<T: Sendable>: Sendable {
  private let thread: Mutex<Thread?>

  init(_ namespace: SharedDescriptor, _ body: @escaping @Sendable () throws -> T) throws {
    let slot = Box<Result<T, any Error>?>(nil)
    box = slot
    let thread = try Thread(name: "test-netns") {
      let outcome = Result<T, any Error> {
        try Sys.setns(namespace.raw, CLONE_NEWNET)
        return try body()
      }
      slot.value.withLock { $0 = outcome }
    }
    self.thread = Mutex(consume thread)
  }
  private let box: Box<Result<T, any Error>?>

  func value() throws -> T {
    thread.withLock { thread in
      if let running = thread.take() { running.join() }
    }
    guard let outcome = box.value.withLock({ $0 }) else { throw SyscallError("run", "test thread", .noSuchProcess) }
    return try outcome.get()
  }
}

final class Box<T: Sendable>: Sendable {
  let value: Mutex<T>
  init(_ value: T) { self.value = Mutex(value) }
}

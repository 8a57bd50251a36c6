import CLinux
import Kernel
import Synchronization

/// Runs `body` on a thread of its own in a network namespace of its own, which goes when the thread does.
func inNamespace<T: Sendable>(_ body: @escaping @Sendable () throws -> T) throws -> T {
  let box = Box<Result<T, any Error>?>(nil)
  let thread = try Thread(name: "test-netns") {
    let outcome = Result<T, any Error> {
      try Sys.unshare(CLONE_NEWNET)
      return try body()
    }
    box.value.withLock { $0 = outcome }
  }
  thread.join()
  guard let outcome = box.value.withLock({ $0 }) else { throw SyscallError("run", "test thread", .noSuchProcess) }
  return try outcome.get()
}

final class Box<T: Sendable>: Sendable {
  let value: Mutex<T>
  init(_ value: T) { self.value = Mutex(value) }
}

/// The calling thread's network namespace.
func currentNamespace() throws -> Descriptor { try Sys.open("/proc/thread-self/ns/net") }

import Kernel
import Synchronization

/// Wakes a reader of a log when its files change and when its container ends.
final class LogFollower: Sendable {
  let wakes: AsyncStream<Void>
  private let ended = Atomic<Bool>(false)
  private let tasks: Mutex<[Task<Void, Never>]>

  init(_ container: Container, _ changes: AsyncStream<Void>, until: Int64?) {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    wakes = stream
    tasks = Mutex([])
    let (id, waiter) = container.addWaiter(.exit)
    var started = [
      Task { for await _ in changes { continuation.yield() } },
      Task { [weak self] in
        defer { container.forget(waiter: id) }
        // It may have ended before the waiter was there.
        if container.state.running { _ = try? await waiter.value() }
        self?.end(continuation)
      },
    ]
    if let until {
      started.append(
        Task { [weak self] in
          let left = until - Sys.realtimeNanoseconds()
          if left > 0 { guard (try? await Task.sleep(nanoseconds: UInt64(left))) != nil else { return } }
          self?.end(continuation)
        })
    }
    tasks.withLock { $0 = started }
  }

  deinit { for task in tasks.withLock({ $0 }) { task.cancel() } }

  var hasEnded: Bool { ended.load(ordering: .acquiring) }

  private func end(_ continuation: AsyncStream<Void>.Continuation) {
    ended.store(true, ordering: .releasing)
    continuation.yield()
  }
}

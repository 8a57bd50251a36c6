import Synchronization

/// Operations one at a time, in the order of their coming: the queue of one container.
///
/// Nobody holds a lock while an operation waits: those behind it are suspended, not blocked. An operation isn't cancelled with the
/// request that asked for it: half a start is worse than a start nobody waits for.
final class OperationQueue: Sendable {
  private struct State {
    var busy = false
    var waiters: [CheckedContinuation<Void, Never>] = []
    var first = 0
  }

  private let state = Mutex(State())

  func run<T: Sendable>(_ body: () async throws -> T) async rethrows -> T {
    await enter()
    defer { leave() }
    return try await body()
  }

  private func enter() async {
    let entered = state.withLock { state in
      if state.busy { return false }
      state.busy = true
      return true
    }
    if entered { return }
    await withCheckedContinuation { continuation in
      let free = state.withLock { state in
        if state.busy {
          state.waiters.append(continuation)
          return false
        }
        state.busy = true
        return true
      }
      if free { continuation.resume() }
    }
  }

  private func leave() {
    let next: CheckedContinuation<Void, Never>? = state.withLock { state in
      guard state.first < state.waiters.count else {
        state.waiters.removeAll(keepingCapacity: true)
        state.first = 0
        state.busy = false
        return nil
      }
      state.first += 1
      return state.waiters[state.first - 1]
    }
    next?.resume()
  }
}

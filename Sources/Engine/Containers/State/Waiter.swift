import Synchronization

/// Somebody who waits for an exit or a removal: resolved once, whoever comes first.
final class Waiter: Sendable {
  enum Kind: Sendable { case exit, removal }

  private enum State {
    case open
    case waiting(CheckedContinuation<WaitResult, any Error>)
    case done(Result<WaitResult, any Error>)
  }

  let kind: Kind
  private let state = Mutex(State.open)

  init(_ kind: Kind) { self.kind = kind }

  func resolve(_ result: Result<WaitResult, any Error>) {
    let continuation: CheckedContinuation<WaitResult, any Error>? = state.withLock { state in
      switch state {
      case .open:
        state = .done(result)
        return nil
      case .waiting(let continuation):
        state = .done(result)
        return continuation
      case .done: return nil
      }
    }
    continuation?.resume(with: result)
  }

  func value() async throws -> WaitResult {
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result: Result<WaitResult, any Error>? = state.withLock { state in
          if case .done(let result) = state { return result }
          state = .waiting(continuation)
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      resolve(.failure(CancellationError()))
    }
  }
}

extension Container {
  /// Registers a waiter; the caller takes it away with `forget` when it gives up.
  func addWaiter(_ kind: Waiter.Kind) -> (id: UInt64, waiter: Waiter) {
    live.withLock { live in
      let waiter = Waiter(kind)
      let id = live.nextWaiter
      live.nextWaiter &+= 1
      live.waiters[id] = waiter
      return (id, waiter)
    }
  }

  func forget(waiter id: UInt64) { live.withLock { _ = $0.waiters.removeValue(forKey: id) } }

  /// Wakes those that wait for an exit, or with `.removal` those that wait for the removal.
  func resolveWaiters(_ kind: Waiter.Kind, _ result: WaitResult) {
    let waiters = live.withLock { live in
      let matching = live.waiters.filter { $0.value.kind == kind }
      for id in matching.keys { live.waiters.removeValue(forKey: id) }
      return matching.values
    }
    for waiter in waiters { waiter.resolve(.success(result)) }
  }
}

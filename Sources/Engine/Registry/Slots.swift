import Synchronization

/// So many at a time; the others wait in the order in which they came, and leave the queue when they are cancelled.
public final class Slots: Sendable {
  private struct State {
    var free: Int
    var waiting: [(id: Int, continuation: CheckedContinuation<Void, any Error>)] = []
    var cancelled: Set<Int> = []
    var next = 0
  }
  private let state: Mutex<State>

  public init(_ count: Int) { state = Mutex(State(free: max(1, count))) }

  /// `onWait` is called when there is no free slot. Throws `CancellationError`.
  public func withSlot<T: Sendable>(
    onWait: () -> Void = {}, _ body: () async throws -> T
  ) async throws -> T {
    if !state.withLock({ state in
      guard state.free > 0 else { return false }
      state.free -= 1
      return true
    }) {
      onWait()
      try await wait()
    }
    defer { release() }
    return try await body()
  }

  private func wait() async throws {
    let id = state.withLock { state in
      state.next += 1
      return state.next
    }
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let outcome = state.withLock { state -> Result<Void, any Error>? in
          if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
          if state.free > 0 {
            state.free -= 1
            return .success(())
          }
          state.waiting.append((id, continuation))
          return nil
        }
        if let outcome { continuation.resume(with: outcome) }
      }
    } onCancel: {
      let waiter = state.withLock { state -> CheckedContinuation<Void, any Error>? in
        guard let index = state.waiting.firstIndex(where: { $0.id == id }) else {
          state.cancelled.insert(id)
          return nil
        }
        return state.waiting.remove(at: index).continuation
      }
      waiter?.resume(throwing: CancellationError())
    }
    // Cancelled after it was served: nobody will look for it.
    state.withLock { _ = $0.cancelled.remove(id) }
  }

  private func release() {
    let next = state.withLock { state -> CheckedContinuation<Void, any Error>? in
      guard !state.waiting.isEmpty else {
        state.free += 1
        return nil
      }
      return state.waiting.removeFirst().continuation
    }
    next?.resume()
  }
}

import Synchronization

/// Operations one at a time for each key, in the order of their coming; different keys don't wait for each other.
final class KeyedQueue: Sendable {
  /// Who waits, by key; a key that is there is busy.
  private let state = Mutex<[String: [CheckedContinuation<Void, Never>]]>([:])

  func run<T: Sendable>(_ key: String, _ body: () async throws -> T) async rethrows -> T {
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if state[key] != nil {
          state[key]?.append(continuation)
          return false
        }
        state[key] = []
        return true
      }
      if isFree { continuation.resume() }
    }
    defer { leave(key) }
    return try await body()
  }

  private func leave(_ key: String) {
    let next: CheckedContinuation<Void, Never>? = state.withLock { state in
      guard let waiters = state[key], !waiters.isEmpty else {
        state[key] = nil
        return nil
      }
      return state[key]?.removeFirst()
    }
    next?.resume()
  }
}

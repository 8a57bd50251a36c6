import Archive
import ContentStore
import Errdefs
import Kernel
import NIOCore
import OCI
import Registry
import Snapshots
import Synchronization

/// Layers that are on their way from a registry, each once: whoever pulls an image with a layer that comes already waits for it and hears how
/// far it is. A transfer ends early when the last of those has gone.
final class LayerTransfers: Sendable {
  struct Key: Hashable { var diffID, blob: Digest }

  private let running = Mutex<[Key: LayerTransfer]>([:])

  /// Joins the transfer of a layer, or begins it by `start`. The caller has pinned the layer and its blob.
  func layer(
    _ key: Key, tell: @escaping @Sendable (ImageProgress) -> Void,
    start: @escaping @Sendable (LayerTransfer) async throws -> ImageTable.LayerEntry
  ) async throws -> ImageTable.LayerEntry {
    while true {
      let (transfer, isNew) = running.withLock { running in
        if let found = running[key], found.join() { return (found, false) }
        let made = LayerTransfer()
        running[key] = made
        return (made, true)
      }
      if isNew {
        transfer.begin { [self] in
          defer { running.withLock { if $0[key] === transfer { $0[key] = nil } } }
          return try await start(transfer)
        }
      }
      do { return try await transfer.result(tell) } catch is CancellationError where !Task.isCancelled {
        // Whoever began it gave up in the moment in which it was joined: it begins anew.
        continue
      }
    }
  }
}

/// One layer on its way. Locks: one `Mutex`; listeners are called without it.
final class LayerTransfer: Sendable {
  private struct State {
    var users = 1
    var task: Task<Void, Never>?
    var listeners: [Int: @Sendable (ImageProgress) -> Void] = [:]
    var waiters: [Int: CheckedContinuation<ImageTable.LayerEntry, any Error>] = [:]
    var last: ImageProgress?
    var result: Result<ImageTable.LayerEntry, any Error>?
    var next = 0
  }
  private let state = Mutex(State())

  /// False when it is being given up.
  func join() -> Bool {
    state.withLock { state in
      guard state.users > 0, state.result == nil else { return false }
      state.users += 1
      return true
    }
  }

  func begin(_ body: @escaping @Sendable () async throws -> ImageTable.LayerEntry) {
    let task = Task {
      let result: Result<ImageTable.LayerEntry, any Error>
      do { result = .success(try await body()) } catch { result = .failure(error) }
      let waiters = state.withLock { state in
        state.result = result
        defer { state.waiters = [:] }
        return state.waiters.values
      }
      for waiter in waiters { waiter.resume(with: result) }
    }
    let isLate = state.withLock { state in
      state.task = task
      return state.users == 0
    }
    if isLate { task.cancel() }
  }

  /// Tells everybody who waits.
  func tell(_ progress: ImageProgress) {
    let listeners = state.withLock { state in
      state.last = progress
      return Array(state.listeners.values)
    }
    for listener in listeners { listener(progress) }
  }

  /// Waits for the end as one of its users; a user that is cancelled leaves, and the last to leave ends it.
  func result(_ tell: @escaping @Sendable (ImageProgress) -> Void) async throws -> ImageTable.LayerEntry {
    let (id, last) = state.withLock { state in
      state.next += 1
      state.listeners[state.next] = tell
      return (state.next, state.last)
    }
    if let last { tell(last) }
    defer { state.withLock { $0.listeners[id] = nil } }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let result = state.withLock { state -> Result<ImageTable.LayerEntry, any Error>? in
          if let result = state.result { return result }
          if Task.isCancelled { return .failure(CancellationError()) }
          state.waiters[id] = continuation
          return nil
        }
        if let result { continuation.resume(with: result) }
      }
    } onCancel: {
      let (waiter, task) = state.withLock { state in
        state.users -= 1
        return (state.waiters.removeValue(forKey: id), state.users == 0 ? state.task : nil)
      }
      task?.cancel()
      waiter?.resume(throwing: CancellationError())
    }
  }
}

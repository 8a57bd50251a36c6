import Synchronization

/// One container in memory: its present snapshot, the queue of its operations, its shim while it lives, and who waits for it.
///
/// Lock order: `live` before `current`; both are held for copies only, never across a wait.
final class Container: Sendable {
  let id: String
  let operations = OperationQueue()
  private let current: Mutex<ContainerSnapshot>
  let live = Mutex(Live())

  /// What exists only while the daemon does.
  struct Live {
    /// Of the running process.
    var shim: ShimConnection?
    /// Of the last run, until it has gone.
    var last: ShimConnection?
    /// A stop that a start follows: neither restart policy nor removal counts.
    var restarting = false
    /// Clients that attached before the start.
    var pending: [PendingAttach] = []
    /// Clients that are being answered and will be in `pending` next; a start waits for them.
    var arriving = 0
    var arrivals: [CheckedContinuation<Void, Never>] = []
    var execs: [String: Exec] = [:]
    /// Health checks wait here for their exec.
    var execWaiters: [String: Waiter] = [:]
    var waiters: [UInt64: Waiter] = [:]
    var nextWaiter: UInt64 = 0
    /// Ends the delay before a restart.
    var restartDelay: Task<Void, Never>?
    /// Milliseconds of the last delay.
    var backOff: Int64 = 0
    var health: Task<Void, Never>?
    /// A removal has been asked for: nothing restarts it any more.
    var removing = false
    /// The generation of the launch, so that a late exit isn't taken for the present one's.
    var launch: UInt64 = 0
  }

  struct PendingAttach {
    var request: AttachRequest
    var connection: AttachRequest.Connection
  }

  init(_ snapshot: ContainerSnapshot) {
    id = snapshot.id
    current = Mutex(snapshot)
  }

  var snapshot: ContainerSnapshot { current.withLock { $0 } }
  var state: ContainerState { current.withLock { $0.state } }
  var name: String { current.withLock { $0.name } }

  /// Changes the snapshot and answers the new one.
  @discardableResult
  func update(_ change: (inout ContainerSnapshot) -> Void) -> ContainerSnapshot {
    current.withLock { snapshot in
      change(&snapshot)
      snapshot.revision &+= 1
      return snapshot
    }
  }

  /// As `update` with a result of the closure's own.
  func change<T>(_ body: (inout ContainerSnapshot) throws -> T) rethrows -> T {
    try current.withLock { snapshot in
      defer { snapshot.revision &+= 1 }
      return try body(&snapshot)
    }
  }
}

/// What `POST /containers/{id}/wait` waits for.
public enum WaitCondition: String, Sendable, CaseIterable {
  /// Answers at once when it doesn't run.
  case notRunning = "not-running"
  /// The next exit from now on.
  case nextExit = "next-exit"
  case removed
}

/// How a wait ended: the exit code, and why the container failed to start or to be removed, if it did.
public struct WaitResult: Sendable, Equatable {
  public var statusCode: Int32
  public var error: String?
  public init(statusCode: Int32, error: String? = nil) {
    self.statusCode = statusCode
    self.error = error
  }
}

/// A wait that is registered: nothing is missed between it and `result()`, so headers can be flushed first.
public struct ContainerWait: Sendable {
  let body: @Sendable () async throws -> WaitResult
  /// Throws `CancellationError` when the task is cancelled.
  public func result() async throws -> WaitResult { try await body() }
}

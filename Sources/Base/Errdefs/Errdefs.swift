/// What went wrong, in the words of the Engine API: a class that maps to one HTTP status (and later one gRPC code), a message
/// that names what failed on which object, and the cause.
///
/// Everything above Runtime/ throws this at its public edge; `EngineAPI` holds the only map to HTTP.
/// The message is what clients print after `Error response from daemon: `, so its text is Docker's where clients match it.
public struct EngineError: Error, Sendable, CustomStringConvertible {
  /// moby's errdefs classes, with the status that each becomes.
  public enum Kind: String, Sendable, CaseIterable {
    /// 400
    case invalidParameter
    /// 401
    case unauthorized
    /// 403
    case forbidden
    /// 404
    case notFound
    /// 409
    case conflict
    /// 304: nothing to do, no body
    case notModified
    /// 501
    case notImplemented
    /// 503
    case unavailable
    /// 500
    case system
  }

  public let kind: Kind
  public let message: String
  /// For the log; never sent to clients.
  public let cause: (any Error)?

  public init(_ kind: Kind, _ message: String, cause: (any Error)? = nil) {
    self.kind = kind
    self.message = message
    self.cause = cause
  }

  public var description: String { message }

  public static func invalidParameter(_ message: String, cause: (any Error)? = nil) -> EngineError {
    EngineError(.invalidParameter, message, cause: cause)
  }
  public static func notFound(_ message: String) -> EngineError { EngineError(.notFound, message) }
  public static func conflict(_ message: String) -> EngineError { EngineError(.conflict, message) }
  public static func notImplemented(_ message: String) -> EngineError { EngineError(.notImplemented, message) }
  public static func system(_ message: String, cause: (any Error)? = nil) -> EngineError {
    EngineError(.system, message, cause: cause)
  }
}

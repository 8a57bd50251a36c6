import Errdefs
import NIOHTTP1
import OCI

extension EngineError {
  /// The only map from errors to HTTP.
  var status: HTTPResponseStatus {
    switch kind {
    case .invalidParameter: .badRequest
    case .unauthorized: .unauthorized
    case .forbidden: .forbidden
    case .notFound: .notFound
    case .conflict: .conflict
    case .notModified: .notModified
    case .notImplemented: .notImplemented
    case .unavailable: .serviceUnavailable
    case .system: .internalServerError
    }
  }
}

extension Response {
  /// `{"message": …}`, as dockerd answers errors; 304 has no body.
  static func failure(_ error: any Error) -> Response {
    switch error {
    case let error as EngineError: failure(error.status, error.message)
    case let error as JSONError: failure(.badRequest, "invalid JSON: \(error)")
    case let error as VersionError: failure(.badRequest, error.description)
    case is CancellationError: failure(.internalServerError, "context canceled")
    default: failure(.internalServerError, "\(error)")
    }
  }

  static func failure(_ status: HTTPResponseStatus, _ message: String) -> Response {
    guard status != .notModified else { return .empty(.notModified) }
    return .json(.object(JSONObject([("message", .string(message))])), status: status)
  }
}

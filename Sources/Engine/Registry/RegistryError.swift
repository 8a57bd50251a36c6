import AsyncHTTPClient
public import Errdefs
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
public import OCI

/// What a registry answered instead of what was asked for (distribution-spec, "Error codes").
public struct RegistryError: Error, Sendable, CustomStringConvertible {
  /// The HTTP status.
  public let status: Int
  /// `MANIFEST_UNKNOWN`, `DENIED`, …; empty when the answer had none.
  public let code: String
  /// As Go's distribution client words it: `manifest unknown: manifest unknown`.
  public let description: String

  public init(status: Int, code: String, description: String) {
    self.status = status
    self.code = code
    self.description = description
  }

  /// From an answer's body: `{"errors": [{"code": …, "message": …}]}`, or the token service's `{"details": …}`.
  init(status: HTTPResponseStatus, body: [UInt8]) {
    let document = try? JSON.parse(body)
    let errors = (document?["errors"]?.arrayValue ?? []).compactMap { error -> (code: String, text: String)? in
      guard let code = error["code"]?.stringValue else { return nil }
      let name = code.lowercased().replacing("_", with: " ")
      return (code, "\(name): \(error["message"]?.stringValue ?? name)")
    }
    if let first = errors.first {
      let text = errors.count == 1 ? first.text : "errors:\n" + errors.map { $0.text + "\n" }.joined()
      self.init(status: Int(status.code), code: first.code, description: text)
      return
    }
    let details = document?["details"]?.stringValue ?? document?["message"]?.stringValue
    switch (status.code, details) {
    case (401, let details):
      self.init(status: 401, code: "UNAUTHORIZED", description: "unauthorized: \(details ?? "authentication required")")
    case (403, let details):
      self.init(
        status: 403, code: "DENIED", description: "denied: \(details ?? "requested access to the resource is denied")")
    case (429, let details):
      self.init(status: 429, code: "TOOMANYREQUESTS", description: "toomanyrequests: \(details ?? "too many requests")")
    default:
      self.init(
        status: Int(status.code), code: "",
        description: "received unexpected HTTP status: \(status.code) \(status.reasonPhrase)")
    }
  }

  /// As dockerd tells it of a pull of `reference`.
  public func ofPull(_ reference: Reference) -> EngineError {
    switch code {
    case "DENIED":
      EngineError(
        .notFound,
        "pull access denied for \(reference.familiarName), repository does not exist or may require 'docker login': \(description)",
        cause: self)
    case "MANIFEST_UNKNOWN":
      EngineError(.notFound, "manifest for \(reference.familiar) not found: \(description)", cause: self)
    case "NAME_UNKNOWN":
      EngineError(.notFound, "repository \(reference.familiarName) not found: \(description)", cause: self)
    default:
      // A manifest that a registry of few words doesn't have.
      status == 404
        ? EngineError(
          .notFound, "manifest for \(reference.familiar) not found: manifest unknown: manifest unknown", cause: self)
        : ["UNAUTHORIZED", "TOOMANYREQUESTS"].contains(code)
          ? plain : EngineError(plain.kind, "pull \(reference.familiar): \(description)", cause: self)
    }
  }

  /// The registry's own words.
  public var plain: EngineError {
    switch status {
    case 401: EngineError(.unauthorized, description, cause: self)
    case 403: EngineError(.forbidden, description, cause: self)
    case 404: EngineError(.notFound, description, cause: self)
    case 429, 503: EngineError(.unavailable, description, cause: self)
    default: EngineError(.system, description, cause: self)
    }
  }
}

/// A request that got no answer, in the words of Go's `net/http`, which Docker's users know.
struct NoAnswer: Error, CustomStringConvertible {
  let method: HTTPMethod
  let url: String
  let cause: any Error

  var description: String {
    let verb = method.rawValue.prefix(1) + method.rawValue.dropFirst().lowercased()
    if let error = cause as? IOError, let place = Location(url) {
      // Whoever answered for the name, it is the port that nobody listens on.
      let port = place.host.hasSuffix("]") || !place.host.contains(":") ? (place.scheme == "http" ? ":80" : ":443") : ""
      return "\(verb) \"\(url)\": dial tcp \(place.host)\(port): \(Self.reason(error))"
    }
    return "\(verb) \"\(url)\": \(Self.reason(cause))"
  }

  var engineError: EngineError { EngineError(.system, description, cause: cause) }

  private static func reason(_ error: any Error) -> String {
    if let error = error as? NIOConnectionError {
      if let failed = error.connectionErrors.first {
        return "dial tcp \(address(failed.target)): \(reason(failed.error))"
      }
      return "dial tcp: lookup \(error.host): no such host"
    }
    if let error = error as? IOError { return "connect: " + words(error.errnoCode) }
    if let error = error as? HTTPClientError {
      if error == .connectTimeout || error == .deadlineExceeded {
        return "net/http: request canceled (Client.Timeout exceeded)"
      }
      if error == .tlsHandshakeTimeout { return "net/http: TLS handshake timeout" }
      if error == .remoteConnectionClosed { return "EOF" }
    }
    if let error = error as? NIOSSLError, case .handshakeFailed(let cause) = error {
      let text = "\(cause)"
      if text.contains("CERTIFICATE_VERIFY_FAILED") {
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
      }
      if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
        return "http: server gave HTTP response to HTTPS client"
      }
      return "tls: \(text)"
    }
    if error is BoringSSLError {
      // What the other side says of us, by the names of its alerts (RFC 8446, section 6).
      let text = "\(error)"
      if text.contains("ALERT_BAD_CERTIFICATE") { return "remote error: tls: bad certificate" }
      if text.contains("CERTIFICATE_REQUIRED") { return "remote error: tls: certificate required" }
      return "tls: \(text)"
    }
    if error is NIOSSLExtraError {
      return "tls: failed to verify certificate: x509: certificate is not valid for that name"
    }
    return "\(error)"
  }

  private static func address(_ address: SocketAddress) -> String {
    guard let ip = address.ipAddress, let port = address.port else { return "\(address)" }
    return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
  }

  private static func words(_ errno: Int32) -> String {
    switch errno {
    case 111: "connection refused"
    case 113: "no route to host"
    case 101: "network is unreachable"
    case 110: "connection timed out"
    case 104: "connection reset by peer"
    default: "errno \(errno)"
    }
  }
}

import Errdefs
import NIOCore
import NIOHTTP1
import OCI

/// One request as a route sees it.
struct Request: Sendable {
  let method: HTTPMethod
  /// The path after the version, still escaped.
  let path: String
  /// What the route's `{names}` stand for, unescaped.
  var parameters: [String: String] = [:]
  let query: Query
  let headers: HTTPHeaders
  let version: APIVersion
  /// The collected body; empty for routes that stream theirs.
  var body: [UInt8] = []
  /// The connection: streams of uploads, taking the socket over.
  let connection: any Connection

  /// dockerd looks only whether there is such a header.
  var wantsUpgrade: Bool { headers.contains(name: "Upgrade") }

  func parameter(_ name: String) -> String { parameters[name] ?? "" }

  /// The JSON body with dockerd's checks of `ReadJSON`; nil when there is none.
  func json() throws(EngineError) -> JSON? {
    try checkForJSON()
    guard !body.isEmpty else { return nil }
    do { return try JSON.parse(body) } catch { throw .invalidParameter(GoJSONWords.of(body, error)) }
  }

  private func checkForJSON() throws(EngineError) {
    guard let type = headers.first(name: "Content-Type"), !type.isEmpty else {
      guard body.isEmpty else { throw .invalidParameter("malformed Content-Type header (): mime: no media type") }
      return
    }
    let media = type.prefix { $0 != ";" }.filter { !$0.isWhitespace }.lowercased()
    guard media == "application/json" else {
      throw .invalidParameter("unsupported Content-Type header (\(type)): must be 'application/json'")
    }
  }
}

/// What a route may do with its connection beyond answering.
protocol Connection: Sendable {
  /// The next bytes of an upload, nil at its end. Bytes wait in the kernel until they are asked for.
  func nextBodyPart() async throws -> ByteBuffer?
  /// The same for a thread of one's own, which it blocks.
  func nextBodyPartBlocking() throws -> ByteBuffer?
  /// Answers with this head and takes the socket away from the server: the caller owns it, together with what was read ahead.
  func takeOver(_ head: HTTPResponseHead) async throws -> TakenConnection
}

/// A client's socket after an upgrade: non-blocking and close-on-exec. Whoever holds it closes it.
struct TakenConnection: ~Copyable, Sendable {
  let descriptor: Int32
  /// What the client sent behind its request, to be treated as if it were read from the socket first.
  let pending: [UInt8]
}

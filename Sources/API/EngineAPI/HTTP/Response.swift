import NIOCore
import NIOHTTP1
import OCI

/// What a route answers.
enum Response: Sendable {
  case whole(HTTPResponseStatus, HTTPHeaders, [UInt8])
  /// The head is sent at once, then what the closure writes; it returns at the end. An error there cuts the connection, since the
  /// status is gone.
  case stream(HTTPHeaders, @Sendable (any ResponseStream) async throws -> Void)
  /// The connection was taken over; there is nobody to answer any more.
  case taken

  static func json(_ value: JSON, status: HTTPResponseStatus = .ok) -> Response {
    var bytes = value.encoded(escapeHTML: false)
    bytes.append(UInt8(ascii: "\n"))
    return .whole(status, ["Content-Type": "application/json"], bytes)
  }

  static func empty(_ status: HTTPResponseStatus = .noContent) -> Response { .whole(status, [:], []) }

  static func text(_ text: String) -> Response {
    .whole(.ok, ["Content-Type": "text/plain; charset=utf-8"], Array(text.utf8))
  }
}

/// The body of a streamed answer.
protocol ResponseStream: Sendable {
  /// Sends the bytes now, and returns when the kernel has taken them: a slow reader slows the writer.
  func write(_ bytes: ByteBuffer) async throws
  /// The same for a thread of one's own, which it blocks.
  func writeBlocking(_ bytes: ByteBuffer) throws
}

extension ResponseStream {
  func write(_ bytes: [UInt8]) async throws { try await write(ByteBuffer(bytes: bytes)) }

  /// A value and a line's end, escaped as Go's `json.Encoder` does by default.
  func write(_ value: JSON, end: String = "\n") async throws {
    var bytes = value.encoded()
    bytes += end.utf8
    try await write(bytes)
  }
}

public import OCI

/// An answer whose head was read; its body is read on demand.
public final class Response {
  public let status: Int
  private let head: ResponseHead
  private var connection: Connection?
  private let client: EngineClient
  private var body: Body

  private enum Body {
    case length(Int)
    /// Bytes left in the current chunk; 0 before a chunk's head.
    case chunked(Int)
    case untilClose
    case ended
  }

  init(head: ResponseHead, connection: Connection, client: EngineClient, isHead: Bool) {
    self.head = head
    status = head.status
    self.connection = connection
    self.client = client
    if isHead || head.status == 204 || head.status == 304 {
      body = .ended
    } else if let encoding = head.header("transfer-encoding"), encoding.lowercased().contains("chunked") {
      body = .chunked(0)
    } else if let text = head.header("content-length"), let length = Int(text), length >= 0 {
      body = length == 0 ? .ended : .length(length)
    } else {
      body = .untilClose
    }
    if case .ended = body { release() }
  }

  /// A header's value; the name in lower case.
  public func header(_ name: String) -> String? { head.header(name) }

  /// To poll for more of the body; nil after its end.
  public var fd: Int32? { connection?.fd }

  /// Whether bytes of the body are here that poll(2) doesn't know of.
  public var hasUnread: Bool { connection?.unread.isEmpty == false }

  /// Whether the body's bytes are interleaved in frames (`StandardStreams`).
  public var isMultiplexed: Bool { header("content-type") == HijackedStream.multiplexedType }

  /// The next piece of the body as it comes in, nil at its end.
  public func next() throws -> ArraySlice<UInt8>? {
    guard let connection else { return nil }
    while true {
      switch body {
      case .ended: return nil
      case .length(let left):
        let piece = connection.take(left)
        if piece.isEmpty {
          guard try connection.fill() else { throw unexpectedEnd() }
          continue
        }
        body = .length(left - piece.count)
        if left == piece.count { end() }
        return piece
      case .untilClose:
        let piece = connection.take(.max)
        if !piece.isEmpty { return piece }
        guard try connection.fill() else {
          body = .ended
          self.connection = nil
          return nil
        }
      case .chunked(0):
        let size = try chunkSize(connection)
        if size > 0 {
          body = .chunked(size)
        } else {
          // Trailers, which no daemon sends, would be lines before an empty one.
          while try !line(connection).isEmpty {}
          end()
          return nil
        }
      case .chunked(let left):
        let piece = connection.take(left)
        if piece.isEmpty {
          guard try connection.fill() else { throw unexpectedEnd() }
          continue
        }
        body = .chunked(left - piece.count)
        if left == piece.count { _ = try line(connection) }
        return piece
      }
    }
  }

  /// The rest of the body.
  public func readAll() throws -> [UInt8] {
    var bytes: [UInt8] = []
    while let piece = try next() { bytes += piece }
    return bytes
  }

  /// The body as one JSON value; `null` when it is empty.
  public func json() throws -> JSON {
    let bytes = try readAll()
    guard !bytes.isEmpty else { return .null }
    do throws(JSONError) { return try JSON.parse(bytes) } catch {
      throw ClientError.malformed("the daemon's answer is no JSON: \(error)")
    }
  }

  /// The error that this answer tells of, as docker's client words it.
  func error() throws -> ClientError {
    let bytes = try readAll()
    var message = String(decoding: bytes, as: UTF8.self)
    if let json = try? JSON.parse(bytes), let text = json["message"]?.stringValue { message = text }
    while message.last?.isWhitespace == true { message.removeLast() }
    if message.isEmpty { message = "request returned status \(status) without a message" }
    return .response(status: status, message: message)
  }

  private func end() {
    body = .ended
    release()
  }

  private func release() {
    guard let connection else { return }
    self.connection = nil
    let close = head.header("connection")?.lowercased() == "close"
    if !close && connection.isReusable() { client.giveBack(connection) }
  }

  private func unexpectedEnd() -> ClientError { .malformed("unexpected EOF") }

  private func line(_ connection: Connection) throws -> String {
    while true {
      let bytes = connection.unread
      if let newLine = bytes.firstIndex(of: 10) {
        let line = String(decoding: bytes[..<newLine], as: UTF8.self)
        connection.consume(newLine + 1 - bytes.startIndex)
        return line.hasSuffix("\r") ? String(line.dropLast()) : line
      }
      guard bytes.count < 1 << 16 else { throw ClientError.malformed("the daemon's answer has a line without end") }
      guard try connection.fill() else { throw unexpectedEnd() }
    }
  }

  private func chunkSize(_ connection: Connection) throws -> Int {
    let text = try line(connection).prefix { $0 != ";" }
    guard let size = Int(text.trimmingSpaces(), radix: 16), size >= 0 else {
      throw ClientError.malformed("the daemon's answer has a chunk without a size")
    }
    return size
  }
}

extension Substring {
  fileprivate func trimmingSpaces() -> Substring {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}

import OCI

/// A request that was sent and whose response is still to be read.
public final class Exchange {
  private let client: EngineClient
  private let connection: Connection
  /// No body follows, whatever the head says.
  private let isHead: Bool

  init(client: EngineClient, connection: Connection, isHead: Bool) {
    self.client = client
    self.connection = connection
    self.isHead = isHead
  }

  /// To poll for the response's first bytes.
  public var fd: Int32 { connection.fd }

  /// Waits for the response's head. A status of 400 and above is thrown as `ClientError.response` with the daemon's
  /// message.
  public func response() throws -> Response {
    let response = Response(
      head: try ResponseHead.read(from: connection), connection: connection, client: client, isHead: isHead)
    guard response.status < 400 else { throw try response.error() }
    return response
  }

  /// Waits for the upgrade and takes over the connection.
  public func hijack() throws -> HijackedStream {
    let head = try ResponseHead.read(from: connection)
    // An old daemon answers 200 and goes on raw.
    guard head.status == 101 || head.status == 200 else {
      throw try Response(head: head, connection: connection, client: client, isHead: isHead).error()
    }
    return HijackedStream(connection: connection, contentType: head.header("content-type") ?? "")
  }
}

/// The status line and the headers.
struct ResponseHead {
  var status: Int
  /// Names in lower case.
  var headers: [(name: String, value: String)]

  func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

  static func read(from connection: Connection) throws -> ResponseHead {
    while true {
      let head = try readOne(from: connection)
      if head.status >= 200 || head.status == 101 { return head }
    }
  }

  private static func readOne(from connection: Connection) throws -> ResponseHead {
    var scanned = 0
    while true {
      let bytes = connection.unread
      if let length = endOfHead(bytes, from: max(0, scanned - 3)) {
        let text = String(decoding: bytes.prefix(length), as: UTF8.self)
        connection.consume(length)
        return try parse(text)
      }
      scanned = bytes.count
      guard scanned < 1 << 20 else { throw ClientError.malformed("the daemon's answer has a head without end") }
      guard try connection.fill() else {
        throw ClientError.malformed(
          scanned == 0
            ? "error during connect: the daemon closed the connection" : "the daemon's answer ended in its head")
      }
    }
  }

  private static func endOfHead(_ bytes: ArraySlice<UInt8>, from: Int) -> Int? {
    var index = bytes.startIndex + from
    while index + 3 < bytes.endIndex {
      if bytes[index] == 13, bytes[index + 1] == 10, bytes[index + 2] == 13, bytes[index + 3] == 10 {
        return index + 4 - bytes.startIndex
      }
      index += 1
    }
    return nil
  }

  private static func parse(_ text: String) throws -> ResponseHead {
    var lines = text.split(separator: "\r\n", omittingEmptySubsequences: true).makeIterator()
    guard let first = lines.next(), first.hasPrefix("HTTP/1."), let status = Int(first.dropFirst(9).prefix(3)) else {
      throw ClientError.malformed("the daemon's answer isn't HTTP")
    }
    var headers: [(name: String, value: String)] = []
    while let line = lines.next() {
      guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { continue }
      let value = line[line.utf8.index(after: colon)...]
      headers.append((line[..<colon].lowercased(), String(value.drop { $0 == " " || $0 == "\t" })))
    }
    return ResponseHead(status: status, headers: headers)
  }
}

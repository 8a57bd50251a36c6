public import OCI

/// JSON values one after another in a body: events, statistics, progress of load and pull.
///
/// Values are told apart by their brackets, so it matters not whether lines, spaces or nothing is between them.
public final class JSONStream {
  private let response: Response
  private var pending: [UInt8] = []
  private var scanned = 0
  private var depth = 0
  private var inString = false
  private var escaped = false
  private let limit = 16 << 20

  public init(_ response: Response) { self.response = response }

  public var fd: Int32? { response.fd }

  /// Whether bytes are here that poll(2) doesn't know of.
  public var hasUnread: Bool { response.hasUnread }

  /// The next value, waiting for it; nil at the end of the body.
  public func next() throws -> JSON? {
    while true {
      if let value = try buffered() { return value }
      guard let piece = try response.next() else {
        let rest = pending.drop { $0 <= 0x20 }
        guard rest.isEmpty else { throw ClientError.malformed("unexpected EOF") }
        return nil
      }
      pending += piece
    }
  }

  /// The next value if it is wholly here.
  public func buffered() throws -> JSON? {
    while scanned < pending.count {
      let byte = pending[scanned]
      scanned += 1
      if inString {
        if escaped {
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): inString = true
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        depth -= 1
        if depth == 0 {
          let bytes = Array(pending[..<scanned])
          pending.removeSubrange(..<scanned)
          scanned = 0
          // RFC 7464 puts a record separator before each value.
          do throws(JSONError) { return try JSON.parse(Array(bytes.drop { $0 == 0x1E || $0 <= 0x20 })) } catch {
            throw ClientError.malformed("the daemon's answer is no JSON: \(error)")
          }
        }
      default: break
      }
    }
    guard pending.count < limit else { throw ClientError.malformed("the daemon's answer has a value without end") }
    return nil
  }

  /// Waits for one piece of the body and takes it in; false at its end.
  public func fill() throws -> Bool {
    guard let piece = try response.next() else { return false }
    pending += piece
    return true
  }
}

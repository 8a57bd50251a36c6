/// One challenge of a `WWW-Authenticate` header (RFC 9110, section 11.6.1).
struct Challenge: Sendable, Equatable {
  /// Lower case: `basic`, `bearer`.
  var scheme: String
  /// Names in lower case.
  var parameters: [String: String] = [:]

  /// All challenges of the header's values; what can't be read ends the list.
  static func parse(_ values: [String]) -> [Challenge] { values.flatMap { parse($0) } }

  private static func parse(_ value: String) -> [Challenge] {
    var challenges: [Challenge] = []
    var rest = Array(value.utf8)[...]
    func skip(_ isSkipped: (UInt8) -> Bool) { rest = rest.drop(while: isSkipped) }
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    func token() -> String? {
      let bytes = rest.prefix { byte in
        !isSpace(byte) && byte != UInt8(ascii: ",") && byte != UInt8(ascii: "=") && byte != UInt8(ascii: "\"")
      }
      guard !bytes.isEmpty else { return nil }
      rest = rest[bytes.endIndex...]
      return String(decoding: bytes, as: UTF8.self)
    }
    while true {
      skip { isSpace($0) || $0 == UInt8(ascii: ",") }
      guard let name = token() else { return challenges }
      skip(isSpace)
      guard rest.first == UInt8(ascii: "=") else {
        challenges.append(Challenge(scheme: name.lowercased()))
        continue
      }
      rest = rest.dropFirst()
      skip(isSpace)
      guard !challenges.isEmpty, let text = rest.first == UInt8(ascii: "\"") ? quoted(&rest) : token() else {
        return challenges
      }
      challenges[challenges.count - 1].parameters[name.lowercased()] = text
    }
  }

  private static func quoted(_ rest: inout ArraySlice<UInt8>) -> String? {
    rest = rest.dropFirst()
    var bytes: [UInt8] = []
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\"") { return String(decoding: bytes, as: UTF8.self) }
      if byte == UInt8(ascii: "\\") {
        guard let escaped = rest.popFirst() else { return nil }
        bytes.append(escaped)
      } else {
        bytes.append(byte)
      }
    }
    return nil
  }
}

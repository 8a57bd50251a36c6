import OCI

/// Why a text is no JSON, as Go's `encoding/json` says it: clients show it, and their tests match it.
enum GoJSONWords {
  static func of(_ bytes: [UInt8], _ error: JSONError) -> String {
    guard let position = error.position else { return "invalid JSON: \(error.message)" }
    guard position < bytes.count else { return "invalid JSON: unexpected EOF" }
    let place: String
    switch error.problem {
    case .value: place = "looking for beginning of value"
    case .key: place = "looking for beginning of object key string"
    case .colon: place = "after object key"
    case .member: place = "after object key:value pair"
    case .element: place = "after array element"
    case .text: place = "in string literal"
    case .escape: place = "in string escape code"
    case .literal(let word, let letter): place = "in literal \(word) (expecting \(quoted(letter)))"
    case .trailing: return "unexpected content after JSON"
    case .other: return error.message
    }
    return "invalid JSON: invalid character \(quoted(bytes[position])) \(place)"
  }

  /// Go's `quoteChar`
  private static func quoted(_ byte: UInt8) -> String {
    switch byte {
    case UInt8(ascii: "'"): return "'\\''"
    case UInt8(ascii: "\""): return "'\"'"
    case UInt8(ascii: "\n"): return "'\\n'"
    case UInt8(ascii: "\t"): return "'\\t'"
    case UInt8(ascii: "\r"): return "'\\r'"
    case 0x20..<0x7F: return "'\(Character(UnicodeScalar(byte)))'"
    default:
      let digits = String(byte, radix: 16)
      // Go takes the byte for a rune of Latin-1.
      return byte < 0x80
        ? "'\\x\(digits.utf8.count < 2 ? "0" : "")\(digits)'" : "'\(Character(UnicodeScalar(byte)))'"
    }
  }
}

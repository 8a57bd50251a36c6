/// Why a text isn't the JSON that was asked for: `path` names the field (`linux.resources.pids.limit`), empty for the
/// whole text.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
  public let path: String
  public let message: String
  /// Where the text isn't JSON, in bytes; `nil` when it is.
  public private(set) var position: Int?
  public private(set) var problem = Problem.other

  /// What was expected where the text isn't JSON.
  public enum Problem: Sendable, Equatable {
    case value, key, colon, member, element, text, escape, trailing, other
    /// A letter of `null`, `true` or `false`.
    case literal(String, expecting: UInt8)
  }

  public init(path: String, _ message: String) {
    self.path = path
    self.message = message
  }

  init(at position: Int, _ problem: Problem, _ message: String) {
    path = ""
    self.message = "invalid JSON at byte \(position): \(message)"
    self.position = position
    self.problem = problem
  }

  public var description: String { path.isEmpty ? message : "\(path): \(message)" }
}

extension JSON {
  /// Reads one JSON text (RFC 8259), with nothing but white space after it.
  ///
  /// Input is hostile: nesting is limited to `maximumDepth`, invalid UTF-8 in strings is replaced, unpaired surrogates become U+FFFD.
  public static func parse(_ text: String, maximumDepth: Int = 200) throws(JSONError) -> JSON {
    try parse(Array(text.utf8), maximumDepth: maximumDepth)
  }

  public static func parse(_ bytes: [UInt8], maximumDepth: Int = 200) throws(JSONError) -> JSON {
    let result: Result<JSON, JSONError> = bytes.withUnsafeBufferPointer { buffer in
      do throws(JSONError) { return .success(try parse(buffer, maximumDepth: maximumDepth)) } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  public static func parse(_ bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int = 200) throws(JSONError) -> JSON {
    var parser = Parser(bytes: bytes, maximumDepth: maximumDepth)
    let value = try parser.value(depth: 0)
    parser.skipSpace()
    guard parser.position == bytes.count else { throw parser.error("unexpected text after the value", .trailing) }
    return value
  }

  private struct Parser {
    let bytes: UnsafeBufferPointer<UInt8>
    let maximumDepth: Int
    var position = 0

    func error(_ message: String, _ problem: JSONError.Problem = .other) -> JSONError {
      JSONError(at: position, problem, message)
    }

    var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
      while position < bytes.count {
        switch bytes[position] {
        case 0x20, 0x0A, 0x0D, 0x09: position += 1
        default: return
        }
      }
    }

    mutating func value(depth: Int) throws(JSONError) -> JSON {
      guard depth < maximumDepth else { throw error("nested deeper than \(maximumDepth)") }
      skipSpace()
      guard let first = peek else { throw error("unexpected end", .value) }
      switch first {
      case UInt8(ascii: "{"): return try object(depth: depth)
      case UInt8(ascii: "["): return try array(depth: depth)
      case UInt8(ascii: "\""): return .string(try string())
      case UInt8(ascii: "t"): return try word("true", .bool(true))
      case UInt8(ascii: "f"): return try word("false", .bool(false))
      case UInt8(ascii: "n"): return try word("null", .null)
      default: return try number()
      }
    }

    mutating func word(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
      let length = word.utf8CodeUnitCount
      for index in 0..<length {
        guard position < bytes.count else { throw error("unexpected end", .value) }
        guard bytes[position] == word.utf8Start[index] else {
          throw error("unexpected word", .literal("\(word)", expecting: word.utf8Start[index]))
        }
        position += 1
      }
      return value
    }

    mutating func object(depth: Int) throws(JSONError) -> JSON {
      position += 1
      var object = JSONObject()
      var seen: Set<String>?
      skipSpace()
      if peek == UInt8(ascii: "}") {
        position += 1
        return .object(object)
      }
      while true {
        skipSpace()
        guard peek == UInt8(ascii: "\"") else { throw error("a member's name must be a string", .key) }
        let key = try string()
        skipSpace()
        guard peek == UInt8(ascii: ":") else { throw error("':' is missing after \"\(key)\"", .colon) }
        position += 1
        let value = try value(depth: depth + 1)
        // Small objects are searched, large ones get an index, so that hostile input can't make this quadratic.
        if object.count >= 32 {
          if seen == nil { seen = Set(object.members.map(\.key)) }
          if seen?.insert(key).inserted == true { object.append(key, value) } else { object[key] = value }
        } else {
          object[key] = value
        }
        skipSpace()
        switch peek {
        case UInt8(ascii: ","): position += 1
        case UInt8(ascii: "}"):
          position += 1
          return .object(object)
        default: throw error("',' or '}' is missing in an object", .member)
        }
      }
    }

    mutating func array(depth: Int) throws(JSONError) -> JSON {
      position += 1
      var elements: [JSON] = []
      skipSpace()
      if peek == UInt8(ascii: "]") {
        position += 1
        return .array(elements)
      }
      while true {
        elements.append(try value(depth: depth + 1))
        skipSpace()
        switch peek {
        case UInt8(ascii: ","): position += 1
        case UInt8(ascii: "]"):
          position += 1
          return .array(elements)
        default: throw error("',' or ']' is missing in an array", .element)
        }
      }
    }

    mutating func string() throws(JSONError) -> String {
      position += 1
      let start = position
      while position < bytes.count {
        switch bytes[position] {
        case UInt8(ascii: "\""):
          let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
          position += 1
          return text
        case UInt8(ascii: "\\"): return try escapedString(from: start)
        case 0..<0x20: throw error("a control character in a string", .text)
        default: position += 1
        }
      }
      throw error("a string without end", .text)
    }

    mutating func escapedString(from start: Int) throws(JSONError) -> String {
      var text = Array(bytes[start..<position])
      while position < bytes.count {
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
        case UInt8(ascii: "\\"):
          guard let escape = peek else { throw error("a string without end", .text) }
          position += 1
          switch escape {
          case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escape)
          case UInt8(ascii: "b"): text.append(8)
          case UInt8(ascii: "f"): text.append(12)
          case UInt8(ascii: "n"): text.append(10)
          case UInt8(ascii: "r"): text.append(13)
          case UInt8(ascii: "t"): text.append(9)
          case UInt8(ascii: "u"): text.append(contentsOf: Array(String(Character(try scalar())).utf8))
          default: throw error("an unknown escape in a string")
          }
        case 0..<0x20: throw error("a control character in a string", .text)
        default: text.append(byte)
        }
      }
      throw error("a string without end", .text)
    }

    mutating func scalar() throws(JSONError) -> Unicode.Scalar {
      let first = try hex4()
      guard (0xD800...0xDFFF).contains(first) else { return Unicode.Scalar(first) ?? "\u{FFFD}" }
      guard first < 0xDC00, position + 1 < bytes.count, bytes[position] == UInt8(ascii: "\\"),
        bytes[position + 1] == UInt8(ascii: "u")
      else { return "\u{FFFD}" }
      let mark = position
      position += 2
      let second = try hex4()
      guard (0xDC00...0xDFFF).contains(second) else {
        position = mark
        return "\u{FFFD}"
      }
      return Unicode.Scalar(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)) ?? "\u{FFFD}"
    }

    mutating func hex4() throws(JSONError) -> UInt32 {
      guard position + 4 <= bytes.count else { throw error("a string without end", .text) }
      var value: UInt32 = 0
      for _ in 0..<4 {
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - 0x30)
        case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - 0x61 + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - 0x41 + 10)
        default: throw error("four hexadecimal digits must follow \\u")
        }
      }
      return value
    }

    mutating func number() throws(JSONError) -> JSON {
      let start = position
      var isInteger = true
      if peek == UInt8(ascii: "-") { position += 1 }
      let digits = position
      skipDigits()
      guard position > digits else { throw error("unexpected character", .value) }
      guard bytes[digits] != UInt8(ascii: "0") || position == digits + 1 else {
        throw error("a number with a leading zero")
      }
      if peek == UInt8(ascii: ".") {
        isInteger = false
        position += 1
        let fraction = position
        skipDigits()
        guard position > fraction else { throw error("a number without digits after '.'") }
      }
      if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
        isInteger = false
        position += 1
        if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
        let exponent = position
        skipDigits()
        guard position > exponent else { throw error("a number without digits in its exponent") }
      }
      let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
      if isInteger, let value = Int64(text) { return .int(value) }
      guard let value = Double(text), value.isFinite else { throw error("the number \(text) is out of range") }
      return .double(value)
    }

    mutating func skipDigits() {
      while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
    }
  }
}

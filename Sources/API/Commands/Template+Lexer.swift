extension Template {
  /// The parts of a template: text, and the words of its actions.
  enum Token: Equatable {
    case text(String)
    case open
    case close
    case field(String)
    case variable(String)
    case identifier(String)
    case string(String)
    case number(String)
    case character(Int64)
    case dot
    case pipe
    case declare
    case assign
    case comma
    case leftParenthesis
    case rightParenthesis
    case space
  }

  struct Lexer {
    private let bytes: [UInt8]
    private let name: String
    private var position = 0
    private(set) var tokens: [(token: Token, offset: Int)] = []

    init(_ source: String, name: String) throws {
      bytes = Array(source.utf8)
      self.name = name
      try run()
    }

    private func fail(_ message: String) -> TemplateError {
      let line = bytes.prefix(position).count { $0 == 10 } + 1
      return TemplateError(description: "template: \(name):\(line): \(message)")
    }

    private func starts(_ text: StaticString, at index: Int) -> Bool {
      let length = text.utf8CodeUnitCount
      guard index + length <= bytes.count else { return false }
      for offset in 0..<length where bytes[index + offset] != text.utf8Start[offset] { return false }
      return true
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 9 || byte == 10 || byte == 13 }
    private static func isWord(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
        || byte >= 0x80
    }

    private mutating func run() throws {
      var trimNext = false
      while position < bytes.count {
        let start = position
        while position < bytes.count, !starts("{{", at: position) { position += 1 }
        var text = bytes[start..<position]
        if trimNext { text = text.drop(while: Lexer.isSpace) }
        trimNext = false
        if position < bytes.count, starts("{{-", at: position), position + 3 < bytes.count,
          Lexer.isSpace(bytes[position + 3])
        {
          while let last = text.last, Lexer.isSpace(last) { text.removeLast() }
        }
        if !text.isEmpty { tokens.append((.text(String(decoding: text, as: UTF8.self)), start)) }
        guard position < bytes.count else { return }
        trimNext = try action()
      }
    }

    /// One `{{…}}`; answers whether the text after it is to be trimmed.
    private mutating func action() throws -> Bool {
      tokens.append((.open, position))
      position += 2
      if starts("-", at: position), position + 1 < bytes.count, Lexer.isSpace(bytes[position + 1]) { position += 2 }
      if starts("/*", at: position) {
        while position < bytes.count, !starts("*/", at: position) { position += 1 }
        guard position < bytes.count else { throw fail("unclosed comment") }
        position += 2
        while position < bytes.count, Lexer.isSpace(bytes[position]) { position += 1 }
        let trims = starts("-}}", at: position)
        guard trims || starts("}}", at: position) else { throw fail("comment ends before closing delimiter") }
        position += trims ? 3 : 2
        tokens.removeLast()
        return trims
      }
      while true {
        guard position < bytes.count else { throw fail("unclosed action") }
        if starts("}}", at: position) {
          tokens.append((.close, position))
          position += 2
          return false
        }
        let byte = bytes[position]
        if Lexer.isSpace(byte) {
          let start = position
          while position < bytes.count, Lexer.isSpace(bytes[position]) { position += 1 }
          if starts("-}}", at: position) {
            tokens.append((.close, position))
            position += 3
            return true
          }
          tokens.append((.space, start))
          continue
        }
        try word(byte)
      }
    }

    private mutating func word(_ byte: UInt8) throws {
      let start = position
      func add(_ token: Token, _ length: Int, _ lexer: inout Lexer) {
        lexer.tokens.append((token, start))
        lexer.position += length
      }
      switch byte {
      case UInt8(ascii: "|"): add(.pipe, 1, &self)
      case UInt8(ascii: "("): add(.leftParenthesis, 1, &self)
      case UInt8(ascii: ")"): add(.rightParenthesis, 1, &self)
      case UInt8(ascii: ","): add(.comma, 1, &self)
      case UInt8(ascii: "="): add(.assign, 1, &self)
      case UInt8(ascii: ":") where starts(":=", at: position): add(.declare, 2, &self)
      case UInt8(ascii: "\""): try quoted(start)
      case UInt8(ascii: "`"):
        position += 1
        while position < bytes.count, bytes[position] != UInt8(ascii: "`") { position += 1 }
        guard position < bytes.count else { throw fail("unterminated raw quoted string") }
        tokens.append((.string(String(decoding: bytes[(start + 1)..<position], as: UTF8.self)), start))
        position += 1
      case UInt8(ascii: "'"):
        guard position + 2 < bytes.count, bytes[position + 2] == UInt8(ascii: "'") else {
          throw fail("unterminated character constant")
        }
        add(.character(Int64(bytes[position + 1])), 3, &self)
      case UInt8(ascii: "."):
        position += 1
        let name = takeWord()
        if let first = name.utf8.first, (0x30...0x39).contains(first) {
          tokens.append((.number("." + name), start))
        } else {
          tokens.append((name.isEmpty ? .dot : .field(name), start))
        }
      case UInt8(ascii: "$"):
        position += 1
        tokens.append((.variable("$" + takeWord()), start))
      case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        position += 1
        while position < bytes.count, Lexer.isWord(bytes[position]) || bytes[position] == UInt8(ascii: ".") {
          position += 1
        }
        tokens.append((.number(String(decoding: bytes[start..<position], as: UTF8.self)), start))
      case _ where Lexer.isWord(byte): tokens.append((.identifier(takeWord()), start))
      default: throw fail("unexpected \(GoText.quote(String(decoding: [byte], as: UTF8.self))) in command")
      }
    }

    private mutating func takeWord() -> String {
      let start = position
      while position < bytes.count, Lexer.isWord(bytes[position]) { position += 1 }
      return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private mutating func quoted(_ start: Int) throws {
      var text: [UInt8] = []
      position += 1
      while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
        guard bytes[position] != 10 else { throw fail("unterminated quoted string") }
        if bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count {
          position += 1
          switch bytes[position] {
          case UInt8(ascii: "n"): text.append(10)
          case UInt8(ascii: "t"): text.append(9)
          case UInt8(ascii: "r"): text.append(13)
          case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "'"): text.append(bytes[position])
          default: throw fail("invalid syntax")
          }
        } else {
          text.append(bytes[position])
        }
        position += 1
      }
      guard position < bytes.count else { throw fail("unterminated quoted string") }
      position += 1
      tokens.append((.string(String(decoding: text, as: UTF8.self)), start))
    }
  }
}

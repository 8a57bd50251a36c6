/// TOML 1.0 as far as configuration files need it: everything but dates and times. Duplicates and whatever isn't TOML are refused, with
/// the line.
///
/// Our own, since the order of a file's hosts decides who is asked first (hosts.toml), and an error about a value names its line: TOMLKit
/// sorts a table's keys and keeps no places.
struct TOML {
  indirect enum Value {
    case string(String)
    case integer(Int64)
    case float(Double)
    case boolean(Bool)
    case array([Value])
    case table(Table)

    var kind: String {
      switch self {
      case .string: "a string"
      case .integer: "an integer"
      case .float: "a number"
      case .boolean: "true or false"
      case .array: "a list"
      case .table: "a table"
      }
    }
  }

  /// Members in the order of the file. Built by the parser alone; nothing changes it afterwards.
  final class Table {
    let line: Int
    private(set) var keys: [String] = []
    private var members: [String: (value: Value, line: Int)] = [:]
    /// By a header of its own, or inline: neither may come twice.
    fileprivate var isDefined = false
    fileprivate var isClosed = false

    init(line: Int) { self.line = line }

    subscript(_ key: String) -> Value? { members[key]?.value }
    func line(of key: String) -> Int { members[key]?.line ?? line }

    fileprivate func set(_ key: String, _ value: Value, line: Int) {
      if members.updateValue((value, line), forKey: key) == nil { keys.append(key) }
    }

    // MARK: what a reader expects

    /// Refuses what isn't among `known`: a misspelt rule mustn't count as none.
    func allow(_ known: Set<String>, in what: String) throws(TOMLError) {
      for key in keys where !known.contains(key) {
        throw TOMLError(line: line(of: key), "\(what) has no \"\(key)\"")
      }
    }

    func string(_ key: String) throws(TOMLError) -> String? {
      switch self[key] {
      case nil: return nil
      case .string(let text)?: return text
      case let other?: throw unexpected(key, other, "a string")
      }
    }

    func bool(_ key: String) throws(TOMLError) -> Bool? {
      switch self[key] {
      case nil: return nil
      case .boolean(let value)?: return value
      case let other?: throw unexpected(key, other, "true or false")
      }
    }

    /// A list of strings; `orOne`: or one alone.
    func strings(_ key: String, orOne: Bool = false) throws(TOMLError) -> [String]? {
      switch self[key] {
      case nil: return nil
      case .string(let text)? where orOne: return [text]
      case .array(let values)?:
        var strings: [String] = []
        for value in values {
          guard case .string(let text) = value else { throw unexpected(key, value, "a list of strings") }
          strings.append(text)
        }
        return strings
      case let other?: throw unexpected(key, other, "a list of strings")
      }
    }

    func table(_ key: String) throws(TOMLError) -> Table? {
      switch self[key] {
      case nil: return nil
      case .table(let table)?: return table
      case let other?: throw unexpected(key, other, "a table")
      }
    }

    func tables(_ key: String) throws(TOMLError) -> [Table] {
      switch self[key] {
      case nil: return []
      case .array(let values)?:
        var tables: [Table] = []
        for value in values {
          guard case .table(let table) = value else { throw unexpected(key, value, "a list of tables") }
          tables.append(table)
        }
        return tables
      case let other?: throw unexpected(key, other, "a list of tables")
      }
    }

    func unexpected(_ key: String, _ value: Value, _ wanted: String) -> TOMLError {
      TOMLError(line: line(of: key), "\(key) is \(value.kind), not \(wanted)")
    }
  }

  static func parse(_ bytes: [UInt8]) throws(TOMLError) -> Table {
    guard let text = String(validating: bytes, as: UTF8.self) else { throw TOMLError(line: 1, "it isn't UTF-8") }
    var parser = TOMLParser(text)
    return try parser.document()
  }
}

struct TOMLError: Error, Sendable, Equatable, CustomStringConvertible {
  let line: Int
  let reason: String

  init(line: Int, _ reason: String) {
    self.line = line
    self.reason = reason
  }

  var description: String { "line \(line): \(reason)" }
}

private struct TOMLParser {
  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var line = 1
  private var depth = 0

  init(_ text: String) { scalars = Array(text.unicodeScalars) }

  mutating func document() throws(TOMLError) -> TOML.Table {
    let root = TOML.Table(line: 1)
    var current = root
    while true {
      try skipLines()
      guard let next = peek else { return root }
      if next == "[" {
        current = try header(root)
      } else {
        try member(of: current)
      }
      try endOfLine()
    }
  }

  // MARK: structure

  /// `[a.b]` or `[[a.b]]`
  private mutating func header(_ root: TOML.Table) throws(TOMLError) -> TOML.Table {
    let start = line
    advance()
    let isList = peek == "["
    if isList { advance() }
    let path = try key()
    for _ in 0..<(isList ? 2 : 1) {
      guard peek == "]" else { throw fail("a table's header ends with \(isList ? "]]" : "]")") }
      advance()
    }
    let parent = try descend(root, path.dropLast(), isHeader: true)
    guard let name = path.last else { throw fail("a table has a name") }
    if isList {
      let table = TOML.Table(line: start)
      switch parent[name] {
      case nil: parent.set(name, .array([.table(table)]), line: start)
      case .array(let values)? where Self.isTables(values):
        parent.set(name, .array(values + [.table(table)]), line: parent.line(of: name))
      default: throw TOMLError(line: start, "\"\(name)\" is there already and isn't a list of tables")
      }
      return table
    }
    let table = try descend(parent, [name], isHeader: true)
    guard !table.isDefined, !table.isClosed else {
      throw TOMLError(line: start, "the table \"\(name)\" is there twice")
    }
    table.isDefined = true
    return table
  }

  private static func isTables(_ values: [TOML.Value]) -> Bool {
    if case .table? = values.first { return true }
    return false
  }

  /// The table at a path, made where it is missing; of a list of tables, its last.
  private func descend(_ table: TOML.Table, _ path: some Sequence<String>, isHeader: Bool) throws(TOMLError)
    -> TOML.Table
  {
    var table = table
    for name in path {
      switch table[name] {
      case nil:
        let made = TOML.Table(line: line)
        table.set(name, .table(made), line: line)
        table = made
      case .table(let next)? where !next.isClosed: table = next
      case .array(let values)? where isHeader:
        guard case .table(let next)? = values.last, !next.isClosed else { throw fail("\"\(name)\" isn't a table") }
        table = next
      default: throw fail("\"\(name)\" isn't a table that can be added to")
      }
    }
    return table
  }

  /// `a.b = value`
  private mutating func member(of table: TOML.Table) throws(TOMLError) {
    let start = line
    let path = try key()
    guard peek == "=" else { throw fail("a key is followed by =") }
    advance()
    skipSpace()
    let value = try value()
    let parent = try descend(table, path.dropLast(), isHeader: false)
    guard let name = path.last, parent[name] == nil else {
      throw TOMLError(line: start, "\"\(path.joined(separator: "."))\" is there twice")
    }
    parent.set(name, value, line: start)
  }

  private mutating func key() throws(TOMLError) -> [String] {
    var path: [String] = []
    while true {
      skipSpace()
      switch peek {
      case "\""?: path.append(try basicString())
      case "'"?: path.append(try literalString())
      default:
        var name = ""
        while let next = peek, next.isASCII,
          next.properties.isAlphabetic || ("0"..."9").contains(next) || "-_".unicodeScalars.contains(next)
        {
          name.unicodeScalars.append(next)
          advance()
        }
        guard !name.isEmpty else { throw fail("a key was expected") }
        path.append(name)
      }
      skipSpace()
      guard peek == "." else { return path }
      advance()
    }
  }

  // MARK: values

  private mutating func value() throws(TOMLError) -> TOML.Value {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 32 else { throw fail("values are nested too deep") }
    switch peek {
    case "\""?: return .string(starts(with: "\"\"\"") ? try longString("\"") : try basicString())
    case "'"?: return .string(starts(with: "'''") ? try longString("'") : try literalString())
    case "["?: return try array()
    case "{"?: return try inlineTable()
    default: return try word()
    }
  }

  private mutating func array() throws(TOMLError) -> TOML.Value {
    advance()
    var values: [TOML.Value] = []
    while true {
      try skipLines()
      if peek == "]" { break }
      values.append(try value())
      try skipLines()
      if peek == "," { advance() } else if peek != "]" { throw fail("a list's values are separated by commas") }
    }
    advance()
    return .array(values)
  }

  private mutating func inlineTable() throws(TOMLError) -> TOML.Value {
    let table = TOML.Table(line: line)
    advance()
    skipSpace()
    if peek != "}" {
      while true {
        try member(of: table)
        skipSpace()
        if peek == "}" { break }
        guard peek == "," else { throw fail("an inline table ends on its line with }") }
        advance()
      }
    }
    advance()
    table.isClosed = true
    return .table(table)
  }

  /// `true`, `false`, numbers.
  private mutating func word() throws(TOMLError) -> TOML.Value {
    var text = ""
    while let next = peek, !" \t\r\n,]}#".unicodeScalars.contains(next) {
      text.unicodeScalars.append(next)
      advance()
    }
    if text == "true" { return .boolean(true) }
    if text == "false" { return .boolean(false) }
    guard let first = text.utf8.first, first == 0x2B || first == 0x2D || (0x30...0x39).contains(first),
      !text.hasPrefix("_"), !text.hasSuffix("_"), !text.contains("__")
    else { throw fail(text.isEmpty ? "a value was expected" : "\"\(text)\" isn't a value: strings have quotes") }
    let digits = text.filter { $0 != "_" }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.hasPrefix(prefix) {
      guard let number = Int64(digits.dropFirst(2), radix: radix) else { throw fail("\"\(text)\" isn't a number") }
      return .integer(number)
    }
    if let number = Int64(digits) { return .integer(number) }
    if digits.contains(where: { ".eE".contains($0) }), let number = Double(digits) { return .float(number) }
    throw fail("\"\(text)\" isn't a number, and dates aren't known")
  }

  private mutating func literalString() throws(TOMLError) -> String {
    advance()
    var text = ""
    while let next = peek, next != "\n" {
      advance()
      if next == "'" { return text }
      try check(next)
      text.unicodeScalars.append(next)
    }
    throw fail("a string isn't closed")
  }

  private mutating func basicString() throws(TOMLError) -> String {
    advance()
    var text = ""
    while let next = peek, next != "\n" {
      advance()
      if next == "\"" { return text }
      if next == "\\" {
        text.unicodeScalars.append(try escape())
      } else {
        try check(next)
        text.unicodeScalars.append(next)
      }
    }
    throw fail("a string isn't closed")
  }

  /// Of three quotes; the line feed after them isn't part of it.
  private mutating func longString(_ quote: Unicode.Scalar) throws(TOMLError) -> String {
    for _ in 0..<3 { advance() }
    if peek == "\r" { advance() }
    if peek == "\n" { advance() }
    var text = ""
    while let next = peek {
      if next == quote, starts(with: String(repeating: String(quote), count: 3)) {
        for _ in 0..<3 { advance() }
        // Up to two quotes may stand before the three.
        for _ in 0..<2 where peek == quote {
          text.unicodeScalars.append(quote)
          advance()
        }
        return text
      }
      advance()
      if next == "\\", quote == "\"" {
        // A backslash at the end of a line takes away what is white up to the next word.
        if let white = peek, " \t\r\n".unicodeScalars.contains(white) {
          while let white = peek, " \t\r\n".unicodeScalars.contains(white) { advance() }
        } else {
          text.unicodeScalars.append(try escape())
        }
      } else {
        if next != "\n", next != "\r" { try check(next) }
        text.unicodeScalars.append(next)
      }
    }
    throw fail("a string isn't closed")
  }

  private mutating func escape() throws(TOMLError) -> Unicode.Scalar {
    guard let next = peek else { throw fail("a string isn't closed") }
    advance()
    switch next {
    case "b": return "\u{8}"
    case "t": return "\t"
    case "n": return "\n"
    case "f": return "\u{c}"
    case "r": return "\r"
    case "\"", "\\": return next
    case "u", "U":
      var digits = ""
      for _ in 0..<(next == "u" ? 4 : 8) {
        guard let digit = peek else { break }
        digits.unicodeScalars.append(digit)
        advance()
      }
      guard digits.count == (next == "u" ? 4 : 8), let value = UInt32(digits, radix: 16),
        let scalar = Unicode.Scalar(value)
      else { throw fail("\"\\\(next)\(digits)\" isn't a character") }
      return scalar
    default: throw fail("\"\\\(next)\" isn't an escape")
    }
  }

  private func check(_ scalar: Unicode.Scalar) throws(TOMLError) {
    if scalar.value < 0x20 && scalar != "\t" || scalar.value == 0x7F {
      throw fail("a string holds a control character")
    }
  }

  // MARK: characters

  private var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  private func starts(with text: String) -> Bool { scalars[position...].starts(with: text.unicodeScalars) }

  private mutating func advance() {
    if peek == "\n" { line += 1 }
    if position < scalars.count { position += 1 }
  }

  private mutating func skipSpace() { while peek == " " || peek == "\t" { advance() } }

  private mutating func skipComment() throws(TOMLError) {
    guard peek == "#" else { return }
    while let next = peek, next != "\n" {
      if next != "\r" { try check(next) }
      advance()
    }
  }

  private mutating func skipLines() throws(TOMLError) {
    while true {
      skipSpace()
      try skipComment()
      guard peek == "\n" || peek == "\r" else { return }
      advance()
    }
  }

  private mutating func endOfLine() throws(TOMLError) {
    skipSpace()
    try skipComment()
    if peek == "\r" { advance() }
    guard peek == nil || peek == "\n" else { throw fail("something follows the end of a line's value") }
  }

  private func fail(_ reason: String) -> TOMLError { TOMLError(line: line, reason) }
}

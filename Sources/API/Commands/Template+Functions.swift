import OCI

extension Template {
  /// Go's own functions and docker's.
  enum Functions {
    static let names: Set<String> = [
      "and", "eq", "ge", "gt", "html", "index", "join", "js", "json", "le", "len", "lower", "lt", "ne", "not", "or",
      "pad", "print",
      "printf", "println", "slice", "split", "title", "truncate", "upper", "urlquery",
    ]

    struct Failure: Error {
      let message: String
      /// The call itself is wrong, not what it computed.
      var isUsage = false
    }

    /// For the titles of columns: the text stays, but `pad` keeps its place.
    static func title(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
      switch name {
      case "json", "split", "join", "title", "lower", "upper", "truncate": arguments.first ?? .missing
      default: try call(name, arguments)
      }
    }

    private static func wrongCount(_ name: String, _ want: String, _ got: Int) -> Failure {
      Failure(message: "wrong number of args for \(name): want \(want) got \(got)", isUsage: true)
    }

    static func call(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
      func need(_ count: Int) throws(Failure) {
        guard arguments.count == count else { throw wrongCount(name, "\(count)", arguments.count) }
      }
      switch name {
      case "not":
        try need(1)
        return .bool(!arguments[0].isTrue)
      case "len":
        try need(1)
        guard let count = arguments[0].count else { throw Failure(message: "len of type \(typeName(arguments[0]))") }
        return .int(Int64(count))
      case "index": return try index(arguments)
      case "slice": return try slice(arguments)
      case "print": return .string(spaced(arguments, always: false))
      case "println": return .string(spaced(arguments, always: true) + "\n")
      case "printf": return .string(try format(arguments))
      case "html", "js", "urlquery": return .string(escape(name, spaced(arguments, always: false)))
      case "eq", "ne", "lt", "le", "gt", "ge": return try compare(name, arguments)
      case "json":
        try need(1)
        // A row writes itself, with `<`, `>` and `&` escaped; other values are written without.
        if case .record(let record) = arguments[0] { return .string(record.json.text) }
        return .string(GoJSON.text(arguments[0].json))
      case "lower", "upper", "title":
        try need(1)
        let text = try string(name, arguments[0])
        return .string(name == "lower" ? text.lowercased() : name == "upper" ? text.uppercased() : GoText.title(text))
      case "split":
        try need(2)
        return .list(split(try string(name, arguments[0]), try string(name, arguments[1])).map { .string($0) })
      case "join":
        try need(2)
        guard let elements = arguments[0].elements else {
          throw Failure(
            message: "wrong type for value; expected []string; got \(typeName(arguments[0]))", isUsage: true)
        }
        return .string(elements.map { $0.value.plain }.joined(separator: try string(name, arguments[1])))
      case "pad":
        try need(3)
        let text = try string(name, arguments[0])
        let (before, after) = (try int(arguments[1]), try int(arguments[2]))
        guard !text.isEmpty else { return .string("") }
        return .string(
          String(repeating: " ", count: min(before, 1000)) + text + String(repeating: " ", count: min(after, 1000)))
      case "truncate":
        try need(2)
        return .string(
          String(decoding: Array(try string(name, arguments[0]).utf8.prefix(try int(arguments[1]))), as: UTF8.self))
      default: throw Failure(message: "\"\(name)\" is not a defined function", isUsage: true)
      }
    }

    static func typeName(_ value: TemplateValue) -> String {
      switch value {
      case .missing, .null, .json(.null, _): "<nil>"
      case .bool: "bool"
      case .int: "int"
      case .double: "float64"
      case .string: "string"
      case .list, .json(.array, _): "[]interface {}"
      case .json: "map[string]interface {}"
      case .record(let record): record.typeName
      }
    }

    private static func string(_ name: String, _ value: TemplateValue) throws(Failure) -> String {
      if case .string(let text) = value { return text }
      throw Failure(message: "wrong type for value; expected string; got \(typeName(value))", isUsage: true)
    }

    private static func int(_ value: TemplateValue) throws(Failure) -> Int {
      guard case .int(let number) = value, let count = Int(exactly: number), count >= 0 else {
        throw Failure(message: "expected integer; got \(value.plain)", isUsage: true)
      }
      return count
    }

    private static func split(_ text: String, _ separator: String) -> [String] {
      guard !separator.isEmpty else { return text.map { String($0) } }
      var parts: [String] = []
      var part: [UInt8] = []
      let bytes = Array(text.utf8)
      let mark = Array(separator.utf8)
      var index = 0
      while index < bytes.count {
        if bytes[index...].starts(with: mark) {
          parts.append(String(decoding: part, as: UTF8.self))
          part = []
          index += mark.count
        } else {
          part.append(bytes[index])
          index += 1
        }
      }
      return parts + [String(decoding: part, as: UTF8.self)]
    }

    /// fmt.Sprint puts spaces between operands when neither is a string, Sprintln always.
    private static func spaced(_ arguments: [TemplateValue], always: Bool) -> String {
      var output = ""
      var previousIsString = true
      for (position, argument) in arguments.enumerated() {
        let isString = if case .string = argument { true } else { false }
        if position > 0 && (always || !(isString || previousIsString)) { output += " " }
        output += argument.plain
        previousIsString = isString
      }
      return output
    }

    private static func index(_ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
      guard var value = arguments.first else { throw wrongCount("index", "at least 1", 0) }
      for key in arguments.dropFirst() {
        switch (value, key) {
        case (.json(.object(let object), let name), .string(let key)):
          value = object[key].map { TemplateValue($0, name: GoFields.element(of: name)) } ?? .string("")
        case (.json(.null, let name), .string) where GoFields.isMap(name): value = .string("")
        case (.json(.array, _), .int(let position)), (.list, .int(let position)):
          let elements = value.elements ?? []
          guard let offset = Int(exactly: position), elements.indices.contains(offset) else {
            throw Failure(message: "reflect: slice index out of range".isEmpty ? "" : "index out of range: \(position)")
          }
          value = elements[offset].value
        case (.string(let text), .int(let position)):
          let bytes = Array(text.utf8)
          guard let offset = Int(exactly: position), bytes.indices.contains(offset) else {
            throw Failure(message: "index out of range: \(position)")
          }
          value = .int(Int64(bytes[offset]))
        case (.missing, _), (.null, _), (.json(.null, _), _): throw Failure(message: "index of nil pointer")
        default: throw Failure(message: "can't index item of type \(typeName(value))")
        }
      }
      return value
    }

    private static func slice(_ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
      guard let value = arguments.first, arguments.count <= 3 else {
        throw wrongCount("slice", "1 to 3", arguments.count)
      }
      guard let count = value.count else { throw Failure(message: "can't slice item of type \(typeName(value))") }
      let low = arguments.count > 1 ? try int(arguments[1]) : 0
      let high = arguments.count > 2 ? try int(arguments[2]) : count
      guard low <= high, high <= count else { throw Failure(message: "index out of range: \(max(low, high))") }
      if case .string(let text) = value {
        return .string(String(decoding: Array(text.utf8)[low..<high], as: UTF8.self))
      }
      return .list((value.elements ?? [])[low..<high].map(\.value))
    }

    private static func compare(_ name: String, _ arguments: [TemplateValue]) throws(Failure) -> TemplateValue {
      guard arguments.count >= 2, name == "eq" || arguments.count == 2 else {
        throw wrongCount(name, name == "eq" ? "at least 1" : "2", arguments.count)
      }
      if name == "eq" || name == "ne" {
        var equal = false
        for other in arguments.dropFirst() where try isEqual(arguments[0], other) {
          equal = true
          break
        }
        return .bool(equal == (name == "eq"))
      }
      let less: Bool
      switch (arguments[0], arguments[1]) {
      case (.int(let a), .int(let b)): less = name == "lt" || name == "ge" ? a < b : a <= b
      case (.double(let a), .double(let b)): less = name == "lt" || name == "ge" ? a < b : a <= b
      case (.int(let a), .double(let b)): less = name == "lt" || name == "ge" ? Double(a) < b : Double(a) <= b
      case (.double(let a), .int(let b)): less = name == "lt" || name == "ge" ? a < Double(b) : a <= Double(b)
      case (.string(let a), .string(let b)): less = name == "lt" || name == "ge" ? a < b : a <= b
      default: throw Failure(message: "incompatible types for comparison")
      }
      return .bool(name == "lt" || name == "le" ? less : !less)
    }

    private static func isEqual(_ a: TemplateValue, _ b: TemplateValue) throws(Failure) -> Bool {
      switch (a, b) {
      case (.bool(let a), .bool(let b)): return a == b
      case (.int(let a), .int(let b)): return a == b
      case (.string(let a), .string(let b)): return a == b
      case (.double(let a), .double(let b)): return a == b
      case (.int(let a), .double(let b)): return Double(a) == b
      case (.double(let a), .int(let b)): return a == Double(b)
      case (.missing, .missing), (.null, .null), (.missing, .null), (.null, .missing): return true
      case (.json(.null, _), .null), (.null, .json(.null, _)), (.json(.null, _), .json(.null, _)): return true
      case (.missing, _), (.null, _), (_, .missing), (_, .null): return false
      case (.json, _), (.list, _), (.record, _): throw Failure(message: "non-comparable type \(typeName(a))")
      default: throw Failure(message: "incompatible types for comparison")
      }
    }

    private static func escape(_ name: String, _ text: String) -> String {
      var output: [UInt8] = []
      let hex = Array("0123456789ABCDEF".utf8)
      for byte in text.utf8 {
        switch (name, byte) {
        case ("html", UInt8(ascii: "<")): output += "&lt;".utf8
        case ("html", UInt8(ascii: ">")): output += "&gt;".utf8
        case ("html", UInt8(ascii: "&")): output += "&amp;".utf8
        case ("html", UInt8(ascii: "\"")): output += "&#34;".utf8
        case ("html", UInt8(ascii: "'")): output += "&#39;".utf8
        case ("js", UInt8(ascii: "'")): output += "\\'".utf8
        case ("js", UInt8(ascii: "\"")): output += "\\\"".utf8
        case ("js", UInt8(ascii: "\\")): output += "\\\\".utf8
        case ("js", UInt8(ascii: "<")), ("js", UInt8(ascii: ">")), ("js", UInt8(ascii: "&")), ("js", UInt8(ascii: "=")):
          output += "\\u00".utf8 + [hex[Int(byte >> 4)], hex[Int(byte & 15)]]
        case ("js", 10): output += "\\n".utf8
        case ("urlquery", 0x20): output.append(UInt8(ascii: "+"))
        case ("urlquery", UInt8(ascii: "a")...UInt8(ascii: "z")), ("urlquery", UInt8(ascii: "A")...UInt8(ascii: "Z")),
          ("urlquery", UInt8(ascii: "0")...UInt8(ascii: "9")), ("urlquery", UInt8(ascii: "-")),
          ("urlquery", UInt8(ascii: ".")),
          ("urlquery", UInt8(ascii: "_")), ("urlquery", UInt8(ascii: "~")):
          output.append(byte)
        case ("urlquery", _): output += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
        default: output.append(byte)
        }
      }
      return String(decoding: output, as: UTF8.self)
    }

    /// printf with `%[-][0][width][.precision]verb` for v, s, d, q, t, x, f, g and %%.
    private static func format(_ arguments: [TemplateValue]) throws(Failure) -> String {
      guard let first = arguments.first else { throw wrongCount("printf", "at least 1", 0) }
      var values = arguments.dropFirst()
      var output = ""
      var rest = try string("printf", first)[...]
      while let character = rest.popFirst() {
        guard character == "%" else {
          output.append(character)
          continue
        }
        let flags = rest.prefix { "+-# 0".contains($0) }
        rest = rest.dropFirst(flags.count)
        let width = rest.prefix { $0.isASCII && $0.isNumber }
        rest = rest.dropFirst(width.count)
        var precision: Int?
        if rest.first == "." {
          rest.removeFirst()
          let digits = rest.prefix { $0.isASCII && $0.isNumber }
          rest = rest.dropFirst(digits.count)
          precision = Int(digits) ?? 0
        }
        guard let verb = rest.popFirst() else {
          output += "%!(NOVERB)"
          break
        }
        if verb == "%" {
          output += "%"
          continue
        }
        guard let value = values.popFirst() else {
          output += "%!\(verb)(MISSING)"
          continue
        }
        let text = render(verb, value, precision.map { min($0, 300) })
        let gap = max(0, min(Int(width) ?? 0, 1000) - text.count)
        if flags.contains("-") {
          output += text + String(repeating: " ", count: gap)
        } else {
          output += String(repeating: flags.contains("0") && "dfgx".contains(verb) ? "0" : " ", count: gap) + text
        }
      }
      if !values.isEmpty {
        output += "%!(EXTRA " + values.map { "\(typeName($0))=\($0.plain)" }.joined(separator: ", ") + ")"
      }
      return output
    }

    private static func render(_ verb: Character, _ value: TemplateValue, _ precision: Int?) -> String {
      switch (verb, value) {
      case ("v", _): value.plain
      case ("s", .string(let text)): precision.map { String(text.prefix($0)) } ?? text
      case ("s", .json), ("s", .list): value.plain
      case ("q", .string(let text)): GoText.quote(text)
      case ("d", .int(let number)): String(number)
      case ("x", .int(let number)): String(number, radix: 16)
      case ("x", .string(let text)):
        text.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      case ("t", .bool): value.plain
      case ("f", .double(let number)): GoNumber.fixed(number, digits: precision ?? 6)
      case ("g", .double(let number)): precision.map { GoNumber.general(number, precision: $0) } ?? value.plain
      default: "%!\(verb)(\(typeName(value))=\(value.plain))"
      }
    }
  }
}

extension Template {
  struct Parser {
    private let source: [UInt8]
    private let name: String
    private let tokens: [(token: Token, offset: Int)]
    private var index = 0
    private var depth = 0
    private var variables: [[String]] = [["$"]]
    private var loops = 0

    init(_ source: String, name: String) throws {
      self.source = Array(source.utf8)
      self.name = name
      tokens = try Lexer(source, name: name).tokens
    }

    mutating func parse() throws -> [Node] {
      let (nodes, end) = try list()
      if let end { throw fail("unexpected {{\(end)}}") }
      return nodes
    }

    private func fail(_ message: String) -> TemplateError {
      let offset = index < tokens.count ? tokens[index].offset : source.count
      let line = source.prefix(offset).count { $0 == 10 } + 1
      return TemplateError(description: "template: \(name):\(line): \(message)")
    }

    private var peek: Token? { index < tokens.count ? tokens[index].token : nil }

    private mutating func skipSpace() { while peek == .space { index += 1 } }

    /// Nodes up to the end or to `{{end}}` or `{{else…`, which is answered and left unread after its word.
    private mutating func list() throws -> ([Node], end: String?) {
      var nodes: [Node] = []
      while let token = peek {
        if case .text(let text) = token {
          nodes.append(.text(text))
          index += 1
          continue
        }
        index += 1  // {{
        skipSpace()
        if case .identifier(let word)? = peek {
          switch word {
          case "end":
            index += 1
            try close("end")
            return (nodes, "end")
          case "else":
            index += 1
            return (nodes, "else")
          case "if", "with", "range":
            index += 1
            nodes.append(try control(word))
            continue
          case "break", "continue":
            guard loops > 0 else { throw fail("{{\(word)}} outside {{range}}") }
            index += 1
            try close(word)
            nodes.append(word == "break" ? .leave : .proceed)
            continue
          case "define", "template", "block": throw fail("{{\(word)}} is not supported")
          default: break
          }
        }
        let pipeline = try pipeline(until: .close, context: "command")
        nodes.append(.action(pipeline))
      }
      return (nodes, nil)
    }

    private mutating func close(_ context: String) throws {
      skipSpace()
      guard peek == .close else { throw fail("unexpected \(describe()) in \(context)") }
      index += 1
    }

    private mutating func control(_ word: String) throws -> Node {
      depth += 1
      guard depth < 200 else { throw fail("templates are nested too deep") }
      defer { depth -= 1 }
      variables.append([])
      defer { variables.removeLast() }
      let pipeline = try pipeline(until: .close, context: word)
      if word == "range" { loops += 1 }
      let (body, end) = try list()
      if word == "range" { loops -= 1 }
      guard let end else { throw fail("unexpected EOF") }
      var other: [Node] = []
      if end == "else" {
        skipSpace()
        if case .identifier(let next)? = peek, next == word, word != "range" {
          // {{else if}} ends with the one {{end}}.
          index += 1
          other = [try control(word)]
        } else {
          try close("else")
          let (nodes, last) = try list()
          guard last == "end" else { throw fail(last == nil ? "unexpected EOF" : "expected end; found {{else}}") }
          other = nodes
        }
      }
      switch word {
      case "if": return .conditional(pipeline, body, other)
      case "with": return .with(pipeline, body, other)
      default: return .range(pipeline, body, other)
      }
    }

    private func describe() -> String {
      guard index < tokens.count else { return "EOF" }
      let start = tokens[index].offset
      let end = index + 1 < tokens.count ? tokens[index + 1].offset : source.count
      switch tokens[index].token {
      case .close: return "\"}}\""
      default: return "<\(String(decoding: source[start..<end], as: UTF8.self))>"
      }
    }

    private mutating func pipeline(until end: Token, context: String) throws -> Pipeline {
      var pipeline = Pipeline()
      skipSpace()
      pipeline.offset = index < tokens.count ? tokens[index].offset : source.count
      try declaration(&pipeline, context)
      while true {
        skipSpace()
        let command = try command(context)
        guard !command.isEmpty else {
          throw fail(pipeline.commands.isEmpty ? "missing value for \(context)" : "missing value for command")
        }
        pipeline.commands.append(command)
        skipSpace()
        if peek == .pipe {
          index += 1
          continue
        }
        guard peek == end else {
          throw fail(
            peek == nil
              ? "unclosed action" : "unexpected \(describe()) in \(context == "command" ? "operand" : context)")
        }
        index += 1
        return pipeline
      }
    }

    private mutating func declaration(_ pipeline: inout Pipeline, _ context: String) throws {
      let mark = index
      var names: [String] = []
      while case .variable(let name)? = peek {
        names.append(name)
        index += 1
        skipSpace()
        if peek == .comma, context == "range", names.count < 2 {
          index += 1
          skipSpace()
          continue
        }
        break
      }
      if !names.isEmpty, peek == .declare || peek == .assign {
        pipeline.assigns = peek == .assign
        pipeline.declared = names
        index += 1
        if !pipeline.assigns { variables[variables.count - 1] += names }
      } else {
        index = mark
      }
    }

    private mutating func command(_ context: String) throws -> [Operand] {
      var operands: [Operand] = []
      while true {
        skipSpace()
        guard let token = peek, let base = try base(token) else { return operands }
        let start = tokens[operandStart].offset
        var operand = Operand(base: base, fields: leadingFields, offset: start, text: "")
        leadingFields = []
        // Go tells the place of the first field that is chained to another.
        if case .field? = peek { operand.offset = tokens[index].offset }
        while case .field(let name)? = peek {
          operand.fields.append(name)
          index += 1
        }
        let end = index < tokens.count ? tokens[index].offset : source.count
        operand.text = String(decoding: source[start..<end], as: UTF8.self)
        operands.append(operand)
      }
    }

    private var leadingFields: [String] = []
    private var operandStart = 0

    private mutating func base(_ token: Token) throws -> Operand.Base? {
      operandStart = index
      switch token {
      case .dot:
        index += 1
        return .dot
      case .field(let name):
        index += 1
        leadingFields = [name]
        return .dot
      case .variable(let name):
        guard variables.joined().contains(name) else { throw fail("undefined variable \"\(name)\"") }
        index += 1
        return .variable(name)
      case .identifier(let name):
        index += 1
        switch name {
        case "true": return .constant(.bool(true))
        case "false": return .constant(.bool(false))
        case "nil": return .constant(.null)
        default:
          guard Functions.names.contains(name) else {
            index -= 1
            throw fail("function \"\(name)\" not defined")
          }
          return .function(name)
        }
      case .string(let text):
        index += 1
        return .constant(.string(text))
      case .character(let value):
        index += 1
        return .constant(.int(value))
      case .number(let text):
        if let value = GoNumber.int(text) {
          index += 1
          return .constant(.int(value))
        }
        guard let value = Double(text) else { throw fail("bad number syntax: \(GoText.quote(text))") }
        index += 1
        return .constant(.double(value))
      case .leftParenthesis:
        index += 1
        depth += 1
        guard depth < 200 else { throw fail("templates are nested too deep") }
        defer { depth -= 1 }
        return .pipeline(try pipeline(until: .rightParenthesis, context: "parenthesized pipeline"))
      default: return nil
      }
    }
  }
}

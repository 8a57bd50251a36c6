import OCI

/// A template in Go's language (text/template), as far as docker's users use it in `--format`: fields, maps, pipelines,
/// variables, `if`, `range`, `with`, comparison, and docker's functions. Without `define`, `template` and `block`.
struct Template {
  private let nodes: [Node]
  private let source: String
  let name: String

  /// Throws `TemplateError` with Go's text: `template: :1: unclosed action`.
  init(_ source: String, name: String = "") throws {
    self.source = source
    self.name = name
    var parser = try Parser(source, name: name)
    nodes = try parser.parse()
  }

  /// How to answer for a map's key that isn't there.
  enum MissingKey {
    /// `<no value>`
    case noValue
    /// Go's error, unless the member is one that Go's types know.
    case error
  }

  /// Runs the template. `header`: columns' titles are asked for, and functions leave them as they are.
  func execute(_ data: TemplateValue, missingKey: MissingKey = .noValue, header: Bool = false) throws -> String {
    var execution = Execution(template: self, data: data, missingKey: missingKey, header: header)
    try execution.run(nodes, dot: data)
    return execution.output
  }

  /// Whether the template mentions a field of that name anywhere, or writes the whole row.
  func uses(field: String) -> Bool { Node.mentions(nodes, field) }

  /// Where a byte of the source is, in Go's notation: `line:column`.
  func place(_ offset: Int) -> String {
    let before = Array(source.utf8.prefix(offset))
    let line = before.count { $0 == 10 } + 1
    let column = before.count - (before.lastIndex(of: 10).map { $0 + 1 } ?? 0)
    return "\(line):\(column)"
  }

  indirect enum Node {
    case text(String)
    case action(Pipeline)
    case conditional(Pipeline, [Node], [Node])
    case range(Pipeline, [Node], [Node])
    case with(Pipeline, [Node], [Node])
    case leave
    case proceed

    static func mentions(_ nodes: [Node], _ field: String) -> Bool {
      nodes.contains { node in
        switch node {
        case .text, .leave, .proceed: false
        case .action(let pipeline): pipeline.mentions(field)
        case .conditional(let pipeline, let list, let other), .range(let pipeline, let list, let other),
          .with(let pipeline, let list, let other):
          pipeline.mentions(field) || mentions(list, field) || mentions(other, field)
        }
      }
    }
  }

  struct Pipeline {
    /// `$x :=`, or `$i, $e :=` of a range.
    var declared: [String] = []
    var assigns = false
    var commands: [[Operand]] = []
    var offset = 0

    func mentions(_ field: String) -> Bool {
      commands.contains { command in
        if case .function("json")? = command.first?.base, command.dropFirst().contains(where: \.isDot) { return true }
        return command.contains { $0.mentions(field) }
      }
    }
  }

  /// One word of a command, with the fields that follow it.
  struct Operand {
    indirect enum Base {
      case dot
      case variable(String)
      case function(String)
      case constant(TemplateValue)
      case pipeline(Pipeline)
    }
    var base: Base
    var fields: [String] = []
    var offset: Int
    /// As it was written, for errors.
    var text: String

    var isDot: Bool {
      if case .dot = base { return fields.isEmpty }
      return false
    }

    func mentions(_ field: String) -> Bool {
      if fields.contains(field) { return true }
      if case .pipeline(let pipeline) = base { return pipeline.mentions(field) }
      return false
    }
  }
}

struct TemplateError: Error, CustomStringConvertible {
  let description: String
}

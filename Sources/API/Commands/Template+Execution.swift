import OCI

extension Template {
  struct Execution {
    private let template: Template
    private let data: TemplateValue
    private let missingKey: MissingKey
    private let header: Bool
    private var variables: [(name: String, value: TemplateValue)]
    private(set) var output = ""

    private enum Flow { case on, leave, proceed }

    init(template: Template, data: TemplateValue, missingKey: MissingKey, header: Bool) {
      self.template = template
      self.data = data
      self.missingKey = missingKey
      self.header = header
      variables = [("$", data)]
    }

    mutating func run(_ nodes: [Node], dot: TemplateValue) throws { _ = try walk(nodes, dot) }

    private mutating func walk(_ nodes: [Node], _ dot: TemplateValue) throws -> Flow {
      for node in nodes {
        switch node {
        case .text(let text): output += text
        case .action(let pipeline):
          let value = try evaluate(pipeline, dot)
          if pipeline.declared.isEmpty { output += value.text }
        case .leave: return .leave
        case .proceed: return .proceed
        case .conditional(let pipeline, let list, let other):
          let mark = variables.count
          let flow = try walk(try evaluate(pipeline, dot).isTrue ? list : other, dot)
          variables.removeLast(variables.count - mark)
          if flow != .on { return flow }
        case .with(let pipeline, let list, let other):
          let mark = variables.count
          let value = try evaluate(pipeline, dot)
          let flow = value.isTrue ? try walk(list, value) : try walk(other, dot)
          variables.removeLast(variables.count - mark)
          if flow != .on { return flow }
        case .range(let pipeline, let list, let other):
          let flow = try range(pipeline, list, other, dot)
          if flow != .on { return flow }
        }
      }
      return .on
    }

    private mutating func range(_ pipeline: Pipeline, _ list: [Node], _ other: [Node], _ dot: TemplateValue) throws
      -> Flow
    {
      var plain = pipeline
      plain.declared = []
      let value = try evaluate(plain, dot)
      if case .missing = value { return try walk(other, dot) }
      if case .null = value { return try walk(other, dot) }
      guard let elements = value.elements else {
        throw fail(pipeline.offset, "", "range can't iterate over \(value.plain)")
      }
      if elements.isEmpty { return try walk(other, dot) }
      let mark = variables.count
      for (key, element) in elements {
        if pipeline.declared.count == 2 {
          variables.append((pipeline.declared[0], key))
          variables.append((pipeline.declared[1], element))
        } else if let name = pipeline.declared.first {
          variables.append((name, element))
        }
        let flow = try walk(list, element)
        variables.removeLast(variables.count - mark)
        if flow == .leave { break }
      }
      return .on
    }

    private func fail(_ offset: Int, _ text: String, _ message: String) -> TemplateError {
      let place = text.isEmpty ? "" : " at <\(text)>"
      return TemplateError(
        description:
          "template: \(template.name):\(template.place(offset)): executing \"\(template.name)\"\(place): \(message)")
    }

    private mutating func evaluate(_ pipeline: Pipeline, _ dot: TemplateValue) throws -> TemplateValue {
      var value: TemplateValue?
      for command in pipeline.commands { value = try evaluate(command, dot, final: value) }
      let result = value ?? .missing
      if let name = pipeline.declared.first {
        if pipeline.assigns {
          if let index = variables.lastIndex(where: { $0.name == name }) { variables[index].value = result }
        } else {
          variables.append((name, result))
        }
      }
      return result
    }

    private mutating func evaluate(_ command: [Operand], _ dot: TemplateValue, final: TemplateValue?) throws
      -> TemplateValue
    {
      let first = command[0]
      if case .function(let name) = first.base {
        if name == "and" || name == "or" { return try shortCircuit(name, command, dot, final) }
        var arguments: [TemplateValue] = []
        for operand in command.dropFirst() { arguments.append(try evaluate(operand, dot)) }
        if let final { arguments.append(final) }
        var result: TemplateValue
        do throws(Functions.Failure) {
          result = try header ? Functions.title(name, arguments) : Functions.call(name, arguments)
        } catch {
          throw fail(first.offset, name, error.isUsage ? error.message : "error calling \(name): \(error.message)")
        }
        for field in first.fields { result = try member(field, of: result, [], first) }
        return result
      }
      var arguments: [TemplateValue] = []
      for operand in command.dropFirst() { arguments.append(try evaluate(operand, dot)) }
      if let final { arguments.append(final) }
      if arguments.isEmpty { return try evaluate(first, dot) }
      // Only a method of a row takes arguments.
      guard let method = first.fields.last else {
        throw fail(first.offset, first.text, "can't give argument to non-function \(first.text)")
      }
      var receiver = first
      receiver.fields.removeLast()
      return try member(method, of: try evaluate(receiver, dot), arguments, first)
    }

    private mutating func shortCircuit(
      _ name: String, _ command: [Operand], _ dot: TemplateValue, _ final: TemplateValue?
    ) throws
      -> TemplateValue
    {
      var result: TemplateValue?
      for operand in command.dropFirst() {
        let value = try evaluate(operand, dot)
        result = value
        if value.isTrue == (name == "or") { return value }
      }
      if let final { return final }
      guard let result else {
        throw fail(command[0].offset, name, "wrong number of args for \(name): want at least 1 got 0")
      }
      return result
    }

    private mutating func evaluate(_ operand: Operand, _ dot: TemplateValue) throws -> TemplateValue {
      var value: TemplateValue
      switch operand.base {
      case .dot: value = dot
      case .constant(let constant): value = constant
      case .variable(let name): value = variables.last { $0.name == name }?.value ?? .missing
      case .pipeline(let pipeline): value = try evaluate(pipeline, dot)
      case .function: value = try evaluate([operand], dot, final: nil)
      }
      if case .function = operand.base { return value }
      for field in operand.fields { value = try member(field, of: value, [], operand) }
      return value
    }

    private func member(_ name: String, of value: TemplateValue, _ arguments: [TemplateValue], _ operand: Operand)
      throws
      -> TemplateValue
    {
      switch value {
      case .record(let record):
        if let result = arguments.isEmpty ? record.field(name) : record.method(name, arguments) { return result }
        if header { return .missing }
        throw fail(operand.offset, operand.text, "can't evaluate field \(name) in type \(record.typeName)")
      case .json(.object(let object), let owner):
        if let member = object[name] { return TemplateValue(member, name: name) }
        if GoFields.isMap(owner, object) { return .missing }
        if missingKey == .noValue { return .missing }
        // Go's fields and JSON's members differ in case alone: `ID` and `Id`, `APIVersion` and `ApiVersion`.
        let lower = name.lowercased()
        if let member = object.members.first(where: { $0.key.lowercased() == lower }) {
          return TemplateValue(member.value, name: member.key)
        }
        if let known = GoFields.omitted(name) { return known }
        throw fail(operand.offset, operand.text, "map has no entry for key \"\(name)\"")
      case .missing, .json(.null, _):
        if missingKey == .noValue { return .missing }
        if case .json(.null, let owner) = value, GoFields.isPointer(owner) {
          throw fail(operand.offset, operand.text, "nil pointer evaluating *\(owner).\(name)")
        }
        return .missing
      case .null: throw fail(operand.offset, operand.text, "nil data; no entry for key \"\(name)\"")
      default:
        let type =
          switch value {
          case .string: "string"
          case .bool: "bool"
          case .int: "int"
          case .double: "float64"
          default: "[]interface {}"
          }
        throw fail(operand.offset, operand.text, "can't evaluate field \(name) in type \(type)")
      }
    }
  }
}

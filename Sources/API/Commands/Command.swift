import EngineClient

/// One verb: what its help says and what it does.
struct Command: Sendable {
  let name: String
  /// After the command's path: `[OPTIONS] CONTAINER [CONTAINER...]`.
  let usage: String
  let summary: String
  /// In place of the summary in the command's own help.
  var description: String?
  /// Under which names it is known, as its help lists them: `container ls`, `ps`.
  var aliases: [String] = []
  var arguments: ArgumentCount
  /// Whether flags may follow the first positional argument.
  var interspersed = true
  var flags: [Flag] = []
  let run: @Sendable (Invocation) throws -> Void

  func useLine(_ path: String) -> String { usage.isEmpty ? path : "\(path) \(usage)" }
}

/// How many positional arguments a command takes.
enum ArgumentCount: Sendable {
  case none
  case any
  case exactly(Int)
  case atLeast(Int)
  case atMost(Int)
  case range(Int, Int)

  /// docker's words for a wrong count; nil when it's right.
  func complaint(_ count: Int, path: String, useLine: String) -> String? {
    func arguments(_ number: Int) -> String { "\(number) argument\(number == 1 ? "" : "s")" }
    func text(_ requirement: String, _ see: String = "Run") -> String {
      "berth: '\(path)' \(requirement)\n\nUsage:  \(useLine)\n\n\(see) '\(path) --help' for more information"
    }
    switch self {
    case .any: return nil
    case .none: return count == 0 ? nil : text("accepts no arguments")
    case .exactly(let number): return count == number ? nil : text("requires \(arguments(number))")
    case .atLeast(let number): return count >= number ? nil : text("requires at least \(arguments(number))", "See")
    case .atMost(let number): return count <= number ? nil : text("requires at most \(arguments(number))")
    case .range(let low, let high):
      return (low...high).contains(count) ? nil : text("requires at least \(low) and at most \(arguments(high))")
    }
  }
}

/// A command as it was called.
struct Invocation {
  let context: Context
  /// `berth container run`
  let path: String
  let values: FlagValues
  let arguments: [String]

  var client: EngineClient { get throws { try context.client } }
  var output: Output { context.output }
}

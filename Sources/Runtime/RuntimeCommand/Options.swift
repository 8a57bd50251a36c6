/// An option of a command, by its long name.
struct Flag: Sendable {
  let name: String
  let short: Character?
  /// The value's name in the help; `nil`: a switch.
  let value: String?
  let summary: String

  init(_ name: String, _ short: Character? = nil, value: String? = nil, _ summary: String = "") {
    self.name = name
    self.short = short
    self.value = value
    self.summary = summary
  }
}

/// Flags and words of a command line. Flags may stand behind words, `--name=value` and `--name value` are the same, and a long name
/// may have one dash, as in the command lines of Go's programs.
struct Options {
  private var values: [String: [String]] = [:]
  private(set) var words: [String] = []

  func has(_ name: String) -> Bool { values[name].map { $0.last != "false" } ?? false }
  /// The last value given.
  func value(_ name: String) -> String? { values[name]?.last }
  func list(_ name: String) -> [String] { values[name] ?? [] }

  /// The value as a number; a wrong one is an error.
  func number<T: FixedWidthInteger>(_ name: String, as type: T.Type = T.self) throws(CommandError) -> T? {
    guard let text = value(name) else { return nil }
    guard let number = T(text) else {
      throw CommandError("invalid value \"\(text)\" for flag --\(name): an integer is expected")
    }
    return number
  }

  static func parse(_ arguments: [String], _ flags: [Flag], stopsAtFirst: Bool) throws(CommandError) -> Options {
    var options = Options()
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      if argument == "--" {
        options.words += rest
        return options
      }
      guard try options.take(argument, &rest, flags) else {
        options.words.append(argument)
        if stopsAtFirst {
          if rest.first == "--" { rest.removeFirst() }
          options.words += rest
          return options
        }
        continue
      }
    }
    return options
  }

  /// Flags before the command; the rest begins with the command.
  static func parseGlobals(_ arguments: [String], _ flags: [Flag]) throws(CommandError) -> (Options, [String]) {
    var options = Options()
    var rest = arguments[...]
    while let argument = rest.first {
      rest.removeFirst()
      guard try options.take(argument, &rest, flags) else { return (options, [argument] + rest) }
    }
    return (options, [])
  }

  private static let help = Flag("help", "h", "show help")

  /// False for a word.
  private mutating func take(_ argument: String, _ rest: inout ArraySlice<String>, _ flags: [Flag])
    throws(CommandError) -> Bool
  {
    guard argument.hasPrefix("-"), argument.count > 1, !(argument.dropFirst().first?.isNumber ?? false) else {
      return false
    }
    let body = argument.drop { $0 == "-" }
    let name = String(body.prefix { $0 != "=" })
    let given: String? = name.count < body.count ? String(body.dropFirst(name.count + 1)) : nil
    if let flag = (flags + [Self.help]).first(where: { $0.name == name }) {
      return try add(flag, given, &rest)
    }
    guard !argument.hasPrefix("--") else { throw CommandError("flag provided but not defined: --\(name)") }
    // -t, -it, -u 1:2, -u1:2, -u=1:2
    var letters = argument.dropFirst()
    while let letter = letters.popFirst() {
      guard let flag = (flags + [Self.help]).first(where: { $0.short == letter }) else {
        throw CommandError("flag provided but not defined: -\(letter)")
      }
      if flag.value != nil || letters.first == "=" {
        if letters.first == "=" { letters.removeFirst() }
        return try add(flag, letters.isEmpty ? nil : String(letters), &rest)
      }
      values[flag.name, default: []].append("true")
    }
    return true
  }

  private mutating func add(_ flag: Flag, _ given: String?, _ rest: inout ArraySlice<String>) throws(CommandError)
    -> Bool
  {
    if flag.value == nil {
      values[flag.name, default: []].append(given ?? "true")
    } else if let given {
      values[flag.name, default: []].append(given)
    } else {
      guard let next = rest.popFirst() else { throw CommandError("flag needs an argument: --\(flag.name)") }
      values[flag.name, default: []].append(next)
    }
    return true
  }
}

/// Reads a command line as docker's parser (pflag) does.
struct FlagParser {
  private let flags: [Flag]
  private let interspersed: Bool
  private(set) var values = FlagValues()
  private(set) var arguments: [String] = []
  /// `-h` was used for help where it means nothing else.
  private(set) var deprecatedHelp = false

  init(flags: [Flag], interspersed: Bool) {
    self.flags = flags
    self.interspersed = interspersed
    for flag in flags where !flag.defaultText.isEmpty { values.defaults[flag.name] = flag.defaultText }
  }

  mutating func parse(_ words: [String]) throws(FlagError) {
    var rest = words[...]
    while let word = rest.popFirst() {
      if word == "--" {
        arguments += rest
        return
      }
      if word.hasPrefix("--") {
        try parseLong(word, &rest)
      } else if word.hasPrefix("-") && word != "-" {
        try parseShort(word, &rest)
      } else {
        arguments.append(word)
        if !interspersed {
          arguments += rest
          return
        }
      }
      // Nothing after a plea for help matters, not even its errors.
      if values.helpRequested { return }
    }
  }

  private mutating func parseLong(_ word: String, _ rest: inout ArraySlice<String>) throws(FlagError) {
    let body = word.dropFirst(2)
    let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let written = String(parts.first ?? "")
    let name = synonyms[written] ?? written
    guard !name.isEmpty, !name.hasPrefix("-"), !body.hasPrefix("=") else {
      throw FlagError(description: "bad flag syntax: \(word)")
    }
    guard let flag = flags.first(where: { $0.name == name }) else {
      guard name == "help" else { throw FlagError(description: "unknown flag: --\(name)") }
      try set(Flag(.bool, "help", ""), parts.count > 1 ? String(parts[1]) : "true")
      return
    }
    if parts.count > 1 {
      try set(flag, String(parts[1]))
    } else if flag.kind == .bool {
      try set(flag, "true")
    } else if let value = rest.popFirst() {
      try set(flag, value)
    } else {
      throw FlagError(description: "flag needs an argument: --\(name)")
    }
  }

  private mutating func parseShort(_ word: String, _ rest: inout ArraySlice<String>) throws(FlagError) {
    var letters = word.dropFirst()
    while let letter = letters.popFirst() {
      guard let flag = flags.first(where: { $0.short == letter }) else {
        guard letter == "h" else {
          throw FlagError(description: "unknown shorthand flag: '\(letter)' in -\(letter)\(letters)")
        }
        deprecatedHelp = true
        values.helpRequested = true
        return
      }
      if letters.first == "=" && letters.count > 1 {
        try set(flag, String(letters.dropFirst()))
        return
      }
      if flag.kind == .bool {
        try set(flag, "true")
      } else if !letters.isEmpty {
        try set(flag, String(letters))
        return
      } else if let value = rest.popFirst() {
        try set(flag, value)
        return
      } else {
        throw FlagError(description: "flag needs an argument: '\(letter)' in -\(letter)")
      }
    }
  }

  private mutating func set(_ flag: Flag, _ text: String) throws(FlagError) {
    if let complaint = flag.complaint(text) {
      throw FlagError(description: "invalid argument \(GoText.quote(text)) for \"\(flag.title)\" flag: \(complaint)")
    }
    if flag.name == "help" {
      values.helpRequested = GoNumber.bool(text) ?? false
      return
    }
    if flag.kind == .strings {
      values.append(flag.name, text.split(separator: ",", omittingEmptySubsequences: false).map(String.init))
    } else {
      values.append(flag.name, [text])
    }
  }
}

/// Older spellings that docker still takes.
private let synonyms = ["net": "network", "net-alias": "network-alias", "time": "timeout", "dns-opt": "dns-option"]

struct FlagError: Error, CustomStringConvertible {
  let description: String
}

/// What the command line set, and the defaults of what it didn't.
struct FlagValues {
  private var given: [String: [String]] = [:]
  fileprivate(set) var defaults: [String: String] = [:]
  fileprivate(set) var helpRequested = false

  fileprivate mutating func append(_ name: String, _ texts: [String]) { given[name, default: []] += texts }

  /// How many different flags were given.
  var count: Int { given.count }

  func isSet(_ name: String) -> Bool { given[name] != nil }
  func string(_ name: String) -> String { given[name]?.last ?? defaults[name] ?? "" }
  func bool(_ name: String) -> Bool { GoNumber.bool(string(name)) ?? false }
  func list(_ name: String) -> [String] { given[name] ?? [] }
  /// 0 unless given; the parser has checked the text.
  func int(_ name: String) -> Int64 { GoNumber.int(string(name)) ?? 0 }
  func bytes(_ name: String) -> Int64 { string(name) == "-1" ? -1 : ByteSize.parse(string(name)) ?? 0 }
  /// Nanoseconds.
  func duration(_ name: String) -> Int64 { GoDuration.parse(string(name)) ?? 0 }
  /// `key=value`, later ones winning.
  func map(_ name: String) -> [String: String] {
    var result: [String: String] = [:]
    for text in list(name) {
      let (key, value) = text.cut("=")
      result[key] = value ?? ""
    }
    return result
  }
}

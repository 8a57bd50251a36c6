import Errdefs
import OCI

/// The Dockerfile instructions that `docker import --change` and `docker commit --change` take.
enum ImageChanges {
  static func apply(_ changes: [String], to config: inout ImageConfig.Defaults) throws(EngineError) {
    var hasCommand = false
    for change in changes {
      let line = change.drop(while: \.isWhitespace)
      let word = line.prefix { !$0.isWhitespace }
      let rest = String(line[word.endIndex...].drop(while: \.isWhitespace))
      let instruction = word.uppercased()
      switch instruction {
      case "CMD":
        config.cmd = command(rest, config.shell)
        hasCommand = true
      case "ENTRYPOINT":
        config.entrypoint = command(rest, config.shell)
        // The arguments that were there belong to another program.
        if !hasCommand { config.cmd = nil }
      case "ENV":
        for (key, value) in try pairs(rest, instruction) {
          config.env = (config.env ?? []).filter { !$0.hasPrefix(key + "=") } + ["\(key)=\(value)"]
        }
      case "LABEL":
        for (key, value) in try pairs(rest, instruction) {
          config.labels = (config.labels ?? [:]).merging([key: value]) { $1 }
        }
      case "EXPOSE":
        let ports = try required(words(rest), instruction).map { $0.contains("/") ? $0.lowercased() : $0 + "/tcp" }
        config.exposedPorts = Set((config.exposedPorts ?? []) + ports).sorted()
      case "VOLUME":
        let paths = try required(list(rest) ?? words(rest), instruction)
        config.volumes = Set((config.volumes ?? []) + paths).sorted()
      case "USER": config.user = try one(rest, instruction)
      case "WORKDIR":
        let path = try one(rest, instruction)
        config.workingDir = path.hasPrefix("/") ? path : (config.workingDir ?? "") + "/" + path
      case "STOPSIGNAL": config.stopSignal = try one(rest, instruction)
      case "ONBUILD": config.onBuild = (config.onBuild ?? []) + [try one(rest, instruction)]
      case "HEALTHCHECK":
        config.healthcheck = ImageConfig.Healthcheck(test: try health(rest))
      default: throw .invalidParameter("\(word) is not a valid change command")
      }
    }
  }

  /// `["a","b"]`
  private static func list(_ text: String) -> [String]? {
    guard text.hasPrefix("["), let value = try? JSON.parse(text), let array = value.arrayValue else { return nil }
    let strings = array.compactMap(\.stringValue)
    return strings.count == array.count ? strings : nil
  }

  private static func command(_ text: String, _ shell: [String]?) -> [String] {
    list(text) ?? (shell ?? ["/bin/sh", "-c"]) + [text]
  }

  private static func health(_ text: String) throws(EngineError) -> [String] {
    if text.uppercased() == "NONE" { return ["NONE"] }
    guard text.uppercased().hasPrefix("CMD ") else {
      throw .invalidParameter("unknown type \"\(text)\" in HEALTHCHECK")
    }
    let rest = String(text.dropFirst(4).drop(while: \.isWhitespace))
    return list(rest).map { ["CMD"] + $0 } ?? ["CMD-SHELL", rest]
  }

  private static func one(_ text: String, _ instruction: String) throws(EngineError) -> String {
    guard !text.isEmpty else { throw .invalidParameter("\(instruction) requires exactly one argument") }
    return text
  }

  private static func required(_ words: [String], _ instruction: String) throws(EngineError) -> [String] {
    guard !words.isEmpty else { throw .invalidParameter("\(instruction) requires at least one argument") }
    return words
  }

  /// `key=value key="another value"`, or the old `key value`.
  private static func pairs(_ text: String, _ instruction: String) throws(EngineError) -> [(String, String)] {
    let words = words(text)
    guard let first = words.first else { throw .invalidParameter("\(instruction) requires at least one argument") }
    guard first.contains("=") else {
      let key = text.prefix { !$0.isWhitespace }
      return [(String(key), String(text[key.endIndex...].drop(while: \.isWhitespace)))]
    }
    var pairs: [(String, String)] = []
    for word in words {
      guard let equals = word.firstIndex(of: "="), equals != word.startIndex else {
        throw .invalidParameter("Syntax error - can't find = in \"\(word)\". Must be of the form: name=value")
      }
      pairs.append((String(word[..<equals]), String(word[word.index(after: equals)...])))
    }
    return pairs
  }

  /// Words of a shell: quotes keep white space, a backslash the next character.
  private static func words(_ text: String) -> [String] {
    var words: [String] = []
    var current: String?
    var quote: Character?
    var isEscaped = false
    for character in text {
      if isEscaped {
        current = (current ?? "") + String(character)
        isEscaped = false
      } else if character == "\\", quote != "'" {
        isEscaped = true
        current = current ?? ""
      } else if let open = quote {
        if character == open { quote = nil } else { current = (current ?? "") + String(character) }
      } else if character == "\"" || character == "'" {
        quote = character
        current = current ?? ""
      } else if character.isWhitespace {
        if let word = current { words.append(word) }
        current = nil
      } else {
        current = (current ?? "") + String(character)
      }
    }
    if let word = current { words.append(word) }
    return words
  }
}

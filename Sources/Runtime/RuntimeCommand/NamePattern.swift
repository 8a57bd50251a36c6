/// crun's `--regex`, of which the part is understood that names need: `.` is any character, `.*` and `*` any number of them.
enum NamePattern {
  /// The container, or all whose names fit.
  static func matches(_ pattern: String, _ call: RuntimeCommand.Invocation) throws(CommandError) -> [String] {
    guard call.options.has("regex") else { return [pattern] }
    return try StateDirectory.all(root: call.root).filter { fits(Array($0.utf8)[...], tokens(pattern)[...]) }
  }

  private enum Token { case any, anything, byte(UInt8) }

  private static func tokens(_ pattern: String) -> [Token] {
    var result: [Token] = []
    for byte in pattern.utf8 {
      switch byte {
      case UInt8(ascii: "^"), UInt8(ascii: "$"): continue
      case UInt8(ascii: "."): result.append(.any)
      case UInt8(ascii: "*"):
        if case .any? = result.last { result.removeLast() }
        result.append(.anything)
      default: result.append(.byte(byte))
      }
    }
    return result
  }

  private static func fits(_ name: ArraySlice<UInt8>, _ tokens: ArraySlice<Token>) -> Bool {
    guard let token = tokens.first else { return name.isEmpty }
    switch token {
    case .any: return !name.isEmpty && fits(name.dropFirst(), tokens.dropFirst())
    case .byte(let byte): return name.first == byte && fits(name.dropFirst(), tokens.dropFirst())
    case .anything:
      var rest = name
      while true {
        if fits(rest, tokens.dropFirst()) { return true }
        guard rest.popFirst() != nil else { return false }
      }
    }
  }
}

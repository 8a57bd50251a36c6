/// Go's ways with text where docker's output shows them.
enum GoText {
  /// strconv.Quote.
  static func quote(_ text: String) -> String {
    var output = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": output += "\\\""
      case "\\": output += "\\\\"
      case "\u{07}": output += "\\a"
      case "\u{08}": output += "\\b"
      case "\u{0C}": output += "\\f"
      case "\n": output += "\\n"
      case "\r": output += "\\r"
      case "\t": output += "\\t"
      case "\u{0B}": output += "\\v"
      case _ where scalar.value < 0x20 || scalar.value == 0x7F: output += "\\x" + hex(scalar.value, 2)
      case _ where isPrintable(scalar): output.unicodeScalars.append(scalar)
      case _ where scalar.value < 0x10000: output += "\\u" + hex(scalar.value, 4)
      default: output += "\\U" + hex(scalar.value, 8)
      }
    }
    return output + "\""
  }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    case .spaceSeparator: scalar == " "
    default: true
    }
  }

  private static func hex(_ value: UInt32, _ width: Int) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }

  /// strings.Title, for words divided by anything but letters, digits and underscores.
  static func title(_ text: String) -> String {
    var output = ""
    var inWord = false
    for character in text {
      output += inWord ? String(character) : character.uppercased()
      inWord = character.isLetter || character.isNumber || character == "_" || character == "'"
    }
    return output
  }

  /// At most `width` columns, the last an ellipsis when something was cut.
  static func ellipsis(_ text: String, _ width: Int) -> String {
    let total = DisplayWidth.of(text)
    guard total > width else { return text }
    guard width > 1 else { return String(text.unicodeScalars.prefix(max(0, width))) }
    var kept = String.UnicodeScalarView()
    var used = 0
    for scalar in text.unicodeScalars {
      used += DisplayWidth.of(scalar)
      if used > width - 1 { break }
      kept.append(scalar)
    }
    return String(kept) + "…"
  }
}

extension StringProtocol {
  /// What is before the first `separator` and what is after it; nil when there is none.
  func cut(_ separator: Character) -> (String, String?) {
    guard let index = firstIndex(of: separator) else { return (String(self), nil) }
    return (String(self[..<index]), String(self[self.index(after: index)...]))
  }

  func trimmed(_ characters: Set<Character> = [" ", "\t", "\n", "\r", "\r\n"]) -> String {
    var text = Substring(self)
    while let first = text.first, characters.contains(first) { text.removeFirst() }
    while let last = text.last, characters.contains(last) { text.removeLast() }
    return String(text)
  }
}

/// How many columns of a terminal a text takes.
enum DisplayWidth {
  static func of(_ text: String) -> Int {
    if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
    return text.unicodeScalars.reduce(0) { $0 + of($1) }
  }

  /// 0 for combining marks, 2 for East Asian wide and fullwidth characters and emoji (Unicode annex 11).
  static func of(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .enclosingMark, .format: return 0
    default: break
    }
    switch scalar.value {
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
      0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F,
      0x1F900...0x1F9FF, 0x20000...0x3FFFD:
      return 2
    default: return 1
    }
  }
}

extension JSON {
  /// The text as Go's `json.Marshal` writes it: no white space, and `<`, `>`, `&`, U+2028 and U+2029 escaped.
  public var text: String { String(decoding: encoded(), as: UTF8.self) }

  /// `escapeHTML` false: `<`, `>` and `&` stay, as dockerd answers (`SetEscapeHTML(false)`).
  public func encoded(escapeHTML: Bool = true) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(1024)
    write(into: &output, escapeHTML: escapeHTML)
    return output
  }

  /// The text with a member a line, as `docker inspect` prints it; `indent` is one level's white space.
  public func indented(_ indent: String = "    ") -> String {
    var output: [UInt8] = []
    writeIndented(into: &output, indent: Array(indent.utf8), depth: 0)
    return String(decoding: output, as: UTF8.self)
  }

  public func write(into output: inout [UInt8], escapeHTML: Bool = true) {
    switch self {
    case .array(let elements):
      output.append(UInt8(ascii: "["))
      var first = true
      for element in elements {
        if !first { output.append(UInt8(ascii: ",")) }
        first = false
        element.write(into: &output, escapeHTML: escapeHTML)
      }
      output.append(UInt8(ascii: "]"))
    case .object(let object):
      output.append(UInt8(ascii: "{"))
      var first = true
      for (key, value) in object.members {
        if !first { output.append(UInt8(ascii: ",")) }
        first = false
        JSON.write(key, into: &output, escapeHTML: escapeHTML)
        output.append(UInt8(ascii: ":"))
        value.write(into: &output, escapeHTML: escapeHTML)
      }
      output.append(UInt8(ascii: "}"))
    default: writeScalar(into: &output, escapeHTML: escapeHTML)
    }
  }

  private func writeIndented(into output: inout [UInt8], indent: [UInt8], depth: Int) {
    func newLine(_ depth: Int) {
      output.append(UInt8(ascii: "\n"))
      for _ in 0..<depth { output += indent }
    }
    switch self {
    case .array(let elements) where !elements.isEmpty:
      output.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        newLine(depth + 1)
        element.writeIndented(into: &output, indent: indent, depth: depth + 1)
      }
      newLine(depth)
      output.append(UInt8(ascii: "]"))
    case .object(let object) where !object.isEmpty:
      output.append(UInt8(ascii: "{"))
      for (index, member) in object.members.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        newLine(depth + 1)
        JSON.write(member.key, into: &output)
        output.append(UInt8(ascii: ":"))
        output.append(UInt8(ascii: " "))
        member.value.writeIndented(into: &output, indent: indent, depth: depth + 1)
      }
      newLine(depth)
      output.append(UInt8(ascii: "}"))
    default: write(into: &output)
    }
  }

  private func writeScalar(into output: inout [UInt8], escapeHTML: Bool) {
    switch self {
    case .null: output += "null".utf8
    case .bool(let value): output += (value ? "true" : "false").utf8
    case .int(let value): output += String(value).utf8
    case .double(let value):
      if let whole = Int64(exactly: value) {
        output += String(whole).utf8
      } else if value == 0x1p64 {
        // 2^64 as a number is `UInt64.max` (an unlimited rlimit) that was rounded: Go's uint64 reads only the former.
        output += String(UInt64.max).utf8
      } else {
        output += "\(value)".utf8
      }
    case .string(let value): JSON.write(value, into: &output, escapeHTML: escapeHTML)
    case .array, .object: write(into: &output, escapeHTML: escapeHTML)
    }
  }

  private static func write(_ string: String, into output: inout [UInt8], escapeHTML: Bool = true) {
    let hex: StaticString = "0123456789abcdef"
    func escape(_ value: UInt16) {
      output += "\\u".utf8
      for shift in [12, 8, 4, 0] { output.append(hex.utf8Start[Int(value >> shift) & 15]) }
    }
    output.append(UInt8(ascii: "\""))
    var string = string
    string.withUTF8 { bytes in
      var index = 0
      while index < bytes.count {
        let byte = bytes[index]
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
          output.append(UInt8(ascii: "\\"))
          output.append(byte)
        case 10: output += "\\n".utf8
        case 13: output += "\\r".utf8
        case 9: output += "\\t".utf8
        case 8: output += "\\b".utf8
        case 12: output += "\\f".utf8
        case 0..<0x20: escape(UInt16(byte))
        case UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "&"):
          if escapeHTML { escape(UInt16(byte)) } else { output.append(byte) }
        case 0xE2 where index + 2 < bytes.count && bytes[index + 1] == 0x80 && bytes[index + 2] & 0xFE == 0xA8:
          escape(0x2000 | UInt16(bytes[index + 2] & 0x3F))
          index += 2
        default: output.append(byte)
        }
        index += 1
      }
    }
    output.append(UInt8(ascii: "\""))
  }
}

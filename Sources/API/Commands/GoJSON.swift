import OCI

/// JSON as docker's `json` function writes it: compact, without escaping `<`, `>` and `&`.
enum GoJSON {
  static func text(_ value: JSON) -> String {
    let bytes = value.encoded()
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count)
    var index = 0
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "\\"), index + 1 < bytes.count {
        if index + 5 < bytes.count, bytes[index + 1] == UInt8(ascii: "u"),
          let code = UInt8(String(decoding: bytes[(index + 2)..<(index + 6)], as: UTF8.self), radix: 16),
          code == UInt8(ascii: "<") || code == UInt8(ascii: ">") || code == UInt8(ascii: "&")
        {
          output.append(code)
          index += 6
          continue
        }
        output += [byte, bytes[index + 1]]
        index += 2
        continue
      }
      output.append(byte)
      index += 1
    }
    return String(decoding: output, as: UTF8.self)
  }

  /// Go's json.Compact: the text itself without its white space.
  static func compact(_ bytes: [UInt8]) -> String {
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count)
    var inString = false
    var escaped = false
    for byte in bytes {
      if inString {
        if escaped {
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
      } else if byte == 0x20 || byte == 9 || byte == 10 || byte == 13 {
        continue
      } else {
        inString = byte == UInt8(ascii: "\"")
      }
      output.append(byte)
    }
    return String(decoding: output, as: UTF8.self)
  }

  /// Go's json.Indent: the text itself, a member a line.
  static func indent(_ bytes: [UInt8], with indent: String = "    ") -> String {
    var output: [UInt8] = []
    output.reserveCapacity(bytes.count * 2)
    let step = Array(indent.utf8)
    var depth = 0
    var inString = false
    var escaped = false
    var pendingOpen = false
    func newLine() {
      output.append(10)
      for _ in 0..<depth { output += step }
    }
    for byte in bytes {
      if inString {
        output.append(byte)
        if escaped {
          escaped = false
        } else if byte == UInt8(ascii: "\\") {
          escaped = true
        } else if byte == UInt8(ascii: "\"") {
          inString = false
        }
        continue
      }
      if byte == 0x20 || byte == 9 || byte == 10 || byte == 13 { continue }
      if pendingOpen, byte != UInt8(ascii: "}"), byte != UInt8(ascii: "]") {
        depth += 1
        newLine()
      }
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        output.append(byte)
        pendingOpen = true
        continue
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if !pendingOpen {
          depth = max(0, depth - 1)
          newLine()
        }
        output.append(byte)
      case UInt8(ascii: ","):
        output.append(byte)
        newLine()
      case UInt8(ascii: ":"): output += [byte, 0x20]
      default:
        output.append(byte)
        inString = byte == UInt8(ascii: "\"")
      }
      pendingOpen = false
    }
    return String(decoding: output, as: UTF8.self)
  }
}

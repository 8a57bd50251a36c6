/// Members of a ustar archive that no honest tar writes.
enum Tar {
  static func file(_ name: String, _ text: String) -> [UInt8] { file(name, Array(text.utf8)) }

  static func file(_ name: String, _ data: [UInt8], mode: String = "0000644") -> [UInt8] {
    header(name, "0", mode: mode, size: data.count) + data
      + [UInt8](repeating: 0, count: (512 - data.count % 512) % 512)
  }

  static func link(_ name: String, to target: String, type: Character = "2") -> [UInt8] {
    header(name, type, target: target)
  }

  static func directory(_ name: String) -> [UInt8] { header(name, "5", mode: "0000755") }

  private static func header(
    _ name: String, _ type: Character, mode: String = "0000644", size: Int = 0, target: String = ""
  ) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, _ offset: Int) {
      for (index, byte) in text.utf8.enumerated() { bytes[offset + index] = byte }
    }
    put(name, 0)
    put(mode, 100)
    put("0000000", 108)
    put("0000000", 116)
    let octal = String(size, radix: 8)
    put(String(repeating: "0", count: 11 - octal.count) + octal, 124)
    put("00000000000", 136)
    put("        ", 148)
    put(String(type), 156)
    put(target, 157)
    put("ustar\u{0}00", 257)
    let sum = String(bytes.reduce(0) { $0 + Int($1) }, radix: 8)
    put(String(repeating: "0", count: 6 - sum.count) + sum + "\u{0}", 148)
    return bytes
  }
}

/// Headers byte by byte, for what no writer would write.
struct RawTar {
  private(set) var bytes: [UInt8] = []

  struct Header {
    var name: [UInt8] = Array("x".utf8)
    var mode = "0000644"
    var uid = "0000000"
    var gid = "0000000"
    var size: [UInt8] = []
    var time = "00000000000"
    var type: Character = "0"
    var linkName: [UInt8] = []
    var magic = "ustar\u{0}00"
    var prefix = ""
    var more: [(offset: Int, bytes: [UInt8])] = []
    var breaksChecksum = false

    init(_ name: String, type: Character = "0", size: Int = 0) {
      self.name = Array(name.utf8)
      self.type = type
      self.size = Array(RawTar.octal(size, 12).utf8)
    }
  }

  static func octal(_ value: Int, _ width: Int) -> String {
    let digits = String(value, radix: 8)
    return String(repeating: "0", count: max(0, width - 1 - digits.utf8.count)) + digits
  }

  /// A number of 12 bytes as GNU writes what octal can't hold.
  static func base256(_ value: Int64) -> [UInt8] {
    var bytes = [UInt8](repeating: value < 0 ? 0xFF : 0, count: 12)
    for index in 0..<8 { bytes[11 - index] = UInt8(truncatingIfNeeded: value >> (8 * Int64(index))) }
    bytes[0] |= 0x80
    return bytes
  }

  mutating func header(_ header: Header) {
    var block = [UInt8](repeating: 0, count: 512)
    func put(_ text: some Collection<UInt8>, _ offset: Int) {
      for (index, byte) in text.enumerated() { block[offset + index] = byte }
    }
    put(header.name.prefix(100), 0)
    put(header.mode.utf8, 100)
    put(header.uid.utf8, 108)
    put(header.gid.utf8, 116)
    put(header.size, 124)
    put(header.time.utf8, 136)
    put(String(header.type).utf8, 156)
    if header.type == "\0" { block[156] = 0 }
    put(header.linkName.prefix(100), 157)
    put(header.magic.utf8, 257)
    put(header.prefix.utf8, 345)
    for (offset, bytes) in header.more { put(bytes, offset) }
    put([UInt8](repeating: 32, count: 8), 148)
    let sum = block.reduce(header.breaksChecksum ? 1 : 0) { $0 + Int($1) }
    put((RawTar.octal(sum, 7) + "\0 ").utf8, 148)
    bytes += block
  }

  mutating func data(_ data: [UInt8]) { bytes += data + [UInt8](repeating: 0, count: (512 - data.count % 512) % 512) }

  mutating func file(_ name: String, _ data: [UInt8] = []) {
    header(Header(name, size: data.count))
    self.data(data)
  }

  mutating func pax(_ records: [(String, String)], type: Character = "x") {
    var body: [UInt8] = []
    for (key, value) in records { body += Self.record(key, Array(value.utf8)) }
    paxBody(body, type: type)
  }

  mutating func paxBody(_ body: [UInt8], type: Character = "x") {
    header(Header("PaxHeaders/x", type: type, size: body.count))
    data(body)
  }

  static func record(_ key: String, _ value: [UInt8]) -> [UInt8] {
    let rest = Array(" \(key)=".utf8) + value + [10]
    var length = rest.count + 1
    while "\(length)".utf8.count + rest.count != length { length = "\(length)".utf8.count + rest.count }
    return Array("\(length)".utf8) + rest
  }

  func finished() -> [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}

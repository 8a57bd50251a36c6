import Kernel
import OCI

/// Writes JSON into a buffer that is known to be large enough.
struct LogWriter {
  private let buffer: UnsafeMutableRawBufferPointer
  private(set) var count = 0

  init(_ buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

  mutating func put(_ byte: UInt8) {
    buffer[count] = byte
    count += 1
  }

  mutating func put(_ text: StaticString) {
    put(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  mutating func put(_ bytes: UnsafeRawBufferPointer) {
    UnsafeMutableRawBufferPointer(rebasing: buffer[count..<count + bytes.count]).copyMemory(from: bytes)
    count += bytes.count
  }

  private mutating func putHex(_ byte: UInt8) {
    let digits: StaticString = "0123456789abcdef"
    put(digits.utf8Start[Int(byte >> 4)])
    put(digits.utf8Start[Int(byte & 15)])
  }

  /// A string's content as Docker's json-file driver writes it (moby, daemon/logger/jsonfilelog/jsonlog): `<`, `>` and
  /// `&` escaped, each byte that is no UTF-8 as `\ufffd`. At most six bytes for each.
  mutating func escape(_ text: UnsafeRawBufferPointer) {
    var plain = 0
    var index = 0
    func flushed(_ writer: inout LogWriter) {
      if plain < index { writer.put(UnsafeRawBufferPointer(rebasing: text[plain..<index])) }
    }
    while index < text.count {
      let byte = text[index]
      if byte < 0x80 {
        if byte >= 0x20, byte != 0x22, byte != 0x5C, byte != 0x3C, byte != 0x3E, byte != 0x26 {
          index += 1
          continue
        }
        flushed(&self)
        switch byte {
        case 0x22, 0x5C:
          put(0x5C)
          put(byte)
        case 0x0A: put("\\n")
        case 0x0D: put("\\r")
        default:
          put("\\u00")
          putHex(byte)
        }
        index += 1
        plain = index
        continue
      }
      let length = UTF8Tail.sequence(text, at: index)
      if length == 0 {
        flushed(&self)
        put("\\ufffd")
        index += 1
        plain = index
      } else if length == 3, byte == 0xE2, text[index + 1] == 0x80, text[index + 2] & 0xFE == 0xA8 {
        // U+2028 and U+2029
        flushed(&self)
        put("\\u202")
        put(text[index + 2] == 0xA8 ? UInt8(ascii: "8") : UInt8(ascii: "9"))
        index += 3
        plain = index
      } else {
        index += length
      }
    }
    flushed(&self)
  }
}

/// The borders of UTF-8 sequences (Unicode 15, table 3-7).
enum UTF8Tail {
  private static func shape(_ first: UInt8) -> (length: Int, second: ClosedRange<UInt8>)? {
    switch first {
    case 0xC2...0xDF: (2, 0x80...0xBF)
    case 0xE0: (3, 0xA0...0xBF)
    case 0xE1...0xEC, 0xEE...0xEF: (3, 0x80...0xBF)
    case 0xED: (3, 0x80...0x9F)
    case 0xF0: (4, 0x90...0xBF)
    case 0xF1...0xF3: (4, 0x80...0xBF)
    case 0xF4: (4, 0x80...0x8F)
    default: nil
    }
  }

  /// The length of the well-formed sequence at that place, which begins with a byte above 0x7F; 0 when there is none.
  static func sequence(_ text: UnsafeRawBufferPointer, at index: Int) -> Int {
    guard let (length, second) = shape(text[index]), index + length <= text.count, second.contains(text[index + 1])
    else {
      return 0
    }
    for next in index + 2..<max(index + length, index + 2) where text[next] & 0xC0 != 0x80 { return 0 }
    return length
  }

  /// How many bytes at the end are the beginning of a well-formed sequence: 0 to 3.
  static func length(_ bytes: [UInt8]) -> Int {
    for back in 1...3 where back <= bytes.count {
      let byte = bytes[bytes.count - back]
      if byte & 0xC0 == 0x80 { continue }
      guard let (length, second) = shape(byte), length > back else { return 0 }
      if back > 1, !second.contains(bytes[bytes.count - back + 1]) { return 0 }
      return back
    }
    return 0
  }
}

/// RFC 3339 times with nanoseconds, as Go's `time.RFC3339Nano`: zeros at the end of the fraction are left out.
struct LogClock {
  private var second = Int64.min
  /// `2026-01-02T03:04:05` of that second.
  private var prefix: [UInt8] = []

  mutating func write(_ nanoseconds: Int64, _ writer: inout LogWriter) {
    let time = Timestamp(nanosecondsSinceEpoch: nanoseconds)
    if time.seconds != second {
      second = time.seconds
      prefix = Array(Timestamp(seconds: second).text(fractionDigits: 0).utf8.dropLast())
    }
    prefix.withUnsafeBytes { writer.put($0) }
    var fraction = time.nanoseconds
    if fraction > 0 {
      writer.put(UInt8(ascii: "."))
      var divisor: Int32 = 100_000_000
      while fraction > 0 {
        writer.put(UInt8(0x30 + fraction / divisor))
        fraction %= divisor
        divisor /= 10
      }
    }
    writer.put(UInt8(ascii: "Z"))
  }
}

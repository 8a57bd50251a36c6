import Errdefs

/// The parameters of a request's query, read as dockerd's `httputils` reads them.
struct Query: Sendable {
  private(set) var items: [(name: String, value: String)] = []

  init() {}

  /// `a=1&b=&b=2`, with `+` and `%XX`; a broken escape stays as it is.
  init(_ text: Substring) {
    for pair in text.split(separator: "&") {
      let split = pair.firstIndex(of: "=") ?? pair.endIndex
      let name = PercentEncoding.decode(pair[..<split], plusIsSpace: true)
      let value =
        split < pair.endIndex ? PercentEncoding.decode(pair[pair.index(after: split)...], plusIsSpace: true) : ""
      items.append((name, value))
    }
  }

  /// The first value, empty when there is none, as Go's `Form.Get`.
  subscript(name: String) -> String { items.first { $0.name == name }?.value ?? "" }

  func has(_ name: String) -> Bool { items.contains { $0.name == name } }

  func all(_ name: String) -> [String] { items.filter { $0.name == name }.map(\.value) }

  func bool(_ name: String) -> Bool {
    switch self[name].trimmed.lowercased() {
    case "", "0", "no", "false", "none": false
    default: true
    }
  }

  func bool(_ name: String, default value: Bool) -> Bool { has(name) ? bool(name) : value }

  /// nil when absent or empty; Go's words when it isn't a number.
  func int(_ name: String) throws(EngineError) -> Int? {
    let text = self[name]
    guard !text.isEmpty else { return nil }
    return try Query.int(text)
  }

  /// A number that must be there.
  func requiredInt(_ name: String) throws(EngineError) -> Int { try Query.int(self[name]) }

  private static func int(_ text: String) throws(EngineError) -> Int {
    if let value = Int(text) { return value }
    let digits = text.first == "-" || text.first == "+" ? text.dropFirst() : text[...]
    let isNumber = !digits.isEmpty && digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
    throw .invalidParameter(
      "strconv.Atoi: parsing \"\(text)\": \(isNumber ? "value out of range" : "invalid syntax")")
  }
}

extension String {
  var trimmed: String {
    var text = self[...]
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}

enum PercentEncoding {
  static func decode(_ text: Substring, plusIsSpace: Bool = false) -> String {
    let source = Array(text.utf8)
    guard source.contains(where: { $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+")) }) else {
      return String(text)
    }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(source.count)
    var index = 0
    while index < source.count {
      let byte = source[index]
      if byte == UInt8(ascii: "%"), index + 2 < source.count, let high = nibble(source[index + 1]),
        let low = nibble(source[index + 2])
      {
        bytes.append(high << 4 | low)
        index += 3
        continue
      }
      bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
      index += 1
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func nibble(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 0x30
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 0x61 + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 0x41 + 10
    default: nil
    }
  }
}

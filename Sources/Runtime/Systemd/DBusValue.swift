/// A value of D-Bus's types (D-Bus specification, "Type System"), without file descriptors.
public indirect enum DBusValue: Sendable, Equatable {
  case byte(UInt8)
  case boolean(Bool)
  case int32(Int32)
  case uint32(UInt32)
  case int64(Int64)
  case uint64(UInt64)
  case double(Double)
  case string(String)
  case objectPath(String)
  case signature(String)
  /// The elements' signature, and the elements.
  case array(String, [DBusValue])
  case structure([DBusValue])
  case variant(DBusValue)
  /// Of an array that is a map.
  case entry(DBusValue, DBusValue)

  public var signature: String {
    switch self {
    case .byte: "y"
    case .boolean: "b"
    case .int32: "i"
    case .uint32: "u"
    case .int64: "x"
    case .uint64: "t"
    case .double: "d"
    case .string: "s"
    case .objectPath: "o"
    case .signature: "g"
    case .array(let element, _): "a" + element
    case .structure(let members): "(" + members.map(\.signature).joined() + ")"
    case .variant: "v"
    case .entry(let key, let value): "{" + key.signature + value.signature + "}"
    }
  }

  public static func strings(_ list: [String]) -> DBusValue { .array("s", list.map { .string($0) }) }

  /// The text of a string, path or signature.
  public var text: String? {
    switch self {
    case .string(let text), .objectPath(let text), .signature(let text): text
    case .variant(let value): value.text
    default: nil
    }
  }
}

/// Writes values in the machine's order, each at a multiple of its own size from the start (D-Bus specification, "Marshaling").
struct DBusWriter {
  private(set) var bytes: [UInt8] = []

  static var endianness: UInt8 {
    #if _endian(little)
      UInt8(ascii: "l")
    #else
      UInt8(ascii: "B")
    #endif
  }

  mutating func align(_ size: Int) { while bytes.count % size != 0 { bytes.append(0) } }

  private mutating func append<T: FixedWidthInteger>(_ value: T) {
    align(MemoryLayout<T>.size)
    withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
  }

  mutating func append(raw: [UInt8]) { bytes += raw }

  mutating func append(_ value: DBusValue) {
    switch value {
    case .byte(let number): bytes.append(number)
    case .boolean(let flag): append(UInt32(flag ? 1 : 0))
    case .int32(let number): append(number)
    case .uint32(let number): append(number)
    case .int64(let number): append(number)
    case .uint64(let number): append(number)
    case .double(let number): append(number.bitPattern)
    case .string(let text), .objectPath(let text):
      append(UInt32(truncatingIfNeeded: text.utf8.count))
      bytes += text.utf8
      bytes.append(0)
    case .signature(let text):
      bytes.append(UInt8(truncatingIfNeeded: text.utf8.count))
      bytes += text.utf8
      bytes.append(0)
    case .array(let element, let values):
      append(UInt32(0))
      let length = bytes.count
      // The padding before the first element counts for nothing, and is there without elements too.
      align(Self.alignment(of: element))
      let start = bytes.count
      for value in values { append(value) }
      withUnsafeBytes(of: UInt32(truncatingIfNeeded: bytes.count - start)) {
        bytes.replaceSubrange(length - 4..<length, with: $0)
      }
    case .structure(let members):
      align(8)
      for member in members { append(member) }
    case .variant(let value):
      append(.signature(value.signature))
      append(value)
    case .entry(let key, let value):
      align(8)
      append(key)
      append(value)
    }
  }

  static func alignment(of signature: String) -> Int {
    switch signature.utf8.first {
    case UInt8(ascii: "y"), UInt8(ascii: "g"), UInt8(ascii: "v"): 1
    case UInt8(ascii: "x"), UInt8(ascii: "t"), UInt8(ascii: "d"), UInt8(ascii: "("), UInt8(ascii: "{"): 8
    default: 4
    }
  }
}

/// Reads values that a peer wrote. What is shorter than it says, nested too deep or of unknown types is `nil`.
struct DBusReader {
  private let bytes: [UInt8]
  private let swapped: Bool
  private(set) var position: Int

  /// A body begins at a multiple of 8 in its message, so it may be read by itself.
  init(_ bytes: [UInt8], endianness: UInt8, at position: Int = 0) {
    self.bytes = bytes
    swapped = endianness != DBusWriter.endianness
    self.position = position
  }

  private static let depthLimit = 32

  /// All values of a signature, `susa{sv}`.
  mutating func values(_ signature: String) -> [DBusValue]? {
    var rest = Array(signature.utf8)[...]
    var result: [DBusValue] = []
    while !rest.isEmpty {
      guard let type = Self.takeType(&rest, depth: 0), let value = value(type, depth: 0) else { return nil }
      result.append(value)
    }
    return result
  }

  mutating func align(_ size: Int) -> Bool {
    position = (position + size - 1) / size * size
    return position <= bytes.count
  }

  private mutating func integer<T: FixedWidthInteger>(_ type: T.Type) -> T? {
    let size = MemoryLayout<T>.size
    guard align(size), bytes.count - position >= size else { return nil }
    var value: T = 0
    withUnsafeMutableBytes(of: &value) { $0.copyBytes(from: bytes[position..<position + size]) }
    position += size
    return swapped ? value.byteSwapped : value
  }

  private mutating func text(_ count: Int) -> String? {
    guard count >= 0, bytes.count - position > count, bytes[position + count] == 0 else { return nil }
    let text = String(decoding: bytes[position..<position + count], as: UTF8.self)
    position += count + 1
    return text
  }

  private mutating func value(_ type: ArraySlice<UInt8>, depth: Int) -> DBusValue? {
    guard depth < Self.depthLimit, let first = type.first else { return nil }
    switch Character(Unicode.Scalar(first)) {
    case "y":
      guard position < bytes.count else { return nil }
      position += 1
      return .byte(bytes[position - 1])
    case "b": return integer(UInt32.self).map { .boolean($0 != 0) }
    case "n": return integer(Int16.self).map { .int32(Int32($0)) }
    case "q": return integer(UInt16.self).map { .uint32(UInt32($0)) }
    case "i": return integer(Int32.self).map { .int32($0) }
    case "u", "h": return integer(UInt32.self).map { .uint32($0) }
    case "x": return integer(Int64.self).map { .int64($0) }
    case "t": return integer(UInt64.self).map { .uint64($0) }
    case "d": return integer(UInt64.self).map { .double(Double(bitPattern: $0)) }
    case "s", "o":
      guard let count = integer(UInt32.self), let text = text(Int(count)) else { return nil }
      return first == UInt8(ascii: "o") ? .objectPath(text) : .string(text)
    case "g":
      guard position < bytes.count else { return nil }
      position += 1
      return text(Int(bytes[position - 1])).map { .signature($0) }
    case "v":
      guard case .signature(let signature)? = value([UInt8(ascii: "g")], depth: depth) else { return nil }
      var rest = Array(signature.utf8)[...]
      guard let type = Self.takeType(&rest, depth: 0), rest.isEmpty, let value = value(type, depth: depth + 1) else {
        return nil
      }
      return .variant(value)
    case "a": return array(type.dropFirst(), depth: depth)
    case "(", "{":
      guard align(8) else { return nil }
      var rest = type.dropFirst().dropLast()
      var members: [DBusValue] = []
      while !rest.isEmpty {
        guard let type = Self.takeType(&rest, depth: depth), let member = value(type, depth: depth + 1) else {
          return nil
        }
        members.append(member)
      }
      if first == UInt8(ascii: "(") { return .structure(members) }
      return members.count == 2 ? .entry(members[0], members[1]) : nil
    default: return nil
    }
  }

  private mutating func array(_ element: ArraySlice<UInt8>, depth: Int) -> DBusValue? {
    let signature = String(decoding: element, as: UTF8.self)
    guard let count = integer(UInt32.self), align(DBusWriter.alignment(of: signature)),
      Int(count) <= bytes.count - position
    else { return nil }
    let end = position + Int(count)
    var values: [DBusValue] = []
    while position < end {
      let start = position
      // Every element has bytes: one without would never come to the end.
      guard let value = value(element, depth: depth + 1), position <= end, position > start else { return nil }
      values.append(value)
    }
    return .array(signature, values)
  }

  /// The first complete type of a signature; `nil` when it isn't one.
  private static func takeType(_ signature: inout ArraySlice<UInt8>, depth: Int) -> ArraySlice<UInt8>? {
    guard depth < depthLimit, let first = signature.first else { return nil }
    let all = signature
    signature = signature.dropFirst()
    switch Character(Unicode.Scalar(first)) {
    case "a":
      guard takeType(&signature, depth: depth + 1) != nil else { return nil }
    case "(", "{":
      let close = first == UInt8(ascii: "(") ? UInt8(ascii: ")") : UInt8(ascii: "}")
      while let next = signature.first, next != close {
        guard takeType(&signature, depth: depth + 1) != nil else { return nil }
      }
      guard signature.popFirst() == close else { return nil }
    case "y", "b", "n", "q", "i", "u", "h", "x", "t", "d", "s", "o", "g", "v": break
    default: return nil
    }
    return all[all.startIndex..<signature.startIndex]
  }
}

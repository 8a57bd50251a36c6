import CLinux

/// One message from the kernel.
public struct NetlinkMessage: Sendable {
  public let type: UInt16
  public let flags: UInt16
  public let sequence: UInt32
  /// The socket whose request caused a notice; 0 is the kernel itself.
  public let port: UInt32
  let payload: ArraySlice<UInt8>

  /// Cuts a datagram into its messages.
  static func parse(_ bytes: ArraySlice<UInt8>) throws(NetlinkError) -> [NetlinkMessage] {
    var result: [NetlinkMessage] = []
    var rest = bytes
    while rest.count >= 16 {
      guard let length = rest.integer(UInt32.self, at: 0), length >= 16, Int(length) <= rest.count else {
        throw .malformed("header")
      }
      result.append(
        NetlinkMessage(
          type: rest.integer(UInt16.self, at: 4) ?? 0, flags: rest.integer(UInt16.self, at: 6) ?? 0,
          sequence: rest.integer(UInt32.self, at: 8) ?? 0, port: rest.integer(UInt32.self, at: 12) ?? 0,
          payload: rest.dropFirst(16).prefix(Int(length) - 16)))
      rest = rest.dropFirst((Int(length) + 3) & ~3)
    }
    return result
  }

  /// The attributes that follow a fixed header of `size` bytes.
  func attributes(after size: Int) throws(NetlinkError) -> NetlinkAttributes {
    guard payload.count >= size else { throw .malformed("message of type \(type)") }
    return try NetlinkAttributes(payload.dropFirst((size + 3) & ~3))
  }
}

/// The attributes of a message or of a nest, by type; the last of a type wins.
struct NetlinkAttributes: Sendable {
  private(set) var entries: [(type: Int, payload: ArraySlice<UInt8>)] = []

  init(_ bytes: ArraySlice<UInt8>) throws(NetlinkError) {
    var rest = bytes
    while rest.count >= 4 {
      guard let length = rest.integer(UInt16.self, at: 0), length >= 4, Int(length) <= rest.count,
        let type = rest.integer(UInt16.self, at: 2)
      else { throw .malformed("attribute") }
      // NLA_F_NESTED and NLA_F_NET_BYTEORDER are the two upper bits
      entries.append((Int(type & 0x3fff), rest.dropFirst(4).prefix(Int(length) - 4)))
      rest = rest.dropFirst((Int(length) + 3) & ~3)
    }
  }

  subscript(type: Int) -> ArraySlice<UInt8>? { entries.last { $0.type == type }?.payload }

  func string(_ type: Int) -> String? {
    self[type].map { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
  func host<T: FixedWidthInteger>(_ type: Int, as _: T.Type = T.self) -> T? { self[type]?.integer(T.self, at: 0) }
  func network<T: FixedWidthInteger>(_ type: Int, as _: T.Type = T.self) -> T? {
    host(type, as: T.self).map { T(bigEndian: $0) }
  }
  func nested(_ type: Int) throws(NetlinkError) -> NetlinkAttributes? {
    guard let payload = self[type] else { return nil }
    return try NetlinkAttributes(payload)
  }
}

extension ArraySlice<UInt8> {
  /// An integer in the machine's order; nil beyond the end.
  func integer<T: FixedWidthInteger>(_: T.Type, at offset: Int) -> T? {
    guard offset >= 0, count - offset >= MemoryLayout<T>.size else { return nil }
    return withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: T.self) }
  }
}

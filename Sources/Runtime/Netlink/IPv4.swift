/// An IPv4 address; `bits` in the machine's order, 127.0.0.1 is 0x7f000001.
public struct IPv4Address: Sendable, Hashable, Comparable, CustomStringConvertible {
  public let bits: UInt32

  public init(bits: UInt32) { self.bits = bits }

  /// Four decimal numbers without leading zeros, as inet_pton(3) takes them; nil for anything else.
  public init?(_ text: some StringProtocol) {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bits: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.count), part.allSatisfy({ (48...57).contains($0) }),
        part.count == 1 || part.first != 48
      else {
        return nil
      }
      let value = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 48) }
      guard value < 256 else { return nil }
      bits = bits << 8 | value
    }
    self.bits = bits
  }

  /// From four bytes of a message; nil for another count.
  init?(network bytes: ArraySlice<UInt8>) {
    guard bytes.count == 4, let value = bytes.integer(UInt32.self, at: 0) else { return nil }
    bits = UInt32(bigEndian: value)
  }

  public var bytes: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: bits >> (24 - 8 * $0)) } }
  public var isLoopback: Bool { bits >> 24 == 127 }
  public var isUnspecified: Bool { bits == 0 }

  public var description: String { "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)" }
  public static func < (a: IPv4Address, b: IPv4Address) -> Bool { a.bits < b.bits }
}

/// A range of addresses with a common prefix, and an address in it: `172.17.0.1/16` keeps its host part.
public struct IPv4Subnet: Sendable, Hashable, CustomStringConvertible {
  public let address: IPv4Address
  /// 0 to 32.
  public let prefix: Int

  public init?(_ address: IPv4Address, prefix: Int) {
    guard (0...32).contains(prefix) else { return nil }
    self.address = address
    self.prefix = prefix
  }

  /// `address/prefix`.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = IPv4Address(parts[0]), (1...2).contains(parts[1].utf8.count),
      let prefix = UInt8(parts[1])
    else { return nil }
    self.init(address, prefix: Int(prefix))
  }

  public var mask: UInt32 { prefix == 0 ? 0 : ~0 << UInt32(32 - prefix) }
  /// The first address, with no host part.
  public var network: IPv4Address { IPv4Address(bits: address.bits & mask) }
  public var broadcast: IPv4Address { IPv4Address(bits: address.bits | ~mask) }
  /// Without the host part: `172.17.0.0/16`.
  public var canonical: String { "\(network)/\(prefix)" }

  public func contains(_ other: IPv4Address) -> Bool { other.bits & mask == address.bits & mask }
  public func overlaps(_ other: IPv4Subnet) -> Bool {
    let common = min(mask, other.mask)
    return address.bits & common == other.address.bits & common
  }

  public var description: String { "\(address)/\(prefix)" }
}

/// An IPv6 address; `high` and `low` are its halves in the machine's order.
public struct IPv6Address: Sendable, Hashable, Comparable, CustomStringConvertible {
  public let high: UInt64
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// RFC 4291's text without a zone, with an embedded IPv4 address at its end too; nil for anything else.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count <= 45 else { return nil }
    let halves = String(text).split(separator: "::", omittingEmptySubsequences: false).map(String.init)
    guard halves.count <= 2, let front = Self.groups(halves[0]),
      let back = halves.count == 2 ? Self.groups(halves[1]) : []
    else { return nil }
    let missing = 8 - front.count - back.count
    guard halves.count == 2 ? missing >= 1 : missing == 0 else { return nil }
    let all = front + [UInt16](repeating: 0, count: missing) + back
    high = all[..<4].reduce(0) { $0 << 16 | UInt64($1) }
    low = all[4...].reduce(0) { $0 << 16 | UInt64($1) }
  }

  private static func groups(_ text: String) -> [UInt16]? {
    if text.isEmpty { return [] }
    var result: [UInt16] = []
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    for (index, part) in parts.enumerated() {
      if index == parts.count - 1, let embedded = IPv4Address(part) {
        result += [UInt16(embedded.bits >> 16), UInt16(embedded.bits & 0xffff)]
        continue
      }
      guard (1...4).contains(part.utf8.count), part.first != "+", let value = UInt16(part, radix: 16) else {
        return nil
      }
      result.append(value)
    }
    return result.count <= 8 ? result : nil
  }

  /// From sixteen bytes of a message; nil for another count.
  public init?(network bytes: ArraySlice<UInt8>) {
    guard bytes.count == 16, let high = bytes.integer(UInt64.self, at: 0), let low = bytes.integer(UInt64.self, at: 8)
    else { return nil }
    self.init(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
  }

  public var bytes: [UInt8] {
    [high, low].flatMap { half in (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) } }
  }
  public var isLoopback: Bool { high == 0 && low == 1 }
  public var isUnspecified: Bool { high == 0 && low == 0 }
  /// fe80::/10
  public var isLinkLocal: Bool { high >> 54 == 0xfe80 >> 6 }
  public var isMulticast: Bool { high >> 56 == 0xff }

  /// RFC 5952: lower case, the longest run of zeros as `::`.
  public var description: String {
    let groups = [high, low].flatMap { half in (0..<4).map { UInt16(truncatingIfNeeded: half >> UInt64(48 - 16 * $0)) }
    }
    var best = 0..<0
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start > max(1, best.count) { best = start..<end }
      start = max(end, start + 1)
    }
    func text(_ part: ArraySlice<UInt16>) -> String { part.map { String($0, radix: 16) }.joined(separator: ":") }
    if best.isEmpty { return text(groups[...]) }
    return text(groups[..<best.lowerBound]) + "::" + text(groups[best.upperBound...])
  }

  public static func < (a: IPv6Address, b: IPv6Address) -> Bool { (a.high, a.low) < (b.high, b.low) }

  /// The address that many further on; nil past the end.
  public func advanced(by count: UInt64) -> IPv6Address? {
    let (sum, carry) = low.addingReportingOverflow(count)
    let (top, overflow) = high.addingReportingOverflow(carry ? 1 : 0)
    return overflow ? nil : IPv6Address(high: top, low: sum)
  }
}

/// A range of addresses with a common prefix, and an address in it: `fd00::1/64` keeps its host part.
public struct IPv6Subnet: Sendable, Hashable, CustomStringConvertible {
  public let address: IPv6Address
  /// 0 to 128.
  public let prefix: Int

  public init?(_ address: IPv6Address, prefix: Int) {
    guard (0...128).contains(prefix) else { return nil }
    self.address = address
    self.prefix = prefix
  }

  /// `address/prefix`.
  public init?(_ text: some StringProtocol) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, let address = IPv6Address(parts[0]), (1...3).contains(parts[1].utf8.count),
      let prefix = UInt8(parts[1])
    else { return nil }
    self.init(address, prefix: Int(prefix))
  }

  private static func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : bits >= 64 ? ~0 : ~0 << UInt64(64 - bits) }
  public var mask: IPv6Address { IPv6Address(high: Self.mask(prefix), low: Self.mask(prefix - 64)) }
  /// The first address, with no host part.
  public var network: IPv6Address { IPv6Address(high: address.high & mask.high, low: address.low & mask.low) }
  /// The last address.
  public var last: IPv6Address { IPv6Address(high: address.high | ~mask.high, low: address.low | ~mask.low) }
  public var canonical: String { "\(network)/\(prefix)" }

  public func contains(_ other: IPv6Address) -> Bool {
    other.high & mask.high == network.high && other.low & mask.low == network.low
  }
  public func overlaps(_ other: IPv6Subnet) -> Bool {
    prefix <= other.prefix ? contains(other.address) : other.contains(address)
  }

  public var description: String { "\(address)/\(prefix)" }
}

/// An address of either family.
public enum IPAddress: Sendable, Hashable, CustomStringConvertible {
  case v4(IPv4Address)
  case v6(IPv6Address)

  public init?(_ text: some StringProtocol) {
    if let address = IPv4Address(text) {
      self = .v4(address)
    } else if let address = IPv6Address(text) {
      self = .v6(address)
    } else {
      return nil
    }
  }

  public var bytes: [UInt8] {
    switch self {
    case .v4(let address): address.bytes
    case .v6(let address): address.bytes
    }
  }
  public var isV6: Bool { if case .v6 = self { true } else { false } }
  public var isUnspecified: Bool {
    switch self {
    case .v4(let address): address.isUnspecified
    case .v6(let address): address.isUnspecified
    }
  }
  public var isLoopback: Bool {
    switch self {
    case .v4(let address): address.isLoopback
    case .v6(let address): address.isLoopback
    }
  }
  public var description: String {
    switch self {
    case .v4(let address): address.description
    case .v6(let address): address.description
    }
  }
}

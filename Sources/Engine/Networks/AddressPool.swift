import Netlink

/// The addresses of a subnet that can be given out: all but the network's own, the broadcast's and the gateway's.
///
/// Next-fit: an address that was just given back is the last to be given again, so that neighbours and connection tracking have
/// forgotten it by then.
struct AddressPool: Sendable {
  let subnet: IPv4Subnet
  private let first: UInt32
  private let last: UInt32
  private var taken: Set<UInt32> = []
  private var cursor: UInt32

  /// `subnet`'s address is the gateway's; only addresses of `range` are given out unasked.
  init(_ subnet: IPv4Subnet, range: IPv4Subnet? = nil) {
    self.subnet = subnet
    let lowest = subnet.network.bits &+ 1
    let highest = subnet.prefix <= 30 ? subnet.broadcast.bits &- 1 : subnet.network.bits
    first = range.map { max($0.network.bits, lowest) } ?? lowest
    last = range.map { min($0.broadcast.bits, highest) } ?? highest
    cursor = first &- 1
  }

  /// nil when none is free.
  mutating func take() -> IPv4Address? {
    guard subnet.prefix <= 30, first <= last else { return nil }
    for _ in 0...(last - first) {
      cursor = cursor >= last || cursor < first ? first : cursor + 1
      if cursor != subnet.address.bits, taken.insert(cursor).inserted { return IPv4Address(bits: cursor) }
    }
    return nil
  }

  /// Takes a certain address; false when it's taken already or the gateway's.
  mutating func reserve(_ address: IPv4Address) -> Bool {
    guard address != subnet.address else { return false }
    if subnet.contains(address), address.bits > cursor, address.bits <= last { cursor = address.bits }
    return taken.insert(address.bits).inserted
  }

  /// Takes the address that was asked for, without moving on from it. false: taken.
  mutating func take(_ address: IPv4Address) -> Bool {
    guard address != subnet.address else { return false }
    return taken.insert(address.bits).inserted
  }

  mutating func give(back address: IPv4Address) { taken.remove(address.bits) }

  var count: Int { taken.count }
}

/// As `AddressPool`, of IPv6; it searches the first 2³² addresses of the range.
struct AddressPool6: Sendable {
  let subnet: IPv6Subnet
  private let start: IPv6Address
  private let size: UInt64
  private let excluded: Set<IPv6Address>
  private var taken: Set<IPv6Address> = []
  private var cursor: UInt64 = 0

  init(_ subnet: IPv6Subnet, range: IPv6Subnet?, excluding: Set<IPv6Address>) {
    self.subnet = subnet
    let range = range ?? subnet
    start = range.network
    let bits = 128 - range.prefix
    size = bits >= 32 ? 1 << 32 : 1 << UInt64(bits)
    excluded = excluding.union([subnet.network])
  }

  mutating func take() -> IPv6Address? {
    for _ in 0..<min(size, UInt64(taken.count + excluded.count + 1)) {
      cursor = (cursor + 1) % size
      if let address = start.advanced(by: cursor), take(address) { return address }
    }
    return nil
  }

  /// false: taken, or never given out.
  mutating func take(_ address: IPv6Address) -> Bool {
    !excluded.contains(address) && subnet.contains(address) && taken.insert(address).inserted
  }

  mutating func give(back address: IPv6Address) { taken.remove(address) }
}

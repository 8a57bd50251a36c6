import Netlink

/// The addresses of a subnet that can be given out: all but the network's own, the broadcast's and the gateway's.
///
/// Next-fit: an address that was just given back is the last to be given again, so that neighbours and connection tracking have
/// forgotten it by then.
struct AddressPool: Sendable {
  let subnet: IPv4Subnet
  private var taken: Set<UInt32> = []
  private var cursor: UInt32

  /// `subnet`'s address is the gateway's.
  init(_ subnet: IPv4Subnet) {
    self.subnet = subnet
    cursor = subnet.network.bits
  }

  private var first: UInt32 { subnet.network.bits &+ 1 }
  private var last: UInt32 { subnet.broadcast.bits &- 1 }

  /// nil when none is free.
  mutating func take() -> IPv4Address? {
    guard subnet.prefix <= 30 else { return nil }
    let size = last - first + 1
    for _ in 0..<size {
      cursor = cursor >= last ? first : cursor + 1
      if cursor != subnet.address.bits, taken.insert(cursor).inserted { return IPv4Address(bits: cursor) }
    }
    return nil
  }

  /// Takes a certain address (of a container that was found running); false when it's taken already.
  mutating func reserve(_ address: IPv4Address) -> Bool {
    if subnet.contains(address), address.bits > cursor, address.bits <= last { cursor = address.bits }
    return taken.insert(address.bits).inserted
  }

  mutating func give(back address: IPv4Address) { taken.remove(address.bits) }

  var count: Int { taken.count }
}

import Errdefs
import Kernel
import Netlink

/// Where the bridge's addresses come from: `--bip`, else what was chosen before, else the first of Docker's default pools that
/// meets none of the host's routes, addresses and name servers.
enum SubnetChoice {
  /// 172.17 to 172.31 as /16, then 192.168 in /20, then 10 in /20 from its end.
  static var candidates: [IPv4Subnet] {
    func gateway(_ a: UInt32, _ b: UInt32, _ c: UInt32, prefix: Int) -> IPv4Subnet? {
      IPv4Subnet(IPv4Address(bits: a << 24 | b << 16 | c << 8 | 1), prefix: prefix)
    }
    let wide = (UInt32(17)...31).compactMap { gateway(172, $0, 0, prefix: 16) }
    let narrow = (UInt32(0)..<16).compactMap { gateway(192, 168, $0 << 4, prefix: 20) }
    let last = (UInt32(0)..<256).reversed().compactMap { gateway(10, $0, 0, prefix: 20) }
    return wide + narrow + last
  }

  /// The first subnet of the pools that meets nothing; without pools a /24 of Docker's: small, so that a host has room for thousands.
  static func small(_ pools: [AddressPoolBase] = [], occupied: [IPv4Subnet]) throws(EngineError) -> IPv4Subnet {
    if pools.contains(where: \.isV4) {
      for pool in pools {
        if let free = pool.subnets4.first(where: { subnet in !occupied.contains { $0.overlaps(subnet) } }) {
          return free
        }
      }
      throw .invalidParameter("all predefined address pools have been fully subnetted")
    }
    // what overlaps a whole pool is skipped with it; the pool of the default bridge is among the occupied
    for pool in candidates {
      let near = occupied.filter { $0.overlaps(pool) }
      for index in UInt32(0)..<(1 << UInt32(24 - pool.prefix)) {
        guard let subnet = IPv4Subnet(IPv4Address(bits: pool.network.bits + index << 8 + 1), prefix: 24) else {
          continue
        }
        if !near.contains(where: { $0.overlaps(subnet) }) { return subnet }
      }
    }
    throw .invalidParameter("all predefined address pools have been fully subnetted")
  }

  /// The first IPv6 subnet of the pools that meets nothing; without pools a /64 of RFC 4193 at random.
  static func unique(_ pools: [AddressPoolBase] = [], occupied: [IPv6Subnet]) throws(EngineError) -> IPv6Subnet {
    if pools.contains(where: { !$0.isV4 }) {
      for pool in pools {
        if let free = pool.subnets6.first(where: { subnet in !occupied.contains { $0.overlaps(subnet) } }) {
          return free
        }
      }
      throw .invalidParameter("all predefined address pools have been fully subnetted")
    }
    for _ in 0..<64 {
      let high = 0xfd << 56 | UInt64.random(in: 0..<(1 << 56))
      if let subnet = IPv6Subnet(IPv6Address(high: high, low: 0), prefix: 64),
        !occupied.contains(where: { $0.overlaps(subnet) })
      {
        return subnet
      }
    }
    throw .system("no free IPv6 subnet was found")
  }

  /// `--bip`'s text: an address of a host in a subnet with room for two.
  static func parse(_ text: String) throws(EngineError) -> IPv4Subnet {
    guard let subnet = IPv4Subnet(text), (8...30).contains(subnet.prefix), subnet.address != subnet.network,
      subnet.address != subnet.broadcast
    else {
      throw .invalidParameter(
        "invalid bridge address \"\(text)\": an IPv4 address with its prefix is expected, as 172.17.0.1/16")
    }
    return subnet
  }

  static func choose(
    previous: IPv4Subnet?, _ pools: [AddressPoolBase] = [], occupied: [IPv4Subnet]
  ) throws(EngineError) -> IPv4Subnet {
    if pools.contains(where: \.isV4) {
      if let previous, pools.contains(where: { $0.contains(previous) }),
        !occupied.contains(where: { $0.overlaps(previous) })
      {
        return previous
      }
      return try small(pools, occupied: occupied)
    }
    let all = (previous.map { [$0] } ?? []) + candidates
    guard let free = all.first(where: { candidate in !occupied.contains { $0.overlaps(candidate) } }) else {
      throw .system("no free IPv4 subnet for the bridge: the host's routes overlap all of the default address pools")
    }
    return free
  }
}

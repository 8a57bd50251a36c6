import Errdefs
import Kernel
import Netlink
import Synchronization

extension Plumber {
  /// The network `bridge`, as the daemon's flags have it.
  mutating func defaultNetwork(_ subnet: IPv4Subnet, live: [Endpoint]) throws -> Network {
    let configuration = core.configuration
    let identity = core.state.withLock { $0.identities.bridge }
    var network = Network(id: identity.id, name: "bridge", created: identity.created, driver: "bridge")
    var pool = Network.Pool(subnet: subnet.canonical, gateway: subnet.address.description)
    if let text = configuration.addressRange {
      guard let range = IPv4Subnet(text), range.canonical == text, range.prefix >= subnet.prefix,
        subnet.contains(range.address)
      else { throw EngineError.invalidParameter("invalid fixed-cidr \(text): it isn't a part of \(subnet.canonical)") }
      pool.ipRange = text
    }
    network.pools = [pool]
    if configuration.enablesV6 {
      network.enableIPv6 = true
      network.pools.append(try pool6(live: live))
    }
    network.options = [
      "com.docker.network.bridge.default_bridge": "true",
      "com.docker.network.bridge.enable_icc": String(configuration.reachesPeers),
      "com.docker.network.bridge.enable_ip_masquerade": String(configuration.masquerades),
      "com.docker.network.bridge.host_binding_ipv4": configuration.defaultBinding,
      "com.docker.network.bridge.name": core.names.bridge,
      "com.docker.network.driver.mtu": String(configuration.effectiveMTU),
    ]
    return network
  }

  /// The IPv6 subnet of the default bridge: that of the containers that run, of `--bip6`, of `--fixed-cidr-v6`, or one of its own.
  private mutating func pool6(live: [Endpoint]) throws -> Network.Pool {
    let configuration = core.configuration
    let identities = core.state.withLock { $0.identities }
    let inUse = live.lazy.flatMap(\.interfaces).filter { $0.networkID == identities.bridge.id }.compactMap {
      interface in
      IPv6Address(interface.ipv6Gateway).flatMap { IPv6Subnet($0, prefix: interface.ipv6PrefixLength) }
    }.first
    let range = try configuration.addressRange6.map { text in
      guard let range = IPv6Subnet(text), (1...126).contains(range.prefix), range.canonical == text else {
        throw EngineError.invalidParameter(
          "invalid fixed-cidr-v6 \"\(text)\": a network as 2001:db8:1::/64 is expected")
      }
      return range
    }
    if let text = configuration.bridgeAddress6 {
      guard let own = IPv6Subnet(text), (1...126).contains(own.prefix), own.address != own.network else {
        throw EngineError.invalidParameter(
          "invalid bridge address \"\(text)\": an IPv6 address with its prefix is expected")
      }
      if let range, range.prefix < own.prefix || !own.contains(range.address) {
        throw EngineError.invalidParameter(
          "invalid fixed-cidr-v6 \(range.canonical): it isn't a part of \(own.canonical)")
      }
      return Network.Pool(
        subnet: own.canonical, ipRange: range?.canonical ?? "", gateway: own.address.description)
    }
    let subnet: IPv6Subnet
    if let range {
      subnet = range
    } else if let kept = inUse ?? identities.subnet6 {
      subnet = kept
    } else {
      subnet = try SubnetChoice.unique(configuration.addressPools, occupied: try links.routes6().map(\.destination))
      var changed = identities
      changed.subnet6 = subnet
      try changed.save(core.names.identities)
      let saved = changed
      core.state.withLock { $0.identities = saved }
    }
    return Network.Pool(subnet: subnet.canonical, gateway: subnet.network.advanced(by: 1)?.description ?? "")
  }

  /// The default bridge's IPv6 address, and forwarding; what an earlier start gave it goes.
  mutating func assertV6(_ segment: Segment) throws {
    let own = try links.addresses6().filter { $0.link == segment.index }.map(\.subnet)
    guard let subnet = segment.subnet6 else { return }
    try Sysctl.write("net/ipv6/conf/\(segment.bridge)/disable_ipv6", "0")
    var batch = NetlinkBatch()
    if core.configuration.bridgeName == nil {
      for other in own where other != subnet && !other.address.isLinkLocal {
        batch.deleteAddress(other, link: segment.index)
      }
    }
    if !own.contains(subnet) { batch.addAddress(subnet, link: segment.index) }
    try links.execute(batch)
    if core.configuration.setsForwarding { try Sysctl.write("net/ipv6/conf/all/forwarding", "1") }
  }
}

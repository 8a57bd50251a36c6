import CLinux

/// An IPv4 address of an interface, as RTM_GETADDR tells of it.
public struct LinkAddress: Sendable, Equatable {
  /// Index of the interface.
  public let link: Int32
  public let subnet: IPv4Subnet
  /// Permanent, and good beyond the link: RT_SCOPE_UNIVERSE with IFA_F_PERMANENT.
  public let isGlobal: Bool

  init?(_ message: NetlinkMessage) throws(NetlinkError) {
    guard Int(message.type) == RTM_NEWADDR, message.payload.first == UInt8(AF_INET) else { return nil }
    let attributes = try message.attributes(after: MemoryLayout<ifaddrmsg>.size)
    // IFA_LOCAL is the own address, IFA_ADDRESS the peer's on a point-to-point link
    guard let bytes = attributes[Int(IFA_LOCAL)] ?? attributes[Int(IFA_ADDRESS)],
      let address = IPv4Address(network: bytes),
      let prefix = message.payload.integer(UInt8.self, at: 1), let index = message.payload.integer(Int32.self, at: 4),
      let subnet = IPv4Subnet(address, prefix: Int(prefix))
    else { throw .malformed("address") }
    link = index
    self.subnet = subnet
    let flags: UInt8 = message.payload.integer(UInt8.self, at: 2) ?? 0
    isGlobal = message.payload.integer(UInt8.self, at: 3) == 0 && Int32(flags) & IFA_F_PERMANENT != 0
  }
}

/// An IPv4 route of any table, as RTM_GETROUTE tells of it.
public struct Route: Sendable, Equatable {
  /// 0.0.0.0/0 for a default route.
  public let destination: IPv4Subnet
  public let gateway: IPv4Address?
  /// Index of the interface; 0: none.
  public let link: Int32
  /// RT_TABLE_MAIN is 254, RT_TABLE_LOCAL 255.
  public let table: UInt32

  init?(_ message: NetlinkMessage) throws(NetlinkError) {
    guard Int(message.type) == RTM_NEWROUTE, message.payload.first == UInt8(AF_INET) else { return nil }
    let attributes = try message.attributes(after: MemoryLayout<rtmsg>.size)
    guard let prefix = message.payload.integer(UInt8.self, at: 1),
      let table = message.payload.integer(UInt8.self, at: 4),
      let destination = IPv4Subnet(
        attributes[Int(RTA_DST.rawValue)].flatMap { IPv4Address(network: $0) } ?? IPv4Address(bits: 0),
        prefix: Int(prefix))
    else { throw .malformed("route") }
    self.destination = destination
    gateway = attributes[Int(RTA_GATEWAY.rawValue)].flatMap { IPv4Address(network: $0) }
    link = attributes.host(Int(RTA_OIF.rawValue)) ?? 0
    self.table = attributes.host(Int(RTA_TABLE.rawValue)) ?? UInt32(table)
  }
}

extension NetlinkBatch {
  /// Gives an interface an address with its broadcast. EEXIST when it has it.
  public mutating func addAddress(_ subnet: IPv4Subnet, link: Int32) {
    var header = ifaddrmsg()
    header.ifa_family = UInt8(AF_INET)
    header.ifa_prefixlen = UInt8(subnet.prefix)
    header.ifa_index = UInt32(bitPattern: link)
    message(Int(RTM_NEWADDR), flags: NLM_F_CREATE | NLM_F_EXCL, header: header, "add address", "\(subnet)") { batch in
      batch.attribute(Int(IFA_LOCAL), subnet.address.bytes)
      batch.attribute(Int(IFA_ADDRESS), subnet.address.bytes)
      batch.attribute(Int(IFA_BROADCAST), subnet.broadcast.bytes)
    }
  }

  /// EADDRNOTAVAIL when it doesn't have it.
  public mutating func deleteAddress(_ subnet: IPv4Subnet, link: Int32) {
    var header = ifaddrmsg()
    header.ifa_family = UInt8(AF_INET)
    header.ifa_prefixlen = UInt8(subnet.prefix)
    header.ifa_index = UInt32(bitPattern: link)
    message(Int(RTM_DELADDR), flags: 0, header: header, "delete address", "\(subnet)") { batch in
      batch.attribute(Int(IFA_LOCAL), subnet.address.bytes)
    }
  }

  public mutating func deleteAddress(_ subnet: IPv6Subnet, link: Int32) {
    var header = ifaddrmsg()
    header.ifa_family = UInt8(AF_INET6)
    header.ifa_prefixlen = UInt8(subnet.prefix)
    header.ifa_index = UInt32(bitPattern: link)
    message(Int(RTM_DELADDR), flags: 0, header: header, "delete address", "\(subnet)") { batch in
      batch.attribute(Int(IFA_LOCAL), subnet.address.bytes)
    }
  }

  /// `destination` nil: the default route.
  public mutating func addRoute(_ destination: IPv4Subnet? = nil, gateway: IPv4Address, link: Int32) {
    var header = rtmsg()
    header.rtm_family = UInt8(AF_INET)
    header.rtm_dst_len = UInt8(destination?.prefix ?? 0)
    header.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
    header.rtm_protocol = UInt8(RTPROT_BOOT)
    header.rtm_scope = UInt8(RT_SCOPE_UNIVERSE.rawValue)
    header.rtm_type = UInt8(RTN_UNICAST)
    message(
      Int(RTM_NEWROUTE), flags: NLM_F_CREATE | NLM_F_EXCL, header: header, "add route",
      destination?.canonical ?? "default"
    ) { batch in
      if let destination { batch.attribute(Int(RTA_DST.rawValue), destination.network.bytes) }
      batch.attribute(Int(RTA_GATEWAY.rawValue), gateway.bytes)
      batch.attribute(Int(RTA_OIF.rawValue), host: link)
    }
  }
}

extension NetlinkBatch {
  /// A route to neighbours on an interface, which are spoken to with that address of ours.
  public mutating func addRoute(_ destination: IPv4Subnet, source: IPv4Address, link: Int32) {
    var header = Self.route(AF_INET, prefix: destination.prefix)
    header.rtm_scope = UInt8(RT_SCOPE_LINK.rawValue)
    message(
      Int(RTM_NEWROUTE), flags: NLM_F_CREATE | NLM_F_EXCL, header: header, "add route", destination.canonical
    ) { batch in
      batch.attribute(Int(RTA_DST.rawValue), destination.network.bytes)
      batch.attribute(Int(RTA_PREFSRC.rawValue), source.bytes)
      batch.attribute(Int(RTA_OIF.rawValue), host: link)
    }
  }

  /// Gives an interface an IPv6 address at once, without asking whether a neighbour has it: nobody else gives addresses out here.
  public mutating func addAddress(_ subnet: IPv6Subnet, link: Int32) {
    var header = ifaddrmsg()
    header.ifa_family = UInt8(AF_INET6)
    header.ifa_prefixlen = UInt8(subnet.prefix)
    header.ifa_flags = UInt8(IFA_F_NODAD)
    header.ifa_index = UInt32(bitPattern: link)
    message(Int(RTM_NEWADDR), flags: NLM_F_CREATE | NLM_F_EXCL, header: header, "add address", "\(subnet)") { batch in
      batch.attribute(Int(IFA_LOCAL), subnet.address.bytes)
      batch.attribute(Int(IFA_ADDRESS), subnet.address.bytes)
    }
  }

  private static func route(_ family: Int32, prefix: Int) -> rtmsg {
    var header = rtmsg()
    header.rtm_family = UInt8(family)
    header.rtm_dst_len = UInt8(prefix)
    header.rtm_table = UInt8(RT_TABLE_MAIN.rawValue)
    header.rtm_protocol = UInt8(RTPROT_BOOT)
    header.rtm_scope = UInt8(RT_SCOPE_UNIVERSE.rawValue)
    header.rtm_type = UInt8(RTN_UNICAST)
    return header
  }

  /// The IPv6 default route.
  public mutating func addRoute(gateway: IPv6Address, link: Int32) {
    message(
      Int(RTM_NEWROUTE), flags: NLM_F_CREATE | NLM_F_EXCL, header: Self.route(AF_INET6, prefix: 0), "add route",
      "default"
    ) { batch in
      batch.attribute(Int(RTA_GATEWAY.rawValue), gateway.bytes)
      batch.attribute(Int(RTA_OIF.rawValue), host: link)
    }
  }

  /// A default route to all that is on the link, without a router. `v6`: of IPv6.
  public mutating func addLinkRoute(v6: Bool, link: Int32) {
    var header = Self.route(v6 ? AF_INET6 : AF_INET, prefix: 0)
    header.rtm_scope = UInt8(RT_SCOPE_LINK.rawValue)
    message(Int(RTM_NEWROUTE), flags: NLM_F_CREATE | NLM_F_EXCL, header: header, "add route", "default") { batch in
      batch.attribute(Int(RTA_OIF.rawValue), host: link)
    }
  }

  /// Takes a default route away. ESRCH when there is none.
  public mutating func deleteDefaultRoute(v6: Bool) {
    var header = Self.route(v6 ? AF_INET6 : AF_INET, prefix: 0)
    header.rtm_scope = UInt8(RT_SCOPE_NOWHERE.rawValue)
    header.rtm_protocol = 0
    message(Int(RTM_DELROUTE), flags: 0, header: header, "delete route", "default")
  }
}

extension NetlinkSocket {
  /// The IPv6 addresses of all interfaces of this socket's namespace, with the index of each.
  public mutating func addresses6() throws(NetlinkError) -> [(link: Int32, subnet: IPv6Subnet)] {
    var batch = NetlinkBatch()
    var header = ifaddrmsg()
    header.ifa_family = UInt8(AF_INET6)
    batch.message(Int(RTM_GETADDR), flags: dumpFlags, header: header, "list", "addresses")
    var result: [(link: Int32, subnet: IPv6Subnet)] = []
    for message in try query(batch) where Int(message.type) == RTM_NEWADDR {
      let attributes = try message.attributes(after: MemoryLayout<ifaddrmsg>.size)
      guard let address = attributes[Int(IFA_ADDRESS)].flatMap({ IPv6Address(network: $0) }),
        let prefix = message.payload.integer(UInt8.self, at: 1), let index = message.payload.integer(Int32.self, at: 4),
        let subnet = IPv6Subnet(address, prefix: Int(prefix))
      else { continue }
      result.append((index, subnet))
    }
    return result
  }

  /// The destinations of IPv6 routes of all tables but the default ones, with the table.
  public mutating func routes6() throws(NetlinkError) -> [(destination: IPv6Subnet, link: Int32, table: UInt32)] {
    var batch = NetlinkBatch()
    var header = rtmsg()
    header.rtm_family = UInt8(AF_INET6)
    batch.message(Int(RTM_GETROUTE), flags: dumpFlags, header: header, "list", "routes")
    var result: [(destination: IPv6Subnet, link: Int32, table: UInt32)] = []
    for message in try query(batch) where Int(message.type) == RTM_NEWROUTE {
      let attributes = try message.attributes(after: MemoryLayout<rtmsg>.size)
      guard let prefix = message.payload.integer(UInt8.self, at: 1),
        let table = message.payload.integer(UInt8.self, at: 4),
        let address = attributes[Int(RTA_DST.rawValue)].flatMap({ IPv6Address(network: $0) }),
        let destination = IPv6Subnet(address, prefix: Int(prefix))
      else { continue }
      result.append(
        (
          destination, attributes.host(Int(RTA_OIF.rawValue)) ?? 0,
          attributes.host(Int(RTA_TABLE.rawValue)) ?? UInt32(table)
        ))
    }
    return result
  }

  /// The IPv4 addresses of all interfaces of this socket's namespace.
  public mutating func addresses() throws(NetlinkError) -> [LinkAddress] {
    var batch = NetlinkBatch()
    var header = ifaddrmsg()
    header.ifa_family = UInt8(AF_INET)
    batch.message(Int(RTM_GETADDR), flags: dumpFlags, header: header, "list", "addresses")
    var result: [LinkAddress] = []
    for message in try query(batch) {
      if let address = try LinkAddress(message) { result.append(address) }
    }
    return result
  }

  /// The IPv4 routes of all tables.
  public mutating func routes() throws(NetlinkError) -> [Route] {
    var batch = NetlinkBatch()
    var header = rtmsg()
    header.rtm_family = UInt8(AF_INET)
    batch.message(Int(RTM_GETROUTE), flags: dumpFlags, header: header, "list", "routes")
    var result: [Route] = []
    for message in try query(batch) {
      if let route = try Route(message) { result.append(route) }
    }
    return result
  }
}

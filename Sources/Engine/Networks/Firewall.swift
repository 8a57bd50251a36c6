import Netlink

/// The nftables table of this daemon: masquerading, published ports, isolation. The only type that knows its rules.
///
/// ```
/// table inet berth {
///   map published, published6         { proto . port : address . port }              ports on 0.0.0.0 and [::]
///   map published_at, published_at6   { address . proto . port : address . port }    ports on one address
///   set bridges       { ifname }           all of ours
///   set internal      { ifname }           those whose networks reach nothing else
///   set paths         { ifname . ifname }  from a bridge to itself, where containers reach each other
///   chain raw         prerouting -300   a container can't reach the host's loopback, nor claim to come from there or from elsewhere
///   chain ports                         dnat by published_at, then by published
///   chain prerouting  nat -100          from other hosts and from containers
///   chain output      nat -100          from the host itself, 127.0.0.1 included (route_localnet on the bridge)
///   chain postrouting nat 100           masquerade what leaves a subnet, what comes back to it through a published port
///                                       (hairpin), and the host's loopback on its way in
///   chain forward     filter 0          into a bridge goes what is established, published or from the same bridge; the rest is
///                                       dropped, and whatever an internal network sends elsewhere
/// }
/// ```
/// `accept` here ends this table alone: a policy or rule of another table can still drop (`Networks.warnings` tells of policies).
struct Firewall: ~Copyable {
  /// A port of the host that leads to a container's. Both addresses are of one family.
  struct Mapping: Sendable, Hashable {
    let transport: ContainerPort.Transport
    let hostAddress: IPAddress
    let hostPort: UInt16
    let target: IPAddress
    let targetPort: UInt16
  }

  /// What the rules must know of a network.
  struct Zone: Sendable, Equatable {
    let bridge: String
    let subnet: IPv4Subnet?
    let subnet6: IPv6Subnet?
    let isInternal: Bool
    let reachesPeers: Bool
    let masquerades: Bool
    /// The bridge has the subnet's address.
    let isRouted: Bool
  }

  let table: String
  /// What comes from other hosts isn't led past the host's own input rules: the daemon takes it up behind them (`Forwarder`).
  let respectsHost: Bool
  private var socket: NetlinkSocket
  /// Chains and how many rules each had when the table was made.
  private var made: [NftChain] = []

  static let maps: [NftMap] = [
    NftMap("published", key: [.transport, .port], value: [.ipv4Address, .port]),
    NftMap("published6", key: [.transport, .port], value: [.ipv6Address, .port]),
    NftMap("published_at", key: [.ipv4Address, .transport, .port], value: [.ipv4Address, .port]),
    NftMap("published_at6", key: [.ipv6Address, .transport, .port], value: [.ipv6Address, .port]),
    NftMap("bridges", key: [.interface], value: []),
    NftMap("internal", key: [.interface], value: []),
    NftMap("paths", key: [.interface, .interface], value: []),
  ]

  /// In the calling thread's network namespace. - Throws: EPROTONOSUPPORT where the kernel has no nfnetlink.
  init(table: String, respectsHost: Bool = false) throws(NetlinkError) {
    self.table = table
    self.respectsHost = respectsHost
    socket = try NetlinkSocket(.netfilter)
  }

  /// The number that notices caused by this firewall bear.
  var port: UInt32 { socket.port }

  /// Makes the table anew with these networks and ports, in one transaction: there is no moment without it.
  mutating func assert(_ zones: [Zone], _ mappings: [Mapping]) throws(NetlinkError) {
    var transaction = NftTransaction()
    // added first so that the deletion can't fail
    transaction.addTable(.inet, table)
    transaction.deleteTable(.inet, table)
    transaction.addTable(.inet, table)
    for (index, map) in Self.maps.enumerated() {
      transaction.addMap(.inet, table: table, map, id: UInt32(index + 1))
    }
    let hooks: [(String, NftTransaction.Hook?)] = [
      ("raw", .init(.filter, .prerouting, priority: -300)), ("ports", nil), ("ports6", nil),
      ("prerouting", .init(.nat, .prerouting, priority: -100)), ("output", .init(.nat, .output, priority: -100)),
      ("postrouting", .init(.nat, .postrouting, priority: 100)), ("forward", .init(.filter, .forward, priority: 0)),
    ]
    for (chain, hook) in hooks { transaction.addChain(.inet, table: table, chain, hook: hook) }
    for (chain, rule) in Self.rules + (respectsHost ? [] : Self.leading) + Self.rules(of: zones) {
      transaction.addRule(.inet, table: table, chain: chain, rule)
    }
    for (set, keys) in Self.sets(of: zones) where !keys.isEmpty {
      transaction.addElements(.inet, table: table, map: set, keys.map { NftMap.Element(key: $0, value: []) })
    }
    Self.add(mappings, to: &transaction, table: table)
    try socket.commit(transaction)
    made = try present()
  }

  /// The table is there with all its chains and rules. For when notices of what others did were lost; elements aren't looked at.
  mutating func isWhole() throws(NetlinkError) -> Bool { try present() == made }

  private mutating func present() throws(NetlinkError) -> [NftChain] {
    try socket.chains().filter { $0.table == table && $0.family == NftTransaction.Family.inet.rawValue }
  }

  mutating func add(_ mappings: [Mapping]) throws(NetlinkError) {
    var transaction = NftTransaction()
    Self.add(mappings, to: &transaction, table: table)
    try socket.commit(transaction)
  }

  /// ENOENT when one of them isn't there.
  mutating func delete(_ mappings: [Mapping]) throws(NetlinkError) {
    var transaction = NftTransaction()
    for (map, elements) in Self.elements(mappings) {
      transaction.deleteElements(.inet, table: table, map: map, elements)
    }
    try socket.commit(transaction)
  }

  /// Takes the table away. Absence is success.
  mutating func remove() throws(NetlinkError) {
    var transaction = NftTransaction()
    transaction.addTable(.inet, table)
    transaction.deleteTable(.inet, table)
    try socket.commit(transaction)
  }

  /// Base chains of other tables on the forward hook whose policy is to drop, as `family table chain`.
  mutating func droppingForwardPolicies() throws(NetlinkError) -> [String] {
    let families: [UInt8: String] = [1: "inet", 2: "ip"]
    return try socket.chains().compactMap { chain in
      guard chain.hook == 2, chain.policy == 0, let family = families[chain.family], chain.table != table else {
        return nil
      }
      return "\(family) \(chain.table) \(chain.name)"
    }
  }

  private static func add(_ mappings: [Mapping], to transaction: inout NftTransaction, table: String) {
    for (map, elements) in elements(mappings) { transaction.addElements(.inet, table: table, map: map, elements) }
  }

  private static func elements(_ mappings: [Mapping]) -> [(map: String, [NftMap.Element])] {
    var result: [String: [NftMap.Element]] = [:]
    for mapping in mappings where mapping.isKernels {
      let port = NftMap.transport(mapping.transport.number) + NftMap.port(mapping.hostPort)
      let value = mapping.target.bytes + NftMap.port(mapping.targetPort)
      let suffix = mapping.hostAddress.isV6 ? "6" : ""
      if mapping.hostAddress.isUnspecified {
        result["published" + suffix, default: []].append(NftMap.Element(key: port, value: value))
      } else {
        result["published_at" + suffix, default: []].append(
          NftMap.Element(key: mapping.hostAddress.bytes + port, value: value))
      }
    }
    return result.map { ($0.key, $0.value) }
  }

  private static func sets(of zones: [Zone]) -> [(set: String, keys: [[UInt8]])] {
    func name(_ zone: Zone) -> [UInt8] { NftExpression.name(zone.bridge) }
    return [
      ("bridges", zones.map(name)), ("internal", zones.filter(\.isInternal).map(name)),
      ("paths", zones.filter(\.reachesPeers).map { name($0) + name($0) }),
    ]
  }

  // SAFETY: 127 and a prefix of 8 are in range
  private static let loopback = IPv4Subnet(IPv4Address(bits: 0x7f00_0000), prefix: 8)!
  // SAFETY: a prefix of 128 is in range
  private static let loopback6 = IPv6Subnet(IPv6Address(high: 0, low: 1), prefix: 128)!

  /// RTN_LOCAL: an address of the host.
  private static let toHost: [NftExpression] = [
    .destinationType(to: 0), .compare(0, equal: true, withUnsafeBytes(of: UInt32(2)) { Array($0) }),
  ]

  /// What comes from elsewhere goes to published ports.
  private static var leading: [(chain: String, [NftExpression])] {
    [
      ("prerouting", toHost + NftExpression.family(.ip) + [.verdict(.jump("ports"))]),
      ("prerouting", toHost + NftExpression.family(.ip6) + [.verdict(.jump("ports6"))]),
    ]
  }

  private static var rules: [(chain: String, [NftExpression])] {
    let v4 = NftExpression.family(.ip)
    let v6 = NftExpression.family(.ip6)
    let fromBridge = NftExpression.input(in: "bridges")
    let intoBridge = NftExpression.output(in: "bridges")
    func lookup(_ map: String, _ offset: UInt32, _ words: UInt32, _ family: NftTransaction.Family) -> [NftExpression] {
      [
        .payload(.network, offset: offset, length: words * 4, to: 0), .meta(.transport, to: words),
        .payload(.transport, offset: 2, length: 2, to: words + 1), .lookup(map: map, key: 0, data: 0),
        .destinationNAT(family, address: 0, port: words),
      ]
    }
    func lookup(_ map: String, _ words: UInt32, _ family: NftTransaction.Family) -> [NftExpression] {
      [
        .meta(.transport, to: 0), .payload(.transport, offset: 2, length: 2, to: 1),
        .lookup(map: map, key: 0, data: 0), .destinationNAT(family, address: 0, port: words),
      ]
    }
    return [
      ("raw", fromBridge + v4 + NftExpression.destination(loopback) + [.verdict(.drop)]),
      ("raw", fromBridge + v4 + NftExpression.source(loopback) + [.verdict(.drop)]),

      ("ports", lookup("published_at", 16, 1, .ip)),
      ("ports", lookup("published", 1, .ip)),
      ("ports6", lookup("published_at6", 24, 4, .ip6)),
      ("ports6", lookup("published6", 4, .ip6)),

      // a neighbour that sends to 127.0.0.1 over the wire must not reach what is published there (moby issue 45610)
      (
        "prerouting",
        v4 + NftExpression.destination(loopback) + NftExpression.input("lo", equal: false) + [.verdict(.returns)]
      ),
      ("output", toHost + v4 + [.verdict(.jump("ports"))]),
      // what goes to ::1 can't leave the loopback: the daemon itself carries that
      ("output", v6 + NftExpression.destination(loopback6) + [.verdict(.returns)]),
      ("output", toHost + v6 + [.verdict(.jump("ports6"))]),

      ("postrouting", v4 + NftExpression.source(loopback) + intoBridge + [.masquerade]),

      ("forward", NftExpression.isEstablished + [.verdict(.accept)]),
      ("forward", NftExpression.path(in: "paths") + [.verdict(.accept)]),
      ("forward", NftExpression.input(in: "internal") + [.verdict(.drop)]),
      ("forward", NftExpression.output(in: "internal") + [.verdict(.drop)]),
      ("forward", intoBridge + NftExpression.isDestinationNATed + [.verdict(.accept)]),
      ("forward", intoBridge + [.verdict(.drop)]),
    ]
  }

  private static func rules(of zones: [Zone]) -> [(chain: String, [NftExpression])] {
    var result: [(chain: String, [NftExpression])] = []
    for zone in zones {
      // only where the host has a route to the network
      let from = NftExpression.input(zone.bridge)
      if zone.subnet != nil, zone.isRouted {
        result.append(("raw", from + NftExpression.family(.ip) + NftExpression.isSpoofed + [.verdict(.drop)]))
      }
      if zone.subnet6 != nil {
        result.append(("raw", from + NftExpression.family(.ip6) + NftExpression.isSpoofed + [.verdict(.drop)]))
      }
      let into = NftExpression.output(zone.bridge)
      let out = NftExpression.output(zone.bridge, equal: false)
      var sources: [[NftExpression]] = []
      if let subnet = zone.subnet { sources.append(NftExpression.family(.ip) + NftExpression.source(subnet)) }
      if let subnet = zone.subnet6 { sources.append(NftExpression.family(.ip6) + NftExpression.source(subnet)) }
      for source in sources {
        if zone.masquerades, !zone.isInternal { result.append(("postrouting", source + out + [.masquerade])) }
        result.append(("postrouting", source + into + NftExpression.isDestinationNATed + [.masquerade]))
      }
    }
    return result
  }
}

extension Firewall.Zone {
  init(_ segment: Segment) {
    self.init(
      bridge: segment.bridge, subnet: segment.subnet, subnet6: segment.subnet6, isInternal: segment.network.isInternal,
      reachesPeers: segment.reachesPeers, masquerades: segment.masquerades,
      isRouted: !segment.inhibitsAddress)
  }
}

extension ContainerPort.Transport {
  /// IPPROTO_…
  var number: UInt8 {
    switch self {
    case .tcp: 6
    case .udp: 17
    case .sctp: 132
    }
  }
}

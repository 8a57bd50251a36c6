import Netlink

/// The nftables table of one bridge: masquerading, published ports, isolation. The only type that knows its rules.
///
/// ```
/// table ip berth {
///   map published    { type inet_proto . inet_service : ipv4_addr . inet_service }               ports on 0.0.0.0
///   map published_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service }   ports on one address
///   chain raw         prerouting -300   a container can't reach the host's loopback, nor claim to come from there
///   chain ports                         dnat by published_at, then by published
///   chain prerouting  nat -100          from other hosts and from containers
///   chain output      nat -100          from the host itself, 127.0.0.1 included (route_localnet on the bridge)
///   chain postrouting nat 100           masquerade what leaves the subnet, what comes back to it through a published port
///                                       (hairpin), and the host's loopback on its way in
///   chain forward     filter 0          into the bridge goes what is established, published or from the bridge; the rest is dropped
/// }
/// ```
/// `accept` here ends this table alone: a policy or rule of another table can still drop (`Networks.warnings` tells of policies).
struct Firewall: ~Copyable {
  /// A port of the host that leads to a container's.
  struct Mapping: Sendable, Hashable {
    let transport: ContainerPort.Transport
    let hostAddress: IPv4Address
    let hostPort: UInt16
    let target: IPv4Address
    let targetPort: UInt16
  }

  let table: String
  let bridge: String
  private var socket: NetlinkSocket

  static let anywhere = NftMap("published", key: [.transport, .port], value: [.ipv4Address, .port])
  static let somewhere = NftMap("published_at", key: [.ipv4Address, .transport, .port], value: [.ipv4Address, .port])

  /// In the calling thread's network namespace. - Throws: EPROTONOSUPPORT where the kernel has no nfnetlink.
  init(table: String, bridge: String) throws(NetlinkError) {
    self.table = table
    self.bridge = bridge
    socket = try NetlinkSocket(.netfilter)
  }

  /// The number that notices caused by this firewall bear.
  var port: UInt32 { socket.port }

  /// Makes the table anew with these ports, in one transaction: there is no moment without it.
  mutating func assert(subnet: IPv4Subnet, _ mappings: [Mapping]) throws(NetlinkError) {
    var transaction = NftTransaction()
    // added first so that the deletion can't fail
    transaction.addTable(.ip, table)
    transaction.deleteTable(.ip, table)
    transaction.addTable(.ip, table)
    transaction.addMap(.ip, table: table, Self.anywhere, id: 1)
    transaction.addMap(.ip, table: table, Self.somewhere, id: 2)
    transaction.addChain(.ip, table: table, "raw", hook: .init(.filter, .prerouting, priority: -300))
    transaction.addChain(.ip, table: table, "ports")
    transaction.addChain(.ip, table: table, "prerouting", hook: .init(.nat, .prerouting, priority: -100))
    transaction.addChain(.ip, table: table, "output", hook: .init(.nat, .output, priority: -100))
    transaction.addChain(.ip, table: table, "postrouting", hook: .init(.nat, .postrouting, priority: 100))
    transaction.addChain(.ip, table: table, "forward", hook: .init(.filter, .forward, priority: 0))
    for (chain, rule) in rules(subnet: subnet) { transaction.addRule(.ip, table: table, chain: chain, rule) }
    Self.add(mappings, to: &transaction, table: table)
    try socket.commit(transaction)
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
      transaction.deleteElements(.ip, table: table, map: map, elements)
    }
    try socket.commit(transaction)
  }

  /// Takes the table away. Absence is success.
  mutating func remove() throws(NetlinkError) {
    var transaction = NftTransaction()
    transaction.addTable(.ip, table)
    transaction.deleteTable(.ip, table)
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
    for (map, elements) in elements(mappings) { transaction.addElements(.ip, table: table, map: map, elements) }
  }

  private static func elements(_ mappings: [Mapping]) -> [(map: String, [NftMap.Element])] {
    var wide: [NftMap.Element] = []
    var narrow: [NftMap.Element] = []
    for mapping in mappings {
      let key = NftMap.transport(mapping.transport.number) + NftMap.port(mapping.hostPort)
      let value = NftMap.address(mapping.target) + NftMap.port(mapping.targetPort)
      if mapping.hostAddress.isUnspecified {
        wide.append(NftMap.Element(key: key, value: value))
      } else {
        narrow.append(NftMap.Element(key: NftMap.address(mapping.hostAddress) + key, value: value))
      }
    }
    var result: [(map: String, [NftMap.Element])] = []
    if !wide.isEmpty { result.append((anywhere.name, wide)) }
    if !narrow.isEmpty { result.append((somewhere.name, narrow)) }
    return result
  }

  private func rules(subnet: IPv4Subnet) -> [(chain: String, [NftExpression])] {
    // SAFETY: 127 and a prefix of 8 are in range
    let loopback = IPv4Subnet(IPv4Address(bits: 0x7f00_0000), prefix: 8)!
    let fromBridge = NftExpression.input(bridge)
    let intoBridge = NftExpression.output(bridge)
    let fromSubnet = NftExpression.source(subnet)
    // RTN_LOCAL: an address of the host
    let toHost: [NftExpression] = [
      .destinationType(to: 0), .compare(0, equal: true, withUnsafeBytes(of: UInt32(2)) { Array($0) }),
    ]
    return [
      ("raw", fromBridge + NftExpression.destination(loopback) + [.verdict(.drop)]),
      ("raw", fromBridge + NftExpression.source(loopback) + [.verdict(.drop)]),

      (
        "ports",
        [
          .payload(.network, offset: 16, length: 4, to: 0), .meta(.transport, to: 1),
          .payload(.transport, offset: 2, length: 2, to: 2), .lookup(map: Self.somewhere.name, key: 0, data: 0),
          .destinationNAT(address: 0, port: 1),
        ]
      ),
      (
        "ports",
        [
          .meta(.transport, to: 0), .payload(.transport, offset: 2, length: 2, to: 1),
          .lookup(map: Self.anywhere.name, key: 0, data: 0), .destinationNAT(address: 0, port: 1),
        ]
      ),

      // a neighbour that sends to 127.0.0.1 over the wire must not reach what is published there (moby issue 45610)
      (
        "prerouting",
        NftExpression.destination(loopback) + NftExpression.input("lo", equal: false) + [.verdict(.returns)]
      ),
      ("prerouting", toHost + [.verdict(.jump("ports"))]),
      ("output", toHost + [.verdict(.jump("ports"))]),

      ("postrouting", fromSubnet + NftExpression.output(bridge, equal: false) + [.masquerade]),
      ("postrouting", fromSubnet + intoBridge + NftExpression.isDestinationNATed + [.masquerade]),
      ("postrouting", NftExpression.source(loopback) + intoBridge + [.masquerade]),

      ("forward", intoBridge + NftExpression.isEstablished + [.verdict(.accept)]),
      ("forward", intoBridge + NftExpression.isDestinationNATed + [.verdict(.accept)]),
      ("forward", intoBridge + fromBridge + [.verdict(.accept)]),
      ("forward", intoBridge + [.verdict(.drop)]),
    ]
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

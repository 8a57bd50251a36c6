import Errdefs
import Netlink

/// A network at work: its bridge (or a macvlan's parent), its subnets and the addresses given out of them.
struct Segment: Sendable {
  var network: Network
  let isDefault: Bool
  /// Of the bridge, or of a macvlan's parent interface.
  let bridge: String
  /// Index of the bridge or the parent; 0 until it's there.
  var index: Int32 = 0
  /// The bridge's address, which is the gateway's, with the subnet's prefix.
  let subnet: IPv4Subnet?
  let subnet6: IPv6Subnet?
  var addresses: AddressPool?
  var addresses6: AddressPool6?
  let mtu: UInt32
  /// Containers of it reach each other.
  let reachesPeers: Bool
  let masquerades: Bool
  /// Empty: the daemon's default.
  let hostBinding: String
  /// `com.docker.network.bridge.inhibit_ipv4`: the bridge itself has no address.
  let inhibitsAddress: Bool
  /// Of a macvlan, `host_shim`: the host has an interface of its own on it, since it can't reach its macvlans by the parent.
  let hasShim: Bool

  var id: String { network.id }
  /// The name of the host's interface on a macvlan.
  var shimName: String { "mv-\(network.id.prefix(12))" }
  /// And its address: the auxiliary address `host`.
  var shimAddress: IPv4Address? {
    network.pools.lazy.compactMap { $0.auxiliary["host"] }.compactMap { IPv4Address($0) }.first
  }
  var isBridge: Bool { network.driver == "bridge" }
  /// Containers have a default route by it.
  var hasGateway: Bool { !network.isInternal }

  /// - Throws: 400 for options that can't be.
  init(_ network: Network, isDefault: Bool, bridge: String? = nil, defaultMTU: UInt32) throws(EngineError) {
    self.network = network
    self.isDefault = isDefault
    let options = network.options
    func flag(_ name: String, default value: Bool) throws(EngineError) -> Bool {
      guard let text = options["com.docker.network.\(name)"] else { return value }
      switch text.lowercased() {
      case "true", "1", "t": return true
      case "false", "0", "f": return false
      default:
        throw .invalidParameter(
          "failed to parse com.docker.network.\(name) value: \"\(text)\" (strconv.ParseBool: parsing \"\(text)\": invalid syntax)"
        )
      }
    }
    reachesPeers = try flag("bridge.enable_icc", default: true)
    masquerades = try flag("bridge.enable_ip_masquerade", default: true)
    inhibitsAddress = try flag("bridge.inhibit_ipv4", default: false)
    switch options["host_shim"]?.lowercased() ?? "false" {
    case "true", "1", "t": hasShim = true
    case "false", "0", "f": hasShim = false
    case let text: throw .invalidParameter("invalid value of host_shim: \"\(text)\" is neither true nor false")
    }
    hostBinding = options["com.docker.network.bridge.host_binding_ipv4"] ?? ""
    if !hostBinding.isEmpty, IPv4Address(hostBinding) == nil {
      throw .invalidParameter("invalid IP address in com.docker.network.bridge.host_binding_ipv4: \(hostBinding)")
    }
    if let text = options["com.docker.network.driver.mtu"] ?? options["mtu"] {
      guard let mtu = UInt32(text), mtu == 0 || (68...65535).contains(mtu) else {
        throw .invalidParameter("failed to parse com.docker.network.driver.mtu value: \"\(text)\"")
      }
      self.mtu = mtu == 0 ? defaultMTU : mtu
    } else {
      mtu = defaultMTU
    }
    if network.driver == "macvlan" {
      self.bridge = options["parent"] ?? ""
    } else {
      self.bridge = bridge ?? options["com.docker.network.bridge.name"] ?? "br-\(network.id.prefix(12))"
    }
    guard (0...Netlink.nameLimit).contains(self.bridge.utf8.count), !self.bridge.contains("/"),
      !self.bridge.contains(where: \.isWhitespace), self.bridge != ".", self.bridge != ".."
    else { throw .invalidParameter("invalid interface name \"\(self.bridge)\"") }

    var subnet: IPv4Subnet?
    var subnet6: IPv6Subnet?
    for pool in network.pools {
      if pool.isV6, let range = IPv6Subnet(pool.subnet) {
        let gateway = IPv6Address(pool.gateway) ?? range.network.advanced(by: 1) ?? range.network
        subnet6 = IPv6Subnet(gateway, prefix: range.prefix)
        let taken = pool.auxiliary.values.compactMap { IPv6Address($0) } + [gateway]
        addresses6 = AddressPool6(range, range: IPv6Subnet(pool.ipRange), excluding: Set(taken))
      } else if let range = IPv4Subnet(pool.subnet) {
        let gateway = IPv4Address(pool.gateway) ?? IPv4Address(bits: range.network.bits &+ 1)
        guard let own = IPv4Subnet(gateway, prefix: range.prefix) else { continue }
        subnet = own
        var addresses = AddressPool(own, range: IPv4Subnet(pool.ipRange))
        for address in pool.auxiliary.values.compactMap({ IPv4Address($0) }) { _ = addresses.reserve(address) }
        self.addresses = addresses
      }
    }
    self.subnet = subnet
    self.subnet6 = subnet6
  }

  /// No address is left, in Docker's words.
  func exhausted(_ family: String) -> EngineError {
    .system("no available \(family) addresses on this network's address pools: \(network.name) (\(network.id))")
  }
}

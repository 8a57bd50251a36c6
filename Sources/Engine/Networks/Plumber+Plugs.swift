import CLinux
import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

/// What is wanted of one interface.
struct Outlet: Sendable {
  /// The network's id.
  let network: String
  /// In the container.
  let name: String
  /// The end of the veth's name on the host.
  let slot: String
  /// Fixed addresses; nil: any.
  var address: IPv4Address?
  var address6: IPv6Address?
  var linkLocal: [IPAddress] = []
  var hardwareAddress: HardwareAddress?
  /// `net.ipv4.conf.IFNAME.log_martians=1`, as the user wrote them.
  var sysctls: [String] = []
  /// Whether it becomes the default route.
  var routesV4 = true
  var routesV6 = true
}

extension Plumber {
  mutating func newSlot() -> String {
    defer { nextSlot += 1 }
    return String(nextSlot, radix: 36)
  }

  /// An interface more in a namespace that lives.
  mutating func plug(_ outlet: Outlet, into sandbox: Sandbox) throws -> Sandbox.Plug {
    let inside = try within(sandbox.path) { namespace in
      Inside(namespace: namespace, socket: try NetlinkSocket(.route))
    }
    let wantsV6 = core.state.withLock { $0.segments[outlet.network]?.subnet6 != nil }
    let plug = try plug(outlet, inside, path: wantsV6 || !outlet.sysctls.isEmpty ? sandbox.path : nil)
    return plug
  }

  /// An interface between a network and a namespace, with addresses of the network's. `path`: of the namespace, where there are
  /// parameters to set in it.
  mutating func plug(_ outlet: Outlet, _ inside: Inside, path: String? = nil) throws -> Sandbox.Plug {
    let (segment, address, address6) = try core.state.withLock { state in
      guard let segment = state.segments[outlet.network] else {
        throw EngineError.notFound("network \(outlet.network) not found")
      }
      return (segment, try state.takeAddress(outlet), try state.takeAddress6(outlet))
    }
    var made: Int32 = 0
    do {
      let hardware =
        outlet.hardwareAddress ?? address.map { HardwareAddress(for: $0) } ?? HardwareAddress.random()
      let name = segment.isBridge ? core.names.vethPrefix + outlet.slot : ""
      var batch = NetlinkBatch()
      if segment.isBridge {
        batch.addVeth(
          name, master: segment.index, mtu: segment.mtu, peer: outlet.name, peerAddress: hardware,
          peerNamespace: inside.namespace.raw)
        try links.execute(batch)
        guard let outer = try links.link(named: name) else { throw NetlinkError("get link", name, .noSuchDevice) }
        made = outer.index
        batch = NetlinkBatch()
        batch.setHairpin(outer.index, isolated: !segment.reachesPeers, name: name)
        try links.execute(batch)
      } else {
        batch.addMacvlan(
          outlet.name, parent: segment.index, mode: try segment.macvlanMode,
          mtu: segment.network.options["mtu"] == nil
            && segment.network.options["com.docker.network.driver.mtu"] == nil ? nil : segment.mtu,
          address: hardware, namespace: inside.namespace.raw)
        try links.execute(batch)
      }
      guard let inner = try inside.socket.link(named: outlet.name) else {
        throw NetlinkError("get link", outlet.name, .noSuchDevice)
      }
      if let path {
        try within(path) { _ in
          if address6 != nil {
            try Sysctl.write("net/ipv6/conf/\(outlet.name)/accept_ra", "0", optional: true)
            try Sysctl.write("net/ipv6/conf/\(outlet.name)/disable_ipv6", "0")
          }
          for sysctl in outlet.sysctls { try Self.apply(sysctl, interface: outlet.name) }
        }
      }
      batch = NetlinkBatch()
      if let address, let prefix = segment.subnet?.prefix, let own = IPv4Subnet(address, prefix: prefix) {
        batch.addAddress(own, link: inner.index)
      }
      if let address6, let prefix = segment.subnet6?.prefix, let own = IPv6Subnet(address6, prefix: prefix) {
        batch.addAddress(own, link: inner.index)
      }
      for address in outlet.linkLocal {
        if case .v4(let address) = address, let own = IPv4Subnet(address, prefix: 16) {
          batch.addAddress(own, link: inner.index)
        }
        if case .v6(let address) = address, let own = IPv6Subnet(address, prefix: 64) {
          batch.addAddress(own, link: inner.index)
        }
      }
      batch.setLink(inner.index, up: true, name: outlet.name)
      if segment.hasGateway {
        if outlet.routesV4, let gateway = segment.subnet?.address, address != nil {
          batch.addRoute(gateway: gateway, link: inner.index)
        }
        if outlet.routesV6, let gateway = segment.subnet6?.address, address6 != nil {
          batch.addRoute(gateway: gateway, link: inner.index)
        }
      }
      try inside.socket.execute(batch)
      return Sandbox.Plug(
        network: segment.id, name: outlet.name, hostInterface: name, hostIndex: made, address: address,
        address6: address6, hardwareAddress: hardware)
    } catch {
      if made != 0 { delete([made]) }
      core.state.withLock { state in
        if let address { state.segments[segment.id]?.addresses?.give(back: address) }
        if let address6 { state.segments[segment.id]?.addresses6?.give(back: address6) }
      }
      throw error
    }
  }

  /// `net.ipv4.conf.IFNAME.x=v`: only parameters of that interface.
  private static func apply(_ text: String, interface: String) throws {
    let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
    let words = parts.first?.split(separator: ".").map(String.init) ?? []
    guard parts.count == 2, words.count == 5, words[0] == "net", ["ipv4", "ipv6", "mpls"].contains(words[1]),
      ["conf", "neigh"].contains(words[2]), words[3].uppercased() == "IFNAME",  // the docker CLI makes it lower case
      words[4].utf8.allSatisfy({ (97...122).contains($0) || (48...57).contains($0) || $0 == 95 })
    else { throw EngineError.invalidParameter("unrecognised sysctl setting: \(text)") }
    try Sysctl.write("net/\(words[1])/\(words[2])/\(interface)/\(words[4])", parts[1])
  }

  /// Takes an interface out of a namespace that lives. Its addresses are free at once.
  mutating func unplug(_ plug: Sandbox.Plug, from sandbox: Sandbox) throws {
    if plug.hostIndex != 0 {
      delete([plug.hostIndex])
    } else {
      try within(sandbox.path) { _ in
        var socket = try NetlinkSocket(.route)
        guard let link = try socket.link(named: plug.name) else { return }
        var batch = NetlinkBatch()
        batch.deleteLink(link.index, name: plug.name)
        try socket.execute(batch)
      }
    }
    core.state.withLock { $0.free(plug) }
  }

  /// Sets a namespace's default routes; nil: none. Gateways are by interface.
  mutating func route(
    _ sandbox: Sandbox, v4: (name: String, gateway: IPv4Address)?, v6: (name: String, gateway: IPv6Address)?
  ) throws {
    try within(sandbox.path) { _ in
      var socket = try NetlinkSocket(.route)
      for family in [false, true] {
        while true {
          var batch = NetlinkBatch()
          batch.deleteDefaultRoute(v6: family)
          do throws(NetlinkError) { try socket.execute(batch) } catch {
            // ESRCH, or no IPv6 at all
            break
          }
        }
      }
      var batch = NetlinkBatch()
      if let v4, let link = try socket.link(named: v4.name) { batch.addRoute(gateway: v4.gateway, link: link.index) }
      if let v6, let link = try socket.link(named: v6.name) { batch.addRoute(gateway: v6.gateway, link: link.index) }
      try socket.execute(batch)
    }
  }

  // MARK: Bridges

  /// Makes a network's bridge with its addresses, or finds a macvlan's parent; answers the interface's index.
  mutating func raise(_ segment: Segment) throws -> Int32 {
    guard segment.isBridge else {
      guard let parent = try links.link(named: segment.bridge) else {
        throw EngineError.invalidParameter(
          "the requested parent interface \(segment.bridge) was not found on the docker host")
      }
      if segment.hasShim { try raiseShim(segment, parent: parent.index) }
      return parent.index
    }
    let existing = try links.link(named: segment.bridge)
    if let existing, existing.kind != "bridge" {
      throw EngineError.system("network interface \(segment.bridge) exists and is no bridge")
    }
    var batch = NetlinkBatch()
    if existing == nil {
      let hardware = segment.subnet.map { HardwareAddress(for: $0.address) } ?? HardwareAddress.random()
      batch.addBridge(segment.bridge, address: hardware, mtu: segment.mtu, group: core.names.mark)
      try links.execute(batch)
    }
    guard let link = try links.link(named: segment.bridge) else {
      throw NetlinkError("get link", segment.bridge, .noSuchDevice)
    }
    try Sysctl.write("net/ipv6/conf/\(segment.bridge)/accept_ra", "0", optional: true)
    try Sysctl.write(
      "net/ipv6/conf/\(segment.bridge)/disable_ipv6", segment.subnet6 == nil ? "1" : "0",
      optional: segment.subnet6 == nil)
    let own = try links.addresses().filter { $0.link == link.index }.map(\.subnet)
    let own6 = try links.addresses6().filter { $0.link == link.index }.map(\.subnet)
    batch = NetlinkBatch()
    if let subnet = segment.subnet, !own.contains(subnet), !segment.inhibitsAddress {
      batch.addAddress(subnet, link: link.index)
    }
    if let subnet = segment.subnet6, !own6.contains(subnet) { batch.addAddress(subnet, link: link.index) }
    if !link.isUp { batch.setLink(link.index, up: true, name: segment.bridge) }
    try links.execute(batch)
    let parameters =
      [("net/ipv4/ip_forward", "1"), ("net/ipv4/conf/\(segment.bridge)/route_localnet", "1")]
      + (segment.subnet6 == nil ? [] : [("net/ipv6/conf/all/forwarding", "1")])
    for (parameter, value) in parameters where try Sysctl.read(parameter) != value {
      try Sysctl.write(parameter, value)
    }
    return link.index
  }

  /// The host's own interface on a macvlan, and by it the way to what the network gives out: its range, else the subnet in two halves, which
  /// go before the parent's own route to it.
  private mutating func raiseShim(_ segment: Segment, parent: Int32) throws {
    guard let address = segment.shimAddress, let own = IPv4Subnet(address, prefix: 32), let subnet = segment.subnet
    else { throw EngineError.invalidParameter("host_shim is for macvlan networks with an IPv4 subnet") }
    guard try links.link(named: segment.shimName) == nil else { return }
    var batch = NetlinkBatch()
    // Not made from the address: a container that had it may still be taken apart, and a parent lets no two be up with one.
    batch.addMacvlan(
      segment.shimName, parent: parent, mode: try segment.macvlanMode, mtu: nil, address: .random(),
      namespace: nil, group: core.names.mark)
    try links.execute(batch)
    guard let link = try links.link(named: segment.shimName) else {
      throw NetlinkError("get link", segment.shimName, .noSuchDevice)
    }
    let range = segment.network.pools.lazy.compactMap { IPv4Subnet($0.ipRange) }.first
    let half = UInt32(1) << UInt32(31 - min(subnet.prefix, 31))
    let ways =
      range.map { [$0] }
      ?? [subnet.network.bits, subnet.network.bits | half].compactMap {
        IPv4Subnet(IPv4Address(bits: $0), prefix: min(subnet.prefix + 1, 32))
      }
    batch = NetlinkBatch()
    batch.addAddress(own, link: link.index)
    batch.setLink(link.index, up: true, name: segment.shimName)
    for way in ways { batch.addRoute(way, source: address, link: link.index) }
    try links.execute(batch)
  }

  /// Takes down what of a network is on the host: its bridge, or the host's interface on its macvlan.
  mutating func lower(_ segment: Segment) throws {
    if segment.isBridge { return try lower(segment.bridge) }
    guard segment.hasShim, let link = try links.link(named: segment.shimName), link.kind == "macvlan",
      link.group == core.names.mark
    else { return }
    var batch = NetlinkBatch()
    batch.deleteLink(link.index, name: link.name)
    try links.execute(batch)
  }

  /// Takes a bridge of ours down. Absence is success; one that isn't ours stays.
  mutating func lower(_ name: String) throws {
    guard let link = try links.link(named: name), link.kind == "bridge", link.group == core.names.mark else { return }
    var batch = NetlinkBatch()
    batch.deleteLink(link.index, name: name)
    try links.execute(batch)
  }
}

extension State {
  mutating func takeAddress(_ outlet: Outlet) throws -> IPv4Address? {
    guard let segment = segments[outlet.network], segment.addresses != nil else { return nil }
    if let wanted = outlet.address {
      guard segments[outlet.network]?.addresses?.take(wanted) == true else {
        throw EngineError(.forbidden, "Address already in use")
      }
      return wanted
    }
    guard let address = segments[outlet.network]?.addresses?.take() else { throw segment.exhausted("IPv4") }
    return address
  }

  mutating func takeAddress6(_ outlet: Outlet) throws -> IPv6Address? {
    guard let segment = segments[outlet.network], segment.addresses6 != nil else { return nil }
    if let wanted = outlet.address6 {
      guard segments[outlet.network]?.addresses6?.take(wanted) == true else {
        throw EngineError(.forbidden, "Address already in use")
      }
      return wanted
    }
    guard let address = segments[outlet.network]?.addresses6?.take() else { throw segment.exhausted("IPv6") }
    return address
  }
}

extension Segment {
  /// MACVLAN_MODE_…, from the option `macvlan_mode`.
  var macvlanMode: UInt32 {
    get throws(EngineError) {
      switch network.options["macvlan_mode"] ?? "bridge" {
      case "private": return 1
      case "vepa": return 2
      case "bridge": return 4
      case "passthru": return 8
      case let mode:
        throw .invalidParameter(
          "requested macvlan mode '\(mode)' is not valid, 'bridge' mode is the macvlan driver default")
      }
    }
  }
}

extension HardwareAddress {
  /// Locally administered.
  static func random() -> HardwareAddress {
    var bytes = Sys.random(6)
    bytes[0] = 0x02
    bytes[1] = 0x42
    // SAFETY: six bytes were asked for
    return HardwareAddress(bytes: bytes)!
  }
}

import CLinux
import Errdefs
import Kernel
import Logging
import Netlink
import OCI
import Synchronization

extension Plumber {
  /// Bridge, table, what lives and what doesn't. In this order: the table stands before a container's port is held, and the sandboxes
  /// of the living are known before anything is swept.
  mutating func reconcile(live: [Endpoint]) throws {
    try Sys.mkdirAll(core.names.netnsDirectory, mode: 0o711)
    // two daemons that start at once in one network namespace must not choose the same subnet: the namespace itself is the lock
    let lock = try Sys.open("/proc/thread-self/ns/net")
    try Sys.lock(lock.raw, wait: true)
    let bridge = try assertBridge(live: live)
    try lock.close()
    var segment = try Segment(
      try defaultNetwork(bridge.subnet, live: live), isDefault: true, bridge: core.names.bridge,
      defaultMTU: core.configuration.effectiveMTU)
    segment.index = bridge.index
    do { try assertV6(segment) } catch { warn("IPv6 on \(segment.bridge): \(error)") }
    let standard = segment
    core.state.withLock { $0.segments[standard.id] = standard }
    try raiseNetworks()
    // who joined another comes after all others
    for endpoint in live where !endpoint.mode.isJoined { adopt(endpoint) }
    for endpoint in live where endpoint.mode.isJoined { adopt(endpoint) }
    for endpoint in live where !endpoint.mode.isJoined && endpoint.mode != .host {
      do { try mend(endpoint) } catch {
        warn("container \(endpoint.containerID): its networks can't be mended: \(error)")
      }
    }
    do { try core.assertFirewall() } catch {
      warn("nftables refused the rules (\(error)): no published ports, no masquerading")
    }
    try sweep(bridge: bridge.index)
    try probe()
    core.state.withLock { $0.phase = .running }
  }

  /// The users' networks as the store has them; a bridge of ours that no network knows goes.
  private mutating func raiseNetworks() throws {
    for (id, name, record) in try core.store.networks() {
      do {
        var segment = try Segment(
          try Network(json: try JSON.parse(record)), isDefault: false, defaultMTU: core.configuration.effectiveMTU)
        do { segment.index = try raise(segment) } catch {
          // its containers can't start until that is mended; it isn't forgotten
          warn("network \(name): \(error)")
        }
        let raised = segment
        core.state.withLock { $0.segments[id] = raised }
      } catch { warn("the record of network \(name) (\(id)) can't be read and is left alone: \(error)") }
    }
    let known = core.state.withLock { state in Set(state.segments.values.flatMap { [$0.bridge, $0.shimName] }) }
    for link in try links.links()
    where ["bridge", "macvlan"].contains(link.kind) && link.group == core.names.mark && !known.contains(link.name) {
      core.logger.notice("\(link.kind) \(link.name) of no network is taken down")
      var batch = NetlinkBatch()
      batch.deleteLink(link.index, name: link.name)
      try links.execute(batch)
    }
  }

  func warn(_ text: String) {
    core.logger.warning("\(text)")
    core.state.withLock { $0.warnings.append(text) }
  }

  /// The bridge as it shall be: made when missing, addressed, up; the kernel's switches set.
  private mutating func assertBridge(live: [Endpoint]) throws -> (index: Int32, subnet: IPv4Subnet) {
    let name = core.names.bridge
    let existing = try links.link(named: name)
    if let existing, existing.kind != "bridge" {
      throw EngineError.system(
        "network interface \(name) exists and is no bridge but a \(existing.kind.isEmpty ? "device" : existing.kind)")
    }
    let own = try existing.map { link in try links.addresses().filter { $0.link == link.index }.map(\.subnet) } ?? []
    let subnet = try chooseSubnet(bridge: existing?.index, own: own, live: live)

    var batch = NetlinkBatch()
    if existing == nil {
      batch.addBridge(
        name, address: HardwareAddress(for: subnet.address), mtu: core.configuration.effectiveMTU,
        group: core.configuration.bridgeName == nil ? core.names.mark : 0)
      try links.execute(batch)
    }
    guard let link = try links.link(named: name) else { throw NetlinkError("get link", name, .noSuchDevice) }
    // before it's up: no router may advertise itself to the host from inside (CVE-2020-13401)
    try Sysctl.write("net/ipv6/conf/\(name)/accept_ra", "0", optional: true)
    if core.configuration.bridgeName == nil, !core.configuration.enablesV6 {
      try Sysctl.write("net/ipv6/conf/\(name)/disable_ipv6", "1", optional: true)
    }
    batch = NetlinkBatch()
    if !own.contains(subnet) { batch.addAddress(subnet, link: link.index) }
    // what an earlier --bip left; an administrator's own bridge keeps its other addresses
    if core.configuration.bridgeName == nil {
      for other in own where other != subnet { batch.deleteAddress(other, link: link.index) }
    }
    if !link.isUp { batch.setLink(link.index, up: true, name: name) }
    try links.execute(batch)

    // the host's own 127.0.0.1 reaches published ports; the table's chain `raw` keeps containers from using it the other way
    let forwarding = core.configuration.setsForwarding ? [("net/ipv4/ip_forward", "1")] : []
    for (parameter, value) in forwarding + [("net/ipv4/conf/\(name)/route_localnet", "1")] {
      do {
        if try Sysctl.read(parameter) != value { try Sysctl.write(parameter, value) }
      } catch {
        warn("\(error): containers may not reach other networks, nor the host its published ports by 127.0.0.1")
      }
    }
    return (link.index, subnet)
  }

  private mutating func chooseSubnet(bridge: Int32?, own: [IPv4Subnet], live: [Endpoint]) throws -> IPv4Subnet {
    let previous = core.state.withLock { $0.identities.subnet }
    let wanted = try core.configuration.bridgeAddress.map { try SubnetChoice.parse($0) }
    let id = core.state.withLock { $0.identities.bridge.id }
    let inUse = live.lazy.flatMap(\.interfaces).filter { $0.networkID == id }.compactMap { interface in
      IPv4Address(interface.gateway).flatMap { IPv4Subnet($0, prefix: interface.prefixLength) }
    }.first
    let subnet: IPv4Subnet
    if let inUse {
      // the addresses of running containers stay
      if let wanted, wanted != inUse {
        warn("the bridge keeps \(inUse) instead of \(wanted) while containers run on it")
      }
      subnet = inUse
    } else if let wanted {
      subnet = wanted
    } else if core.configuration.bridgeName != nil, let first = own.first {
      // a bridge of the administrator's
      subnet = first
    } else {
      var occupied = try links.routes().filter { $0.table != 255 && $0.destination.prefix > 0 && $0.link != bridge }
        .map(\.destination)
      occupied += try links.addresses().filter { $0.link != bridge }.map(\.subnet)
      occupied += ResolvConf.addresses.compactMap { IPv4Subnet($0, prefix: 32) }
      subnet = try SubnetChoice.choose(
        previous: own.first ?? previous, core.configuration.addressPools, occupied: occupied)
    }
    if subnet != previous {
      var identities = core.state.withLock { $0.identities }
      identities.subnet = subnet
      try identities.save(core.names.identities)
      let saved = identities
      core.state.withLock { $0.identities = saved }
    }
    return subnet
  }

  /// Drops the namespaces that nobody lives in. Their veths go on their own; what is left after two seconds is held by a stray
  /// process and is deleted.
  private mutating func sweep(bridge: Int32) throws {
    let (paths, interfaces) = core.state.withLock { state in
      (
        Set(state.attachments.values.compactMap { $0.sandbox?.path }),
        Set(state.attachments.values.flatMap { $0.endpoint.interfaces.compactMap(\.hostInterface) })
      )
    }
    let directory = try Sys.open(core.names.netnsDirectory, O_RDONLY | O_DIRECTORY)
    for entry in try Sys.entries(directory.raw) {
      // slots go up, so that no name is given twice
      if let slot = UInt64(entry.name, radix: 36), slot < 36 * 36 * 36 * 36 * 36 * 36 {
        nextSlot = max(nextSlot, slot + 1)
      }
      let path = "\(core.names.netnsDirectory)/\(entry.name)"
      if !paths.contains(path) { unbind(path) }
    }
    for link in try links.links() where link.kind == "veth" && link.name.hasPrefix(core.names.vethPrefix) {
      if let slot = UInt64(link.name.dropFirst(core.names.vethPrefix.count), radix: 36) {
        nextSlot = max(nextSlot, slot &+ 1)
      }
      guard interfaces.contains(link.name) else {
        stale.insert(link.index)
        continue
      }
      core.state.withLock { state in
        for (id, attachment) in state.attachments {
          for interface in attachment.endpoint.interfaces where interface.hostInterface == link.name {
            state.attachments[id]?.plugs.append(Sandbox.Plug(interface, index: link.index))
          }
        }
      }
    }
    core.state.withLock { state in
      for (id, attachment) in state.attachments {
        for interface in attachment.endpoint.interfaces where interface.hostInterface == nil && !interface.name.isEmpty
        {
          state.attachments[id]?.plugs.append(Sandbox.Plug(interface, index: 0))
        }
      }
    }
    if !stale.isEmpty { staleDeadline = Sys.monotonicNanoseconds() &+ 2_000_000_000 }
  }

  /// Deletes what the kernel hasn't taken away: someone holds its namespace.
  mutating func deleteStale() {
    delete(Array(stale))
    stale = []
  }

  /// What others configured that breaks containers' networks.
  private mutating func probe() throws {
    let policies = try core.firewall.withLock { firewall throws(NetlinkError) in
      try firewall?.droppingForwardPolicies() ?? []
    }
    for chain in policies {
      warn(
        "nftables chain \(chain) drops forwarded packets by its policy: containers reach other hosts, and others their published "
          + "ports, only as far as its rules accept interface \(core.names.bridge)")
    }
  }

  /// Connections of UDP through ports that are gone: their next packet shall find who has the port now. Those of TCP end by themselves,
  /// unless the container lives on (`all`).
  mutating func forgetConnections(_ mappings: [Firewall.Mapping], all: Bool = false) throws {
    let wanted = Set(mappings.map { Flow(address: $0.target, transport: $0.transport.number) })
    var socket = try NetlinkSocket(.netfilter)
    for v6 in Set(mappings.map(\.target.isV6)) {
      for connection in try socket.connections(v6: v6) {
        guard all || connection.transport == 17,
          wanted.contains(Flow(address: connection.replySource, transport: connection.transport)),
          mappings.contains(where: {
            $0.target == connection.replySource && $0.transport.number == connection.transport
              && $0.targetPort == connection.replySourcePort
          })
        else { continue }
        try socket.forget(connection)
      }
    }
  }

  private struct Flow: Hashable {
    let address: IPAddress
    let transport: UInt8
  }

  /// At the daemon's end: the pool goes, and when nobody is attached, bridge and table too.
  mutating func close() {
    let (sandboxes, drops, empty) = core.state.withLock { state in
      state.phase = .closed
      let sandboxes = state.ready.values.flatMap { $0 }
      state.ready = [:]
      let drops = state.drops
      state.drops = []
      return (sandboxes, drops, state.attachments.isEmpty)
    }
    for drop in drops { release(drop) }
    for sandbox in sandboxes { unbind(sandbox.path) }
    if empty {
      do {
        try core.firewall.withLock { firewall throws(NetlinkError) in try firewall?.remove() }
        if core.configuration.bridgeName == nil, let link = try links.link(named: core.names.bridge) {
          var batch = NetlinkBatch()
          batch.deleteLink(link.index, name: link.name)
          try links.execute(batch)
        }
        for segment in core.state.withLock({ $0.segments.values.filter { !$0.isDefault } }) { try lower(segment) }
      } catch { core.logger.error("take the bridge down: \(error)") }
    }
    stop()
  }
}

extension Core {
  /// Where an endpoint's published ports lead: to the interface with the default route of each family.
  func mappings(_ endpoint: Endpoint) -> [Firewall.Mapping] {
    let v4 = endpoint.gatewayInterface(v6: false).flatMap { IPv4Address($0.ipAddress) }
    let v6 = endpoint.gatewayInterface(v6: true).flatMap { IPv6Address($0.ipv6Address) }
    return endpoint.ports.compactMap { published in
      guard let host = IPAddress(published.hostIP) else { return nil }
      let own: IPAddress? = host.isV6 ? v6.map { .v6($0) } : v4.map { .v4($0) }
      let carried: IPAddress? =
        host.isV6 && configuration.carries && published.port.transport != .sctp ? v4.map { .v4($0) } : nil
      guard let target = own ?? carried else { return nil }
      return Firewall.Mapping(
        transport: published.port.transport, hostAddress: host, hostPort: published.hostPort, target: target,
        targetPort: published.port.number)
    }
  }
}

extension Sandbox.Plug {
  /// From a record, and the index that the veth's end on the host has.
  init(_ interface: Endpoint.Interface, index: Int32) {
    self.init(
      network: interface.networkID, name: interface.name, hostInterface: interface.hostInterface ?? "",
      hostIndex: index,
      address: IPv4Address(interface.ipAddress), address6: IPv6Address(interface.ipv6Address),
      hardwareAddress: HardwareAddress(interface.macAddress) ?? HardwareAddress.random())
  }
}

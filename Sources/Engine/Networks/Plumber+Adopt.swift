import CLinux
import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

extension Plumber {
  /// A container that runs: its address and ports are taken, its namespace stays.
  mutating func adopt(_ endpoint: Endpoint) {
    var attachment = State.Attachment(endpoint: endpoint)
    if case .container(let other) = endpoint.mode {
      core.state.withLock { state in
        state.attachments[endpoint.containerID] = attachment
        state.attachments[other]?.joiners.insert(endpoint.containerID)
      }
      return
    }
    if let path = endpoint.namespacePath {
      attachment.sandbox = Sandbox(
        kind: endpoint.interfaces.first?.name.isEmpty == false ? .bridge : .none, path: path, plug: nil,
        resolver: reopenResolver(endpoint, path))
    }
    attachment.mappings = core.mappings(endpoint)
    for mapping in attachment.mappings {
      do {
        let reservation = try PortReservation(mapping.transport, mapping.hostAddress, mapping.hostPort)
        attachment.reservations.append(reservation)
        if core.carries(mapping) { try core.forwarder.open(mapping, on: reservation.socket) }
      } catch {
        core.logger.warning(
          "port \(mapping.hostAddress):\(mapping.hostPort) of running container \(endpoint.containerID) was taken meanwhile: \(error)"
        )
      }
    }
    let adopted = attachment
    core.state.withLock { state in
      for interface in endpoint.interfaces {
        var free = true
        if let address = IPv4Address(interface.ipAddress) {
          free = state.segments[interface.networkID]?.addresses?.reserve(address) ?? true
        }
        if let address = IPv6Address(interface.ipv6Address) {
          free = (state.segments[interface.networkID]?.addresses6?.take(address) ?? true) && free
        }
        if !free {
          core.logger.error("an address of running container \(endpoint.containerID) is another's too")
        }
      }
      for mapping in adopted.mappings {
        if state.ports.take(mapping.hostPort, mapping.transport, on: [mapping.hostAddress]) != nil {
          core.logger.error("port \(mapping.hostPort) of running container \(endpoint.containerID) is another's too")
        }
        state.mappings.insert(mapping)
      }
      state.attachments[endpoint.containerID] = adopted
      state.names.insert(endpoint)
    }
    core.resolver.listen(adopted.sandbox?.resolver, container: endpoint.containerID)
  }

  /// The last daemon's sockets went with it.
  private mutating func reopenResolver(_ endpoint: Endpoint, _ path: String) -> ResolverSockets? {
    guard endpoint.hasResolver else { return nil }
    do { return try within(path) { _ in try ResolverSockets() } } catch {
      core.logger.error("container \(endpoint.containerID) can't ask for names: \(error)")
      return nil
    }
  }

  /// What a daemon left that was killed while it plugged a running container in or out: an interface that the record doesn't know goes,
  /// one that is recorded and isn't there is made again. Whoever asked was never answered, so the record is right.
  mutating func mend(_ endpoint: Endpoint) throws {
    guard let path = endpoint.namespacePath, !endpoint.interfaces.isEmpty else { return }
    let inside = try within(path) { _ in
      var socket = try NetlinkSocket(.route)
      return try socket.links()
    }
    let known = Set(endpoint.interfaces.map(\.name))
    let strangers = Set(inside.filter { $0.kind == "veth" && !known.contains($0.name) }.map(\.peer))
    let surplus = try links.links().filter { link in
      // a container may have veths of its own making: ours are those with our end on the host
      strangers.contains(link.index) && link.name.hasPrefix(core.names.vethPrefix)
    }.map(\.index)
    delete(surplus)
    var mended = !surplus.isEmpty
    for interface in endpoint.interfaces
    where !interface.name.isEmpty && !inside.contains(where: { $0.name == interface.name }) {
      core.logger.notice("container \(endpoint.containerID) is plugged into network \(interface.networkName) again")
      var outlet = Outlet(network: interface.networkID, name: interface.name, slot: slot(of: interface))
      outlet.address = IPv4Address(interface.ipAddress)
      outlet.address6 = IPv6Address(interface.ipv6Address)
      outlet.hardwareAddress = HardwareAddress(interface.macAddress)
      (outlet.routesV4, outlet.routesV6) = (false, false)
      // they are taken already, by the record
      let taken = Sandbox.Plug(interface, index: 0)
      core.state.withLock { $0.free(taken) }
      _ = try plug(outlet, into: Sandbox(kind: .none, path: path, plug: nil, resolver: nil))
      mended = true
    }
    guard mended else { return }
    let v4 = endpoint.gatewayInterface(v6: false).flatMap { interface in
      IPv4Address(interface.gateway).map { (name: interface.name, gateway: $0) }
    }
    let v6 = endpoint.gatewayInterface(v6: true).flatMap { interface in
      IPv6Address(interface.ipv6Gateway).map { (name: interface.name, gateway: $0) }
    }
    try route(Sandbox(kind: .none, path: path, plug: nil, resolver: nil), v4: v4, v6: v6)
  }

  /// The end of its veth's name, so that the record holds.
  private mutating func slot(of interface: Endpoint.Interface) -> String {
    guard let name = interface.hostInterface, name.hasPrefix(core.names.vethPrefix) else { return newSlot() }
    return String(name.dropFirst(core.names.vethPrefix.count))
  }
}

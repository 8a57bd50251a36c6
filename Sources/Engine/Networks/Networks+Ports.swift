import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

/// What was published for one container, so far.
struct Publication: Sendable {
  var ports: [PublishedPort] = []
  var mappings: [Firewall.Mapping] = []
  var reservations: [PortReservation] = []
}

extension Networks {
  /// Takes a port of the host for each demand and leads it to the container. What was taken before a failure is in `publication`.
  func publish(
    _ demands: [PortDemand], endpoint: Endpoint, into publication: inout Publication
  ) throws(EngineError) {
    let v4 = endpoint.gatewayInterface(v6: false)
    let v6 = endpoint.gatewayInterface(v6: true)
    let target4 = v4.flatMap { IPv4Address($0.ipAddress) }
    let target6 = v6.flatMap { IPv6Address($0.ipv6Address) }
    // an internal network has no ports outside
    guard !demands.isEmpty, target4 != nil || target6 != nil else { return }
    let owner =
      "driver failed programming external connectivity on endpoint \(endpoint.containerName) (\((v4 ?? v6)?.endpointID ?? ""))"
    var chosen: [(order: Int, port: PublishedPort)] = []
    for (order, demand) in demands.enumerated().sorted(by: {
      ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset)
    }) {
      let places = demand.addresses.compactMap { address -> Place? in
        if !address.isV6 { return target4.map { Place(address: address, target: .v4($0)) } }
        if let target6 { return Place(address: address, target: .v6(target6)) }
        // the daemon carries IPv6 to IPv4, but for SCTP
        guard configuration.carries, demand.port.transport != .sctp else { return nil }
        return target4.map { Place(address: address, target: .v4($0)) }
      }
      guard !places.isEmpty else { continue }
      do throws(PortFailure) {
        let (port, reservations) = try take(demand, places)
        for (place, reservation) in zip(places, reservations) {
          publication.mappings.append(
            Firewall.Mapping(
              transport: demand.port.transport, hostAddress: place.address, hostPort: port, target: place.target,
              targetPort: demand.port.number))
          publication.reservations.append(reservation)
          chosen.append(
            (order, PublishedPort(port: demand.port, hostIP: place.address.description, hostPort: port)))
        }
      } catch { throw .system("\(owner): \(error.message)") }
    }
    publication.ports = chosen.sorted { ($0.port.port, $0.order) < ($1.port.port, $1.order) }.map(\.port)
    let mappings = publication.mappings
    do throws(NetlinkError) {
      // written down first: whoever makes the table anew meanwhile includes them
      core.state.withLock { $0.mappings.formUnion(mappings) }
      let available = try core.firewall.withLock { firewall throws(NetlinkError) in
        try firewall?.add(mappings)
        return firewall != nil
      }
      guard available else { throw NetlinkError("publish ports", "nftables", Errno(rawValue: 93)) }  // EPROTONOSUPPORT
    } catch {
      // the table is gone or was changed by others: make it anew, with these
      do throws(NetlinkError) {
        guard error.errno == .noSuchFile || error.errno == .fileExists || error.errno == .busy else { throw error }
        core.logger.notice("nftables table \(core.names.table) was changed by others (\(error)): made anew")
        try core.assertFirewall()
      } catch { throw EngineError(.system, "\(owner): \(error)", cause: error) }
    }
    for (mapping, reservation) in zip(publication.mappings, publication.reservations) where core.carries(mapping) {
      do { try core.forwarder.open(mapping, on: reservation.socket) } catch {
        throw EngineError(.system, "\(owner): \(error)", cause: error)
      }
    }
  }

  /// An address of the host, and the container's that it leads to.
  private struct Place {
    let address: IPAddress
    let target: IPAddress
  }
  private struct PortFailure: Error {
    let message: String
  }

  private func take(
    _ demand: PortDemand, _ places: [Place]
  ) throws(PortFailure) -> (UInt16, [PortReservation]) {
    let transport = demand.port.transport
    let addresses = places.map(\.address)
    let range: ClosedRange<UInt16>
    let name: String
    switch demand.choice {
    case .exactly(let port):
      if let taken = core.state.withLock({ $0.ports.take(port, transport, on: addresses) }) {
        throw PortFailure(message: "Bind for \(Self.shown(taken)):\(port) failed: port is already allocated")
      }
      do throws(BindFailure) { return (port, try reserve(port, transport, places)) } catch {
        throw failure(error, demand, port)
      }
    case .oneOf(let ports): (range, name) = (ports, "\(ports.lowerBound)-\(ports.upperBound)")
    case .any: (range, name) = (Self.ephemeralPorts, "0")
    }
    var tried: Set<UInt16> = []
    while true {
      let excluded = tried
      let next = core.state.withLock {
        $0.ports.takeAny(of: range, transport, on: addresses, excluding: excluded)
      }
      guard let port = next else {
        throw PortFailure(
          message: "Bind for \(Self.shown(demand.addresses[0])):\(name) failed: all ports are allocated")
      }
      do throws(BindFailure) { return (port, try reserve(port, transport, places)) } catch {
        // a process of the host has it: try the next
        guard error.cause.errno == .addressInUse else { throw failure(error, demand, port) }
        tried.insert(port)
      }
    }
  }

  private struct BindFailure: Error {
    let place: Place
    let cause: SyscallError
  }

  private func failure(_ error: BindFailure, _ demand: PortDemand, _ port: UInt16) -> PortFailure {
    PortFailure(
      message:
        "failed to bind host port for \(Self.shown(error.place.address)):\(port):\(error.place.target):\(demand.port): \(error.cause.errno)"
    )
  }

  private static func shown(_ address: IPAddress) -> String { address.isV6 ? "[\(address)]" : address.description }

  /// Holds a port on all of these addresses; on a failure it's given back.
  private func reserve(
    _ port: UInt16, _ transport: ContainerPort.Transport, _ places: [Place]
  ) throws(BindFailure) -> [PortReservation] {
    var result: [PortReservation] = []
    for place in places {
      do throws(SyscallError) { result.append(try PortReservation(transport, place.address, port)) } catch {
        core.state.withLock { state in
          for place in places { state.ports.give(back: port, transport, on: place.address) }
        }
        throw BindFailure(place: place, cause: error)
      }
    }
    return result
  }

  /// Whether the host speaks IPv6, so that a port without an address is published for it too.
  var hostSpeaksV6: Bool {
    configuration.carries && (try? Sysctl.read("net/ipv6/conf/all/disable_ipv6")) == "0"
  }

  /// net.ipv4.ip_local_port_range, as Docker uses it.
  private static var ephemeralPorts: ClosedRange<UInt16> {
    let words = (try? Sysctl.read("net/ipv4/ip_local_port_range"))?.split(whereSeparator: \.isWhitespace).compactMap {
      UInt16($0)
    }
    guard let words, words.count == 2, words[0] > 0, words[0] < words[1] else { return 49153...65535 }
    return words[0]...words[1]
  }

  /// Takes published ports down: nothing new reaches the container by them.
  func withdraw(_ mappings: [Firewall.Mapping]) {
    guard !mappings.isEmpty else { return }
    for mapping in mappings where core.carries(mapping) { core.forwarder.close(mapping) }
    let established = core.state.withLock { state in
      for mapping in mappings { state.ports.give(back: mapping.hostPort, mapping.transport, on: mapping.hostAddress) }
      let established = mappings.filter { state.mappings.contains($0) }
      state.mappings.subtract(mappings)
      return established
    }
    guard !established.isEmpty else { return }
    do throws(NetlinkError) {
      try core.firewall.withLock { firewall throws(NetlinkError) in try firewall?.delete(established) }
    } catch {
      // one of them isn't there: others changed the table
      do throws(NetlinkError) { try core.assertFirewall() } catch { core.logger.error("take ports down: \(error)") }
    }
  }

  /// Takes ports down at once and the sandbox behind the caller's back. Unknown ids are no error.
  public func release(containerID: String) {
    let attachment = core.state.withLock { state -> State.Attachment? in
      guard let attachment = state.attachments.removeValue(forKey: containerID) else { return nil }
      state.names.remove(attachment.endpoint)
      if case .container(let owner) = attachment.endpoint.mode { state.attachments[owner]?.joiners.remove(containerID) }
      return attachment
    }
    guard let attachment else { return }
    withdraw(attachment.mappings)
    for interface in attachment.endpoint.interfaces {
      tell(.init("disconnect", interface, container: containerID, type: networkType(interface)))
    }
    guard let sandbox = attachment.sandbox else { return }
    core.resolver.forget(container: containerID)
    core.drop(
      sandbox, attachment.plugs, deleteLink: !attachment.joiners.isEmpty,
      forget: attachment.mappings.filter { $0.transport == .udp })
  }
}

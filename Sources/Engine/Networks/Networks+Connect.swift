import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

extension Networks {
  /// Plugs a running container into one network more. - Throws: 404, 400, or 403 `endpoint with name x already exists in network y`.
  public func connect(containerID: String, _ settings: EndpointRequest) async throws -> Endpoint {
    let segment = try segment(settings.network)
    try Self.check(settings, on: segment)
    let attachment = try attachment(containerID)
    guard let sandbox = attachment.sandbox, !attachment.endpoint.mode.isJoined else {
      throw EngineError.invalidParameter(
        "container sharing network namespace with another container or host cannot be connected to any other network")
    }
    guard attachment.endpoint.mode != .none else {
      throw EngineError.invalidParameter(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode")
    }
    guard !attachment.endpoint.interfaces.contains(where: { $0.networkID == segment.id }) else {
      throw EngineError(
        .forbidden,
        "endpoint with name \(attachment.endpoint.containerName) already exists in network \(segment.network.name)")
    }
    let plug = try await plug(settings, segment, sandbox, plugs: attachment.plugs)
    var request = AttachRequest(
      containerID: containerID, containerName: attachment.endpoint.containerName, mode: attachment.endpoint.mode)
    request.hostname = attachment.endpoint.hostname
    let interface = interface(settings, segment, plug, request: request)
    let endpoint = core.state.withLock { state -> Endpoint? in
      guard var present = state.attachments[containerID] else { return nil }
      state.names.remove(present.endpoint)
      present.endpoint.interfaces.append(interface)
      present.plugs.append(plug)
      state.attachments[containerID] = present
      state.names.insert(present.endpoint)
      return present.endpoint
    }
    guard let endpoint else {
      // it ended meanwhile, and the veth with it
      core.drop(sandbox, [plug])
      throw EngineError.conflict("container \(containerID) is not running")
    }
    tell(.init("connect", interface, container: containerID, type: segment.network.driver))
    try await settle(endpoint, sandbox)
    return core.state.withLock { $0.attachments[containerID]?.endpoint } ?? endpoint
  }

  /// Unplugs a running container from a network. - Throws: 404, or `container x is not connected to network y`.
  public func disconnect(containerID: String, network: String) async throws -> Endpoint {
    let attachment = try attachment(containerID)
    let interface = attachment.endpoint.interfaces.first {
      $0.networkName == network || $0.networkID == network
        || (network.utf8.count >= 4 && $0.networkID.hasPrefix(network))
    }
    if attachment.endpoint.mode == .host, network == "host" {
      throw EngineError.invalidParameter(
        "container cannot be disconnected from host network or connected to host network")
    }
    guard let interface, let sandbox = attachment.sandbox else {
      let name = (try? inspect(network).name) ?? network
      throw EngineError.system("container \(containerID) is not connected to network \(name)")
    }
    let (endpoint, plug) = core.state.withLock { state -> (Endpoint?, Sandbox.Plug?) in
      guard var present = state.attachments[containerID] else { return (nil, nil) }
      state.names.remove(present.endpoint)
      present.endpoint.interfaces.removeAll { $0.endpointID == interface.endpointID }
      let plug = present.plugs.first { $0.network == interface.networkID && $0.name == interface.name }
      present.plugs.removeAll { $0 == plug }
      state.attachments[containerID] = present
      state.names.insert(present.endpoint)
      return (present.endpoint, plug)
    }
    if let plug { try await core.onThread { plumber in try plumber.unplug(plug, from: sandbox) } }
    tell(.init("disconnect", interface, container: containerID, type: networkType(interface)))
    guard let endpoint else { throw EngineError.conflict("container \(containerID) is not running") }
    try await settle(endpoint, sandbox)
    return core.state.withLock { $0.attachments[containerID]?.endpoint } ?? endpoint
  }

  func attachment(_ containerID: String) throws(EngineError) -> State.Attachment {
    guard let attachment = core.state.withLock({ $0.attachments[containerID] }) else {
      throw .conflict("container \(containerID) is not running")
    }
    return attachment
  }

  /// After the networks of a container changed: its default routes, and where its published ports lead.
  private func settle(_ endpoint: Endpoint, _ sandbox: Sandbox) async throws {
    try await route(endpoint, sandbox)
    try remap(endpoint.containerID)
  }

  /// Leads the published ports to where the endpoint now says.
  private func remap(_ containerID: String) throws {
    let change = core.state.withLock { state -> (old: [Firewall.Mapping], new: [Firewall.Mapping], State.Attachment)? in
      guard let attachment = state.attachments[containerID] else { return nil }
      let wanted = core.mappings(attachment.endpoint)
      guard Set(wanted) != Set(attachment.mappings) else { return nil }
      state.mappings.subtract(attachment.mappings)
      state.mappings.formUnion(wanted)
      state.attachments[containerID]?.mappings = wanted
      return (attachment.mappings, wanted, attachment)
    }
    guard let change else { return }
    for mapping in change.old
    where core.carries(mapping) && !change.new.contains(where: { Forwarder.Place($0) == Forwarder.Place(mapping) }) {
      core.forwarder.close(mapping)
    }
    for mapping in change.new where core.carries(mapping) {
      if change.old.contains(where: { core.carries($0) && Forwarder.Place($0) == Forwarder.Place(mapping) }) {
        core.forwarder.lead(mapping)
      } else if let reservation = change.2.reservations.first(where: { $0.holds(mapping) }) {
        try core.forwarder.open(mapping, on: reservation.socket)
      }
    }
    try core.assertFirewall()
  }
}

extension Networks {
  /// Publishes and takes down ports of a running container: those down first, all or none of the new ones. A binding of `remove`
  /// without a host port stands for all of that port.
  public func publish(containerID: String, add: [PortBinding], remove: [PortBinding]) async throws -> Endpoint {
    let attachment = try attachment(containerID)
    guard attachment.sandbox != nil, !attachment.endpoint.mode.isJoined else {
      throw EngineError.invalidParameter("container \(containerID) has no network of its own to publish ports on")
    }
    var address = configuration.defaultBinding
    if let own = try? segment(attachment.endpoint.networkID).hostBinding, !own.isEmpty { address = own }
    let dual = hostSpeaksV6
    let demands = try add.map { binding throws(EngineError) in
      try PortDemand(binding, defaultAddress: address, dual: dual)
    }
    var gone: [PublishedPort] = []
    for binding in remove {
      let matching = attachment.endpoint.ports.filter { published in
        published.port == binding.port && (binding.hostPort.isEmpty || binding.hostPort == "\(published.hostPort)")
          && (binding.hostIP.isEmpty || binding.hostIP == published.hostIP)
      }
      guard !matching.isEmpty else {
        let place = binding.hostPort.isEmpty ? "" : " on host port \(binding.hostPort)"
        throw EngineError.invalidParameter("port \(binding.port) is not published\(place)")
      }
      gone += matching
    }
    var old = attachment.endpoint
    old.ports = gone
    let lost = core.mappings(old)
    var publication = Publication()
    do { try publish(demands, endpoint: attachment.endpoint, into: &publication) } catch {
      withdraw(publication.mappings)
      throw error
    }
    let (mappings, reservations, ports) = (publication.mappings, publication.reservations, publication.ports)
    let endpoint = core.state.withLock { state -> Endpoint? in
      guard var present = state.attachments[containerID] else { return nil }
      present.endpoint.ports = (present.endpoint.ports.filter { !gone.contains($0) } + ports).sorted {
        $0.port < $1.port
      }
      let known = Set(present.endpoint.ports.map(\.port))
      present.endpoint.unpublished =
        Set(present.endpoint.unpublished + gone.map(\.port)).subtracting(known).sorted()
      present.mappings = present.mappings.filter { !lost.contains($0) } + mappings
      present.reservations =
        present.reservations.filter { reservation in
          !gone.contains {
            $0.hostPort == reservation.port && $0.port.transport == reservation.transport
              && $0.hostIP == reservation.address.description
          }
        } + reservations
      state.attachments[containerID] = present
      return present.endpoint
    }
    guard let endpoint else {
      withdraw(mappings)
      throw EngineError.conflict("container \(containerID) is not running")
    }
    withdraw(lost)
    // what is established goes too: the port is closed
    if !lost.isEmpty { try await core.onThread { plumber in try plumber.forgetConnections(lost, all: true) } }
    return endpoint
  }
}

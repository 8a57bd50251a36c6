import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

extension Networks {
  /// Gives a container its sandbox: a namespace from the pool, its address, its ports published.
  /// - Throws: Docker's texts; 404 for a network that isn't there, 409 when a container to join doesn't run, 500 when a port is taken.
  public func attach(_ request: AttachRequest) async throws -> Endpoint {
    let id = request.containerID
    guard core.state.withLock({ $0.attachments[id] == nil }) else {
      throw EngineError.conflict("container \(id) is attached to its network already")
    }
    switch request.mode {
    case .named(let name): throw EngineError.notFound("network \(name) not found")
    case .host: return try attachHost(request)
    case .container(let other): return try join(other, request)
    case .none:
      let sandbox = try await core.takeSandbox(.none)
      var endpoint = endpoint(request, network: "none", sandbox: sandbox)
      endpoint.endpointID = randomID()
      return try record(State.Attachment(endpoint: endpoint, sandbox: sandbox))
    case .bridge: return try await attachBridge(request)
    }
  }

  private func endpoint(_ request: AttachRequest, network: String, sandbox: Sandbox?) -> Endpoint {
    let identities = core.state.withLock { $0.identities }
    let identity =
      switch network {
      case "bridge": identities.bridge
      case "host": identities.host
      default: identities.none
      }
    return Endpoint(
      containerID: request.containerID, containerName: request.containerName, mode: request.mode, networkName: network,
      networkID: identity.id, sandboxID: randomID(), namespacePath: sandbox?.path)
  }

  /// Writes an attachment down; the sandbox goes back when another attachment of the container was faster.
  private func record(_ attachment: State.Attachment) throws -> Endpoint {
    let id = attachment.endpoint.containerID
    let recorded = core.state.withLock { state in
      guard state.attachments[id] == nil else { return false }
      state.attachments[id] = attachment
      return true
    }
    if !recorded {
      if let sandbox = attachment.sandbox { core.drop(sandbox) }
      throw EngineError.conflict("container \(id) is attached to its network already")
    }
    return attachment.endpoint
  }

  private func attachHost(_ request: AttachRequest) throws -> Endpoint {
    var endpoint = endpoint(request, network: "host", sandbox: nil)
    endpoint.endpointID = randomID()
    return try record(State.Attachment(endpoint: endpoint))
  }

  /// Into another container's namespace, whatever that is.
  private func join(_ other: String, _ request: AttachRequest) throws -> Endpoint {
    try core.state.withLock { state in
      // who joins a joiner joins whom that one joined
      var owner = other
      if case .container(let next) = state.attachments[other]?.endpoint.mode { owner = next }
      guard let target = state.attachments[owner]?.endpoint else {
        throw EngineError.conflict("cannot join network of a non running container: \(other)")
      }
      let endpoint = Endpoint(
        containerID: request.containerID, containerName: request.containerName, mode: .container(owner),
        sandboxID: target.sandboxID, namespacePath: target.namespacePath)
      state.attachments[owner]?.joiners.insert(request.containerID)
      state.attachments[request.containerID] = State.Attachment(endpoint: endpoint)
      return endpoint
    }
  }

  private func attachBridge(_ request: AttachRequest) async throws -> Endpoint {
    let demands = try demands(of: request)
    let hardware = try request.macAddress.map { text in
      guard let address = HardwareAddress(text), !address.isMulticast else {
        throw EngineError.invalidParameter("invalid MAC address \"\(text)\"")
      }
      return address
    }
    let sandbox = try await core.takeSandbox(.bridge)
    guard let plug = sandbox.plug else { throw EngineError.system("sandbox \(sandbox.path) has no interface") }
    var endpoint = endpoint(request, network: "bridge", sandbox: sandbox)
    endpoint.endpointID = randomID()
    endpoint.hostInterface = plug.hostInterface
    endpoint.macAddress = (hardware ?? plug.hardwareAddress).description
    endpoint.ipAddress = plug.address.description
    core.state.withLock { state in
      endpoint.prefixLength = state.subnet?.prefix ?? 0
      endpoint.gateway = state.subnet?.address.description ?? ""
    }
    var publication = Publication()
    do {
      if let hardware, hardware != plug.hardwareAddress {
        try await core.onThread { plumber in try plumber.setHardwareAddress(hardware, of: sandbox) }
      }
      try publish(demands, to: plug.address, endpoint: endpoint, into: &publication)
      let published = Set(demands.map(\.port))
      endpoint.ports = publication.ports
      endpoint.unpublished = Set(request.exposed).subtracting(published).sorted()
      return try record(
        State.Attachment(
          endpoint: endpoint, sandbox: sandbox, mappings: publication.mappings, reservations: publication.reservations))
    } catch {
      withdraw(publication.mappings)
      core.drop(sandbox)
      throw error
    }
  }

  /// What shall be published: the bindings, and with `-P` the exposed ports that have none.
  private func demands(of request: AttachRequest) throws(EngineError) -> [PortDemand] {
    var demands: [PortDemand] = []
    for binding in request.bindings {
      demands.append(try PortDemand(binding, defaultAddress: configuration.defaultBinding))
    }
    if request.publishAll {
      let bound = Set(request.bindings.map(\.port))
      for port in Set(request.exposed).subtracting(bound).sorted() {
        demands.append(try PortDemand(PortBinding(port: port), defaultAddress: configuration.defaultBinding))
      }
    }
    return demands
  }
}

import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

extension Networks {
  /// Gives a container its sandbox: a namespace from the pool, its addresses on each of its networks, its ports published.
  /// - Throws: Docker's texts; 404 for a network that isn't there, 409 when a container to join doesn't run, 500 when a port is taken.
  public func attach(_ request: AttachRequest) async throws -> Endpoint {
    let id = request.containerID
    guard core.state.withLock({ $0.attachments[id] == nil }) else {
      throw EngineError.conflict("container \(id) is attached to its network already")
    }
    let endpoint: Endpoint
    switch request.mode {
    case .host: endpoint = try attachHost(request)
    case .container(let other): return try join(other, request)
    case .none:
      let sandbox = try await sandbox(.none, request)
      var place = place(request, sandbox: sandbox)
      place.interfaces = [predefined(.none)]
      endpoint = try record(State.Attachment(endpoint: place, sandbox: sandbox))
    case .bridge, .named: endpoint = try await attachNetworks(request)
    }
    for interface in endpoint.interfaces {
      tell(.init("connect", interface, container: id, type: networkType(interface)))
    }
    return endpoint
  }

  func networkType(_ interface: Endpoint.Interface) -> String {
    switch interface.networkName {
    case "host": "host"
    case "none": "null"
    default: core.state.withLock { $0.segments[interface.networkID]?.network.driver } ?? "bridge"
    }
  }

  /// From the pool, or made of the namespace that the container brings along.
  private func sandbox(_ kind: Sandbox.Kind, _ request: AttachRequest) async throws -> Sandbox {
    guard let namespace = request.namespace else { return try await core.takeSandbox(kind) }
    return try await core.onThread { plumber in try plumber.make(kind, of: namespace) }
  }

  private func place(_ request: AttachRequest, sandbox: Sandbox?) -> Endpoint {
    var endpoint = Endpoint(
      containerID: request.containerID, containerName: request.containerName, mode: request.mode, sandboxID: randomID(),
      namespacePath: sandbox?.path)
    endpoint.hostname = request.hostname
    endpoint.dns = request.dns
    endpoint.links = request.links
    return endpoint
  }

  private func predefined(_ mode: NetworkMode) -> Endpoint.Interface {
    let identities = core.state.withLock { $0.identities }
    return Endpoint.Interface(
      networkName: mode.text, networkID: (mode == .host ? identities.host : identities.none).id, endpointID: randomID())
  }

  /// Writes an attachment down; the sandbox goes back when another attachment of the container was faster.
  private func record(_ attachment: State.Attachment) throws -> Endpoint {
    let id = attachment.endpoint.containerID
    let recorded = core.state.withLock { state in
      guard state.attachments[id] == nil else { return false }
      state.attachments[id] = attachment
      state.names.insert(attachment.endpoint)
      return true
    }
    if !recorded {
      if let sandbox = attachment.sandbox { core.drop(sandbox, attachment.plugs) }
      throw EngineError.conflict("container \(id) is attached to its network already")
    }
    if attachment.endpoint.hasResolver { core.resolver.listen(attachment.sandbox?.resolver, container: id) }
    return attachment.endpoint
  }

  private func attachHost(_ request: AttachRequest) throws -> Endpoint {
    var endpoint = place(request, sandbox: nil)
    endpoint.interfaces = [predefined(.host)]
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

  /// The networks asked for, that of the mode first, each once.
  private func wanted(_ request: AttachRequest) throws -> [(segment: Segment, endpoint: EndpointRequest)] {
    var main = EndpointRequest(network: request.mode.text)
    main.macAddress = request.macAddress ?? ""
    let segment = try segment(main.network)
    var result = [(segment, main)]
    for endpoint in request.endpoints {
      let other = try self.segment(endpoint.network)
      if let index = result.firstIndex(where: { $0.0.id == other.id }) {
        var merged = endpoint
        if merged.macAddress.isEmpty { merged.macAddress = result[index].1.macAddress }
        result[index].1 = merged
      } else {
        result.append((other, endpoint))
      }
    }
    return result
  }

  private func attachNetworks(_ request: AttachRequest) async throws -> Endpoint {
    let demands = try demands(of: request)
    let wanted = try wanted(request)
    for (segment, endpoint) in wanted { try Self.check(endpoint, on: segment) }
    let standard = wanted.first { $0.segment.isDefault }
    let sandbox = try await sandbox(standard == nil ? .none : .bridge, request)
    var plugs: [Sandbox.Plug] = sandbox.plug.map { [$0] } ?? []
    var publication = Publication()
    do {
      var endpoint = place(request, sandbox: sandbox)
      for (segment, settings) in wanted {
        let plug: Sandbox.Plug
        var hardware: HardwareAddress?
        if segment.isDefault {
          guard let made = sandbox.plug else { throw EngineError.system("sandbox \(sandbox.path) has no interface") }
          hardware = try Self.hardwareAddress(settings)
          if let hardware, hardware != made.hardwareAddress {
            try await core.onThread { plumber in try plumber.setHardwareAddress(hardware, of: sandbox) }
          }
          plug = made
        } else {
          plug = try await self.plug(settings, segment, sandbox, plugs: plugs)
          plugs.append(plug)
        }
        var interface = interface(settings, segment, plug, request: request)
        if let hardware { interface.macAddress = hardware.description }
        endpoint.interfaces.append(interface)
      }
      if wanted.count > 1 { try await route(endpoint, sandbox) }
      try publish(demands, endpoint: endpoint, into: &publication)
      endpoint.ports = publication.ports
      endpoint.unpublished = Set(request.exposed).subtracting(publication.ports.map(\.port)).sorted()
      return try record(
        State.Attachment(
          endpoint: endpoint, sandbox: sandbox, plugs: plugs, mappings: publication.mappings,
          reservations: publication.reservations))
    } catch {
      withdraw(publication.mappings)
      core.drop(sandbox, plugs)
      throw error
    }
  }

  /// What a user asks of one network, checked with Docker's words. - Throws: 400.
  static func check(_ endpoint: EndpointRequest, on segment: Segment) throws(EngineError) {
    var errors: [String] = []
    if segment.isDefault {
      if !endpoint.ipv4.isEmpty || !endpoint.ipv6.isEmpty {
        errors.append("user specified IP address is supported on user defined networks only")
      }
      if !endpoint.aliases.isEmpty {
        errors.append("network-scoped alias is supported only for containers in user defined networks")
      }
    }
    let v4 = IPv4Address(endpoint.ipv4)
    let v6 = IPv6Address(endpoint.ipv6)
    if !endpoint.ipv4.isEmpty, v4 == nil || v4?.isUnspecified == true {
      errors.append("invalid IPv4 address: \(endpoint.ipv4)")
    }
    if !endpoint.ipv6.isEmpty, v6 == nil || v6?.isUnspecified == true {
      errors.append("invalid IPv6 address: \(endpoint.ipv6)")
    }
    for text in endpoint.linkLocal where IPAddress(text)?.isUnspecified ?? true {
      errors.append("invalid link-local IP address: \(text)")
    }
    for (text, configured, contains) in [
      (endpoint.ipv4, segment.network.configuredV4, v4.map { segment.subnet?.contains($0) ?? false }),
      (endpoint.ipv6, segment.network.configuredV6, v6.map { segment.subnet6?.contains($0) ?? false }),
    ] {
      guard !segment.isDefault, !text.isEmpty, let contains else { continue }
      if !configured {
        errors.append(
          "user specified IP address is supported only when connecting to networks with user configured subnets")
      } else if !contains {
        errors.append("no configured subnet or ip-range contain the IP address \(text)")
      }
    }
    guard errors.isEmpty else {
      throw .invalidParameter("invalid endpoint settings:\n\(errors.joined(separator: "\n"))")
    }
    _ = try hardwareAddress(endpoint)
  }

  static func hardwareAddress(_ endpoint: EndpointRequest) throws(EngineError) -> HardwareAddress? {
    guard !endpoint.macAddress.isEmpty else { return nil }
    guard let address = HardwareAddress(endpoint.macAddress), !address.isMulticast else {
      throw .invalidParameter("invalid MAC address \(endpoint.macAddress)")
    }
    return address
  }

  /// An interface on a user's network.
  func plug(_ settings: EndpointRequest, _ segment: Segment, _ sandbox: Sandbox, plugs: [Sandbox.Plug]) async throws
    -> Sandbox.Plug
  {
    let names = Set(plugs.map(\.name))
    var name = settings.driverOptions["com.docker.network.endpoint.ifname"] ?? ""
    if name.isEmpty {
      name = (0...names.count).lazy.map { "eth\($0)" }.first { !names.contains($0) } ?? "eth\(names.count)"
    } else if !(1...Netlink.nameLimit).contains(name.utf8.count) || names.contains(name) || name == "lo"
      || name.contains(where: { $0 == "/" || $0 == ":" || $0.isWhitespace })
    {
      throw EngineError.invalidParameter("invalid interface name \"\(name)\"")
    }
    let hardware = try Self.hardwareAddress(settings)
    let sysctls = (settings.driverOptions["com.docker.network.endpoint.sysctls"] ?? "").split(separator: ",").map(
      String.init)
    let (chosen, first) = (name, plugs.isEmpty)
    return try await core.onThread { plumber in
      var outlet = Outlet(network: segment.id, name: chosen, slot: plumber.newSlot())
      outlet.address = IPv4Address(settings.ipv4)
      outlet.address6 = IPv6Address(settings.ipv6)
      outlet.linkLocal = settings.linkLocal.compactMap { IPAddress($0) }
      outlet.hardwareAddress = hardware
      outlet.sysctls = sysctls
      // with several, the routes are set when all are there
      outlet.routesV4 = first
      outlet.routesV6 = first
      return try plumber.plug(outlet, into: sandbox)
    }
  }

  func interface(
    _ settings: EndpointRequest, _ segment: Segment, _ plug: Sandbox.Plug, request: AttachRequest
  ) -> Endpoint.Interface {
    var interface = Endpoint.Interface(
      networkName: segment.network.name, networkID: segment.id, endpointID: randomID())
    interface.name = plug.name
    interface.hostInterface = plug.hostInterface.isEmpty ? nil : plug.hostInterface
    interface.macAddress = plug.hardwareAddress.description
    interface.isInternal = segment.network.isInternal
    interface.gatewayPriority = settings.gatewayPriority
    interface.links = settings.links
    if let address = plug.address, let subnet = segment.subnet {
      interface.ipAddress = address.description
      interface.prefixLength = subnet.prefix
      if segment.hasGateway { interface.gateway = subnet.address.description }
    }
    if let address = plug.address6, let subnet = segment.subnet6 {
      interface.ipv6Address = address.description
      interface.ipv6PrefixLength = subnet.prefix
      if segment.hasGateway { interface.ipv6Gateway = subnet.address.description }
    }
    if !segment.isDefault {
      var names: [String] = []
      for name in [request.containerName] + settings.aliases + [
        String(request.containerID.prefix(12)), request.hostname,
      ]
      where !name.isEmpty && !names.contains(name) { names.append(name) }
      interface.dnsNames = names
    }
    return interface
  }

  /// Sets the default routes that the endpoint's interfaces call for.
  func route(_ endpoint: Endpoint, _ sandbox: Sandbox) async throws {
    let v4 = endpoint.gatewayInterface(v6: false).flatMap { interface in
      IPv4Address(interface.gateway).map { (name: interface.name, gateway: $0) }
    }
    let v6 = endpoint.gatewayInterface(v6: true).flatMap { interface in
      IPv6Address(interface.ipv6Gateway).map { (name: interface.name, gateway: $0) }
    }
    try await core.onThread { plumber in try plumber.route(sandbox, v4: v4, v6: v6) }
  }

  /// What shall be published: the bindings, and with `-P` the exposed ports that have none.
  private func demands(of request: AttachRequest) throws(EngineError) -> [PortDemand] {
    var address = configuration.defaultBinding
    if let own = try? segment(request.mode.text).hostBinding, !own.isEmpty { address = own }
    var demands: [PortDemand] = []
    guard !request.bindings.isEmpty || request.publishAll else { return [] }
    let dual = hostSpeaksV6
    for binding in request.bindings {
      demands.append(try PortDemand(binding, defaultAddress: address, dual: dual))
    }
    if request.publishAll {
      let bound = Set(request.bindings.map(\.port))
      for port in Set(request.exposed).subtracting(bound).sorted() {
        demands.append(try PortDemand(PortBinding(port: port), defaultAddress: address, dual: dual))
      }
    }
    return demands
  }

  /// A network that containers have interfaces on, by name, id or an unambiguous beginning of it. - Throws: 404 `network x not found`.
  func segment(_ reference: String) throws(EngineError) -> Segment {
    let found = core.state.withLock { state -> [Segment] in
      if let exact = state.segments[reference] { return [exact] }
      if let named = state.segments.values.first(where: { $0.network.name == reference }) { return [named] }
      return reference.isEmpty ? [] : state.segments.values.filter { $0.id.hasPrefix(reference) }
    }
    guard found.count <= 1 else {
      throw .invalidParameter(
        "network \(reference) is ambiguous (\(found.count) matches found based on ID prefix)")
    }
    guard let segment = found.first else { throw .notFound("network \(reference) not found") }
    return segment
  }
}

extension Endpoint {
  /// The container has another name; its network names follow.
  mutating func rename(to name: String) {
    for index in interfaces.indices {
      guard var names = interfaces[index].dnsNames else { continue }
      if let old = names.firstIndex(of: containerName) { names[old] = name }
      interfaces[index].dnsNames = names
    }
    containerName = name
  }
}

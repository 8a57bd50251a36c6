import Containers
import Metadata
import Networks
import OCI

/// Networks, as Containers asks of them.
struct NetworkSource: ContainerNetworking {
  let networks: Networks

  func connect(_ request: NetworkRequest) async throws -> NetworkAttachment {
    let main = request.mode.isEmpty || request.mode == "default" ? "bridge" : request.mode
    let own = request.settings.endpoints.first { $0.network == main || ($0.network == "default" && main == "bridge") }
    let macAddress = own.map(\.settings.macAddress).flatMap { $0.isEmpty ? nil : $0 } ?? request.macAddress
    var attach = NetworkAttachRequest(
      containerID: request.containerID, containerName: request.name, mode: NetworkMode(request.mode),
      bindings: try Self.bindings(request.portBindings),
      exposed: try request.exposedPorts.map { try ContainerPort($0) }, publishAll: request.publishAllPorts,
      macAddress: macAddress.isEmpty ? nil : macAddress)
    switch attach.mode {
    case .bridge, .named:
      attach.endpoints = request.settings.endpoints.map { name, settings in
        EndpointRequest(network: name == "default" ? "bridge" : name, settings)
      }
    case .none, .host, .container: break
    }
    attach.hostname = request.hostname
    attach.links = request.links
    attach.namespace = request.namespace
    attach.dns = request.dns
    let endpoint = try await networks.attach(attach)
    do {
      return attachment(endpoint, files: try files(request, endpoint))
    } catch {
      networks.release(containerID: request.containerID)
      throw error
    }
  }

  private static func bindings(_ ports: PortMap) throws -> [NetworkPortBinding] {
    var bindings: [NetworkPortBinding] = []
    for (port, list) in ports.ports {
      let port = try ContainerPort(port)
      for binding in list ?? [] {
        bindings.append(NetworkPortBinding(port: port, hostIP: binding.hostIP, hostPort: binding.hostPort))
      }
    }
    return bindings
  }

  func plug(containerID: String, network: String, _ settings: NetworkingConfig.EndpointSettings) async throws
    -> NetworkAttachment
  {
    let endpoint = try await networks.connect(containerID: containerID, EndpointRequest(network: network, settings))
    var result = attachment(endpoint, files: nil)
    for interface in endpoint.interfaces {
      result.hostsLines[interface.networkName] = Networks.hostsLine(
        NameFiles.Request(hostname: endpoint.hostname), interface)
    }
    return result
  }

  func unplug(containerID: String, network: String) async throws -> NetworkAttachment {
    attachment(try await networks.disconnect(containerID: containerID, network: network), files: nil)
  }

  func publish(containerID: String, add: PortMap, remove: PortMap) async throws -> NetworkAttachment {
    let endpoint = try await networks.publish(
      containerID: containerID, add: try Self.bindings(add),
      remove: try remove.ports.flatMap { port, list -> [NetworkPortBinding] in
        let port = try ContainerPort(port)
        // a port without bindings: all of its
        guard let list, !list.isEmpty else { return [NetworkPortBinding(port: port)] }
        return list.map { NetworkPortBinding(port: port, hostIP: $0.hostIP, hostPort: $0.hostPort) }
      })
    return attachment(endpoint, files: nil)
  }

  func name(ofNetwork reference: String) throws -> String { try networks.inspect(reference).name }

  private func files(_ request: NetworkRequest, _ endpoint: Endpoint) throws -> NetworkAttachment.Files? {
    if case .container = endpoint.mode { return nil }
    let files = try networks.files(
      for: NameFiles.Request(
        hostname: request.hostname, domainname: request.domainname, extraHosts: request.extraHosts, dns: request.dns,
        dnsSearch: request.dnsSearch, dnsOptions: request.dnsOptions), endpoint: endpoint)
    return NetworkAttachment.Files(hostname: files.hostname, hosts: files.hosts, resolvConf: files.resolvConf)
  }

  private func attachment(_ endpoint: Endpoint, files: NetworkAttachment.Files?) -> NetworkAttachment {
    var ports: [String: [ContainerPortBinding]?] = [:]
    for port in endpoint.unpublished { ports[port.description] = .some(nil) }
    for published in endpoint.ports {
      let binding = ContainerPortBinding(hostIP: published.hostIP, hostPort: "\(published.hostPort)")
      ports[published.port.description] = ((ports[published.port.description] ?? nil) ?? []) + [binding]
    }
    let endpoints = endpoint.interfaces.map { interface in
      var result = NetworkEndpoint(
        network: interface.networkName, networkID: interface.networkID, endpointID: interface.endpointID,
        macAddress: interface.macAddress, gateway: interface.gateway, ipAddress: interface.ipAddress,
        ipPrefixLength: interface.prefixLength)
      result.ipv6Gateway = interface.ipv6Gateway
      result.globalIPv6Address = interface.ipv6Address
      result.globalIPv6PrefixLength = interface.ipv6PrefixLength
      result.dnsNames = interface.dnsNames
      result.gatewayPriority = interface.gatewayPriority
      return result
    }
    return NetworkAttachment(
      namespacePath: endpoint.namespacePath, endpoints: endpoints,
      ports: PortMap(ports.sorted { $0.key < $1.key }.map { (port: $0.key, bindings: $0.value) }), files: files,
      record: endpoint.json)
  }

  func disconnect(containerID: String) { networks.release(containerID: containerID) }

  func reconcile(live: [JSON]) async throws {
    try await networks.reconcile(live: try live.map { try Endpoint(json: $0) })
  }

  func attachment(record: JSON) throws -> NetworkAttachment { attachment(try Endpoint(json: record), files: nil) }

  func check(network: String) throws { _ = try networks.inspect(network) }

  func rename(containerID: String, to name: String) { networks.rename(containerID: containerID, to: name) }

  func statistics(containerID: String) throws -> JSON? {
    let interfaces = try networks.statistics(containerID: containerID)
    guard !interfaces.isEmpty else { return nil }
    return .object(
      JSONObject(
        interfaces.map { name, counters in
          (
            name,
            [
              "rx_bytes": JSON(counters.receivedBytes), "rx_packets": JSON(counters.receivedPackets),
              "rx_errors": JSON(counters.receiveErrors), "rx_dropped": JSON(counters.receiveDropped),
              "tx_bytes": JSON(counters.sentBytes), "tx_packets": JSON(counters.sentPackets),
              "tx_errors": JSON(counters.sendErrors), "tx_dropped": JSON(counters.sendDropped),
            ]
          )
        }))
  }
}

extension EndpointRequest {
  init(network: String, _ settings: NetworkingConfig.EndpointSettings) {
    self.init(network: network)
    aliases = settings.aliases ?? []
    links = settings.links ?? []
    macAddress = settings.macAddress
    gatewayPriority = settings.gatewayPriority
    driverOptions = settings.driverOpts ?? [:]
    ipv4 = settings.ipam?["IPv4Address"]?.stringValue ?? ""
    ipv6 = settings.ipam?["IPv6Address"]?.stringValue ?? ""
    linkLocal = (settings.ipam?["LinkLocalIPs"]?.arrayValue ?? []).compactMap(\.stringValue)
  }
}

/// The networks' records in the database.
struct NetworkRecords: NetworkStore {
  let metadata: Metadata

  func networks() throws -> [(id: String, name: String, record: String)] {
    try metadata.readBlocking { try $0.networks() }
  }
  func put(id: String, name: String, record: String) throws {
    try metadata.writeBlocking(durable: true) { try $0.putNetwork(id, name: name, record: record) }
  }
  func delete(id: String) throws { try metadata.writeBlocking(durable: true) { try $0.deleteNetwork(id) } }
}

import Containers
import Networks
import OCI

/// Networks, as Containers asks of them.
struct NetworkSource: ContainerNetworking {
  let networks: Networks

  func connect(_ request: NetworkRequest) async throws -> NetworkAttachment {
    var bindings: [NetworkPortBinding] = []
    for (port, list) in request.portBindings.ports {
      let port = try ContainerPort(port)
      for binding in list ?? [] {
        bindings.append(NetworkPortBinding(port: port, hostIP: binding.hostIP, hostPort: binding.hostPort))
      }
    }
    let macAddress = request.settings.endpoints.map(\.settings.macAddress).first { !$0.isEmpty } ?? request.macAddress
    let endpoint = try await networks.attach(
      NetworkAttachRequest(
        containerID: request.containerID, containerName: request.name, mode: NetworkMode(request.mode),
        bindings: bindings,
        exposed: try request.exposedPorts.map { try ContainerPort($0) }, publishAll: request.publishAllPorts,
        macAddress: macAddress.isEmpty ? nil : macAddress))
    do {
      return attachment(endpoint, files: try files(request, endpoint))
    } catch {
      networks.release(containerID: request.containerID)
      throw error
    }
  }

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
    var endpoints: [NetworkEndpoint] = []
    if !endpoint.networkName.isEmpty {
      endpoints.append(
        NetworkEndpoint(
          network: endpoint.networkName, networkID: endpoint.networkID, endpointID: endpoint.endpointID,
          macAddress: endpoint.macAddress, gateway: endpoint.gateway, ipAddress: endpoint.ipAddress,
          ipPrefixLength: endpoint.prefixLength))
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

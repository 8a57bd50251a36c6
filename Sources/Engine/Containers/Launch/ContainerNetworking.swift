/// What `Containers` needs of the networks. The engine ties it to `Networks`.
public protocol ContainerNetworking: Sendable {
  /// Gives a starting container its namespace, addresses, published ports and `hosts`, `resolv.conf` and `hostname` files
  /// (written into `filesDirectory`). Called again for a container that has one already, it gives a fresh one.
  func connect(_ request: NetworkRequest) async throws -> NetworkAttachment
  /// Takes everything back. Succeeds for a container that has nothing; slow parts happen behind.
  func disconnect(containerID: String) async
  /// At the daemon's start: keep what belongs to these (published ports are asserted again), sweep the rest.
  func reconcile(live: [String: NetworkRequest]) async throws
  /// Whether a network of that name or id exists; throws Docker's `network x not found`.
  func check(network: String) async throws
}

public struct NetworkRequest: Sendable {
  public var containerID: String
  public var name: String
  public var hostname: String
  public var domainname: String
  /// `default`, `bridge`, `none`, `host` or a network's name or id; `container:…` never comes here.
  public var mode: String
  public var exposedPorts: [String]
  public var portBindings: PortMap
  public var publishAllPorts: Bool
  public var macAddress: String
  public var settings: NetworkingConfig
  public var dns: [String]
  public var dnsOptions: [String]
  public var dnsSearch: [String]
  public var extraHosts: [String]
  /// `<data-root>/containers/<id>`, exists.
  public var filesDirectory: String
}

public struct NetworkAttachment: Sendable {
  /// `/run/berth/netns/<id>`; `nil`: the host's own namespace.
  public var namespacePath: String?
  public var endpoints: [NetworkEndpoint]
  public var ports: PortMap
  /// Paths of the files, to be bound into the container.
  public var hostsPath: String
  public var resolvConfPath: String
  public var hostnamePath: String
  public init(
    namespacePath: String?, endpoints: [NetworkEndpoint], ports: PortMap, hostsPath: String, resolvConfPath: String,
    hostnamePath: String
  ) {
    self.namespacePath = namespacePath
    self.endpoints = endpoints
    self.ports = ports
    self.hostsPath = hostsPath
    self.resolvConfPath = resolvConfPath
    self.hostnamePath = hostnamePath
  }
}

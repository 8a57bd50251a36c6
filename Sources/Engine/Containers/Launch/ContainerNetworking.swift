public import Kernel
public import OCI

/// What `Containers` needs of the networks. The engine ties it to `Networks`.
public protocol ContainerNetworking: Sendable {
  /// Gives a starting container its namespace, its addresses and published ports.
  func connect(_ request: NetworkRequest) async throws -> NetworkAttachment
  /// Takes everything back; slow parts happen behind. A container that has nothing is no error.
  func disconnect(containerID: String)
  /// Once, at the daemon's start: keeps what these records (`NetworkAttachment.record`) say, sweeps the rest, asserts ports again.
  func reconcile(live: [JSON]) async throws
  /// An attachment from its record, for a container that the daemon finds running.
  func attachment(record: JSON) throws -> NetworkAttachment
  /// Plugs a running container into one network more; answers all that it has now.
  func plug(containerID: String, network: String, _ settings: NetworkingConfig.EndpointSettings) async throws
    -> NetworkAttachment
  /// Unplugs a running container.
  func unplug(containerID: String, network: String) async throws -> NetworkAttachment
  /// Publishes and takes down ports of a running container.
  func publish(containerID: String, add: PortMap, remove: PortMap) async throws -> NetworkAttachment
  /// The name of a network by name, id or a beginning of it.
  func name(ofNetwork reference: String) throws -> String
  /// Docker's text when there is no such network: `network x not found`.
  func check(network: String) throws
  func rename(containerID: String, to name: String)
  /// Docker's `networks` of a stats sample; `nil` without a namespace of its own.
  func statistics(containerID: String) throws -> JSON?
}

public struct NetworkRequest: Sendable {
  public var containerID: String
  /// Without slash.
  public var name: String
  public var hostname: String
  public var domainname: String
  /// `HostConfig.NetworkMode`, with `container:` followed by the other's full id.
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
  /// A network namespace that the container's user namespace owns, to be used instead of one of the network's.
  public var namespace: SharedDescriptor?
  /// `--link` on the default bridge: full ids and what they are called, `id:alias`.
  public var links: [String] = []
}

public struct NetworkAttachment: Sendable {
  /// `/run/berth/netns/<id>`; `nil`: the host's own namespace.
  public var namespacePath: String?
  public var endpoints: [NetworkEndpoint]
  public var ports: PortMap
  /// What goes to `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf`; `nil` when it shares another container's files.
  public var files: Files?
  /// The lines of `/etc/hosts` that a network brought, by its name.
  public var hostsLines: [String: String] = [:]
  /// What the network must know of it at the daemon's next start; opaque to the container.
  public var record: JSON

  public struct Files: Sendable, Equatable {
    public var hostname: String
    public var hosts: String
    public var resolvConf: String
    public init(hostname: String, hosts: String, resolvConf: String) {
      self.hostname = hostname
      self.hosts = hosts
      self.resolvConf = resolvConf
    }
  }

  public init(
    namespacePath: String?, endpoints: [NetworkEndpoint], ports: PortMap, files: Files?, record: JSON
  ) {
    self.namespacePath = namespacePath
    self.endpoints = endpoints
    self.ports = ports
    self.files = files
    self.record = record
  }
}

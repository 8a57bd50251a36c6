public import Kernel

/// What a container asks of its network when it starts.
public struct AttachRequest: Sendable {
  /// 64 hexadecimal digits.
  public var containerID: String
  /// Without the leading slash; for inspect and for error texts.
  public var containerName: String
  /// `.container` with the other's full id: names are the containers' business.
  public var mode: NetworkMode
  /// `HostConfig.PortBindings`.
  public var bindings: [PortBinding]
  /// `ExposedPorts` of image and container; published on any free port with `publishAll` (`-P`).
  public var exposed: [ContainerPort]
  public var publishAll: Bool
  /// `--mac-address`, `02:42:…`, of the network that `mode` names; nil: made from the address.
  public var macAddress: String?
  /// The networks, with what is asked of each; that of `mode` is taken along when it isn't among them.
  public var endpoints: [EndpointRequest] = []
  /// How the container calls itself, for names: host name, short id.
  public var hostname = ""
  /// `--link` on the default bridge: other containers by id or name, and what this one calls them.
  public var links: [String] = []
  /// A namespace to use instead of one that is made here: owned by the container's user namespace.
  public var namespace: SharedDescriptor?
  /// Name servers that the resolver asks for this container; empty: the daemon's or the host's.
  public var dns: [String] = []

  public init(
    containerID: String, containerName: String, mode: NetworkMode, bindings: [PortBinding] = [],
    exposed: [ContainerPort] = [],
    publishAll: Bool = false, macAddress: String? = nil
  ) {
    self.containerID = containerID
    self.containerName = containerName
    self.mode = mode
    self.bindings = bindings
    self.exposed = exposed
    self.publishAll = publishAll
    self.macAddress = macAddress
  }
}

/// What a container asks of one network: `EndpointSettings` of the API.
public struct EndpointRequest: Sendable, Equatable {
  /// Name, id or an unambiguous beginning of it.
  public var network: String
  public var aliases: [String] = []
  /// `container[:alias]`
  public var links: [String] = []
  /// Fixed addresses; empty: any.
  public var ipv4 = ""
  public var ipv6 = ""
  public var linkLocal: [String] = []
  public var macAddress = ""
  public var gatewayPriority: Int64 = 0
  public var driverOptions: [String: String] = [:]

  public init(network: String) { self.network = network }
}

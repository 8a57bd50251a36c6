import OCI

/// All that is known of a container at one moment: what lists and `inspect` are made from, without any lock.
public struct ContainerSnapshot: Sendable {
  /// 64 hexadecimal digits.
  public var id: String
  /// Without the leading slash.
  public var name: String
  /// Nanoseconds since 1970.
  public var created: Int64
  /// The program and its arguments, entrypoint and command merged.
  public var path: String
  public var args: [String]
  public var state: ContainerState
  /// `sha256:…`
  public var imageID: String
  /// After the merge with the image's.
  public var config: ContainerConfig
  public var hostConfig: HostConfig
  public var networkingConfig: NetworkingConfig
  /// One a network, empty while it doesn't run (the settings of the user are in `networkingConfig`).
  public var endpoints: [NetworkEndpoint]
  /// `/run/berth/netns/<id>`, empty without one.
  public var sandboxKey: String
  /// Ports of the running container; an exposed port without binding has `nil`.
  public var ports: PortMap
  public var mounts: [MountPoint]
  /// Host paths of the generated files and of the log; empty without one.
  public var resolvConfPath: String
  public var hostnamePath: String
  public var hostsPath: String
  public var logPath: String
  public var restartCount: Int
  public var execIDs: [String]
  /// The image's layers by diff id, bottom first.
  public var layers: [String]
  /// What the network gave, as it wrote it, for the daemon's next start; `nil` without.
  var network: JSON?

  /// `overlay2`
  public var driver: String
  /// `GraphDriver.Data`: `LowerDir`, `MergedDir`, `UpperDir`, `WorkDir`.
  public var driverData: [String: String]
  public var platform: String
  public var appArmorProfile: String
  /// The user asked for its stop: `unless-stopped` then stays down.
  public var hasBeenManuallyStopped: Bool

  /// The generation of the record, greater with every change.
  public var revision: UInt64

  public struct MountPoint: Sendable, Equatable {
    /// `bind`, `volume`, `tmpfs`, `image`.
    public var type: String
    /// Of the volume; the image of an image mount.
    public var name: String
    public var source: String
    public var destination: String
    public var driver: String
    public var mode: String
    public var rw: Bool
    public var propagation: String
    /// The OCI mount's options.
    var options: [String] = []
    /// A bind whose source is made when it is missing.
    var createsSource = false
    /// A volume that goes with its container.
    var anonymous = false
    /// Of the volume: its id, which stays when its name changes.
    var volumeID = ""
    /// In the volume.
    var subpath = ""
    var idMapping: IDMapping?
    /// Of an image mount: the snapshot that it is.
    var snapshotID = ""
    /// By diff id, bottom first.
    var imageLayers: [Digest] = []
    public init(
      type: String, name: String = "", source: String, destination: String, driver: String = "", mode: String = "",
      rw: Bool = true, propagation: String = ""
    ) {
      self.type = type
      self.name = name
      self.source = source
      self.destination = destination
      self.driver = driver
      self.mode = mode
      self.rw = rw
      self.propagation = propagation
    }
  }
}

/// What a network gave to a container. Empty strings where there is nothing.
public struct NetworkEndpoint: Sendable, Equatable {
  /// `bridge`, `host`, `none`.
  public var network: String
  public var networkID: String
  public var endpointID: String
  public var macAddress: String
  public var gateway: String
  public var ipAddress: String
  public var ipPrefixLength: Int
  public var ipv6Gateway: String
  public var globalIPv6Address: String
  public var globalIPv6PrefixLength: Int
  public var dnsNames: [String]?

  public init(
    network: String, networkID: String, endpointID: String = "", macAddress: String = "", gateway: String = "",
    ipAddress: String = "", ipPrefixLength: Int = 0, ipv6Gateway: String = "", globalIPv6Address: String = "",
    globalIPv6PrefixLength: Int = 0, dnsNames: [String]? = nil
  ) {
    self.network = network
    self.networkID = networkID
    self.endpointID = endpointID
    self.macAddress = macAddress
    self.gateway = gateway
    self.ipAddress = ipAddress
    self.ipPrefixLength = ipPrefixLength
    self.ipv6Gateway = ipv6Gateway
    self.globalIPv6Address = globalIPv6Address
    self.globalIPv6PrefixLength = globalIPv6PrefixLength
    self.dnsNames = dnsNames
  }
}

/// A network as `GET /networks` and `GET /networks/{id}` tell of it.
public struct NetworkDetails: Sendable, Equatable {
  public struct AddressPool: Sendable, Equatable {
    /// `172.17.0.0/16`
    public var subnet: String
    public var gateway: String
    public var ipRange: String
    public var auxiliary: [String: String]
    /// Of the addresses that may be given out: those that are, and those that are left.
    public var inUse: Int
    public var available: UInt64

    public init(
      subnet: String, gateway: String, ipRange: String = "", auxiliary: [String: String] = [:], inUse: Int = 0,
      available: UInt64 = 0
    ) {
      self.subnet = subnet
      self.gateway = gateway
      self.ipRange = ipRange
      self.auxiliary = auxiliary
      self.inUse = inUse
      self.available = available
    }
  }

  public struct Member: Sendable, Equatable {
    public var containerID: String
    public var name: String
    public var endpointID: String
    public var macAddress: String
    /// With the prefix: `172.17.0.2/16`; empty without an address.
    public var ipv4Address: String
    public var ipv6Address: String

    public init(
      containerID: String, name: String, endpointID: String, macAddress: String, ipv4Address: String,
      ipv6Address: String = ""
    ) {
      self.ipv6Address = ipv6Address
      self.containerID = containerID
      self.name = name
      self.endpointID = endpointID
      self.macAddress = macAddress
      self.ipv4Address = ipv4Address
    }
  }

  public var name: String
  /// 64 hexadecimal digits, the same for the life of the data root.
  public var id: String
  /// Nanoseconds since 1970.
  public var created: Int64
  /// `bridge`, `host` or `null`.
  public var driver: String
  /// Always `local` for now.
  public var scope: String
  public var isInternal = false
  public var isAttachable = false
  public var ipamOptions: [String: String]?
  public var enableIPv4: Bool
  public var enableIPv6: Bool
  /// Empty for `host` and `none`.
  public var pools: [AddressPool]
  /// Driver options as Docker names them (`com.docker.network.bridge.name`, …).
  public var options: [String: String]
  public var labels: [String: String]
  /// Sorted by container id.
  public var members: [Member]

  public init(
    name: String, id: String, created: Int64, driver: String, scope: String = "local", enableIPv4: Bool = true,
    enableIPv6: Bool = false,
    pools: [AddressPool] = [], options: [String: String] = [:], labels: [String: String] = [:], members: [Member] = []
  ) {
    self.name = name
    self.id = id
    self.created = created
    self.driver = driver
    self.scope = scope
    self.enableIPv4 = enableIPv4
    self.enableIPv6 = enableIPv6
    self.pools = pools
    self.options = options
    self.labels = labels
    self.members = members
  }
}

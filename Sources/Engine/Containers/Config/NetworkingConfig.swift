public import OCI

/// The networks that a container is created on: `NetworkingConfig` of the Engine API. Only what the user sets; what the network
/// answered is `NetworkEndpoint`.
public struct NetworkingConfig: Sendable, Equatable {
  public var endpoints: [(network: String, settings: EndpointSettings)] = []

  public init() {}

  public init(_ fields: JSONFields) throws(JSONError) {
    guard let networks = try fields.fields("EndpointsConfig") else { return }
    for (name, value) in networks.object.members {
      let settings =
        value.isNull ? EndpointSettings() : try EndpointSettings(JSONFields(value, path: networks.path(of: name)))
      endpoints.append((name, settings))
    }
  }

  public var json: JSON { ["EndpointsConfig": .object(JSONObject(endpoints.map { ($0.network, $0.settings.json) }))] }

  public static func == (a: NetworkingConfig, b: NetworkingConfig) -> Bool { a.json == b.json }

  public struct EndpointSettings: Sendable, Equatable {
    /// `IPv4Address`, `IPv6Address`, `LinkLocalIPs`, kept as it came.
    public var ipam: JSON?
    public var links: [String]?
    public var aliases: [String]?
    public var macAddress = ""
    public var driverOpts: [String: String]?
    public var gatewayPriority: Int64 = 0

    public init() {}

    public init(_ fields: JSONFields) throws(JSONError) {
      ipam = fields.value("IPAMConfig")
      links = try fields.strings("Links")
      aliases = try fields.strings("Aliases")
      macAddress = try fields.string("MacAddress") ?? ""
      driverOpts = try fields.map("DriverOpts")
      gatewayPriority = try fields.int("GwPriority") ?? 0
    }

    public var json: JSON {
      [
        "IPAMConfig": ipam ?? .null, "Links": JSON(orNull: links), "Aliases": JSON(orNull: aliases),
        "MacAddress": JSON(macAddress), "DriverOpts": driverOpts.map { JSON($0) } ?? .null,
        "GwPriority": JSON(gatewayPriority),
      ]
    }
  }
}

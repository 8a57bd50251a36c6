import Errdefs
import Netlink
public import OCI

/// A container's place in its networks, kept in the container's record while it runs.
public struct Endpoint: Sendable, Equatable {
  /// What it has on one network.
  public struct Interface: Sendable, Equatable {
    /// `bridge`, `host`, `none`, or a user's.
    public var networkName: String
    public var networkID: String
    /// 64 hexadecimal digits.
    public var endpointID: String
    /// In the container: `eth0`; empty with `host` and `none`.
    public var name = ""
    /// The veth's end on the host; nil without one.
    public var hostInterface: String?
    /// `02:42:ac:11:00:02`; empty without one, as all that follow.
    public var macAddress = ""
    public var ipAddress = ""
    public var prefixLength = 0
    public var gateway = ""
    public var ipv6Address = ""
    public var ipv6PrefixLength = 0
    public var ipv6Gateway = ""
    public var gatewayPriority: Int64 = 0
    public var isInternal = false
    /// What others on the network call it by, its own name first; nil: as on Docker's default bridge, which shows none.
    public var dnsNames: [String]?
    /// `container:alias`
    public var links: [String] = []

    public init(networkName: String, networkID: String, endpointID: String) {
      self.networkName = networkName
      self.networkID = networkID
      self.endpointID = endpointID
    }
  }

  public var containerID: String
  public var containerName: String
  public var mode: NetworkMode
  /// 64 hexadecimal digits.
  public var sandboxID: String
  /// The bound namespace for `linux.namespaces`' path; nil: the host's own namespace.
  public var namespacePath: String?
  /// That of the network mode first; empty with `container:ID`.
  public var interfaces: [Interface]
  /// Sorted by container port, as asked within a port.
  public var ports: [PublishedPort]
  /// Ports that are exposed and not published: `NetworkSettings.Ports` shows them with `null`.
  public var unpublished: [ContainerPort]
  /// As `AttachRequest` has them.
  public var hostname: String
  public var dns: [String]
  public var links: [String]

  public init(
    containerID: String, containerName: String, mode: NetworkMode, sandboxID: String = "", namespacePath: String? = nil,
    interfaces: [Interface] = [], ports: [PublishedPort] = [], unpublished: [ContainerPort] = []
  ) {
    self.containerID = containerID
    self.containerName = containerName
    self.mode = mode
    self.sandboxID = sandboxID
    self.namespacePath = namespacePath
    self.interfaces = interfaces
    self.ports = ports
    self.unpublished = unpublished
    hostname = ""
    dns = []
    links = []
  }

  /// Of the first network.
  public var networkName: String { interfaces.first?.networkName ?? "" }
  public var networkID: String { interfaces.first?.networkID ?? "" }
  public var hostInterface: String? { interfaces.first?.hostInterface }
  public var macAddress: String { interfaces.first?.macAddress ?? "" }
  public var ipAddress: String { interfaces.first?.ipAddress ?? "" }
  public var prefixLength: Int { interfaces.first?.prefixLength ?? 0 }
  public var gateway: String { interfaces.first?.gateway ?? "" }

  /// The interface with the default route: the highest priority, then by the network's name; none that is internal.
  func gatewayInterface(v6: Bool) -> Interface? {
    interfaces.filter { !(v6 ? $0.ipv6Gateway : $0.gateway).isEmpty }
      .min { ($1.gatewayPriority, $0.networkName) < ($0.gatewayPriority, $1.networkName) }
  }

  /// The resolver answers in its namespace.
  var hasResolver: Bool { interfaces.contains { !$0.name.isEmpty } }

  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("containerID", containerID)
    builder.set("containerName", containerName)
    builder.set("mode", mode.text)
    builder.set("sandboxID", sandboxID)
    builder.set("namespacePath", namespacePath)
    builder.set("interfaces", .array(interfaces.map(\.json)))
    builder.set(
      "ports",
      .array(
        ports.map { published in
          [
            "port": JSON(published.port.description), "hostIP": JSON(published.hostIP),
            "hostPort": JSON(Int(published.hostPort)),
          ]
        }))
    builder.set("unpublished", unpublished.map(\.description))
    builder.set("hostname", hostname)
    builder.set("dns", dns)
    builder.set("links", links)
    return builder.json
  }

  /// From a container's record. - Throws: a field that is missing or of another type.
  public init(json: JSON) throws(JSONError) {
    let fields = try JSONFields(json)
    func port(_ text: String, _ path: String) throws(JSONError) -> ContainerPort {
      do { return try ContainerPort(text) } catch { throw JSONError(path: path, error.message) }
    }
    var unpublished: [ContainerPort] = []
    for text in try fields.strings("unpublished") ?? [] { unpublished.append(try port(text, "unpublished")) }
    let ports = try fields.list("ports") { entry throws(JSONError) in
      PublishedPort(
        port: try port(try entry.required("port", try entry.string("port")), entry.path(of: "port")),
        hostIP: try entry.required("hostIP", try entry.string("hostIP")),
        hostPort: try entry.required("hostPort", try entry.integer("hostPort", as: UInt16.self)))
    }
    var interfaces = try fields.list("interfaces") { entry throws(JSONError) in try Interface(entry) } ?? []
    // the first version had one network, in the record itself
    if fields.value("interfaces") == nil, try fields.string("networkName")?.isEmpty == false {
      interfaces = [try Interface(fields)]
    }
    self.init(
      containerID: try fields.required("containerID", try fields.string("containerID")),
      containerName: try fields.string("containerName") ?? "",
      mode: NetworkMode(try fields.required("mode", try fields.string("mode"))),
      sandboxID: try fields.string("sandboxID") ?? "",
      namespacePath: try fields.string("namespacePath"),
      interfaces: interfaces,
      ports: ports ?? [],
      unpublished: unpublished)
    hostname = try fields.string("hostname") ?? ""
    dns = try fields.strings("dns") ?? []
    links = try fields.strings("links") ?? []
  }
}

extension Endpoint.Interface {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("networkName", networkName)
    builder.set("networkID", networkID)
    builder.set("endpointID", endpointID)
    builder.set("name", name)
    builder.set("hostInterface", hostInterface)
    builder.set("macAddress", macAddress)
    builder.set("ipAddress", ipAddress)
    builder.set("prefixLength", integer: prefixLength)
    builder.set("gateway", gateway)
    builder.set("ipv6Address", ipv6Address)
    builder.set("ipv6PrefixLength", integer: ipv6PrefixLength)
    builder.set("ipv6Gateway", ipv6Gateway)
    builder.set("gatewayPriority", gatewayPriority)
    builder.set("internal", isInternal)
    if let dnsNames { builder.set("dnsNames", dnsNames) }
    builder.set("links", links)
    return builder.json
  }

  init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      networkName: try fields.string("networkName") ?? "", networkID: try fields.string("networkID") ?? "",
      endpointID: try fields.string("endpointID") ?? "")
    hostInterface = try fields.string("hostInterface")
    macAddress = try fields.string("macAddress") ?? ""
    ipAddress = try fields.string("ipAddress") ?? ""
    prefixLength = try fields.integer("prefixLength") ?? 0
    gateway = try fields.string("gateway") ?? ""
    name = try fields.string("name") ?? (ipAddress.isEmpty ? "" : "eth0")
    ipv6Address = try fields.string("ipv6Address") ?? ""
    ipv6PrefixLength = try fields.integer("ipv6PrefixLength") ?? 0
    ipv6Gateway = try fields.string("ipv6Gateway") ?? ""
    gatewayPriority = try fields.int("gatewayPriority") ?? 0
    isInternal = try fields.bool("internal") ?? false
    dnsNames = try fields.strings("dnsNames")
    links = try fields.strings("links") ?? []
  }
}

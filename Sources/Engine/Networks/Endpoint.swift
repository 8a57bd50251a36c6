import Errdefs
public import OCI

/// A container's place in its network, kept in the container's record while it runs.
public struct Endpoint: Sendable, Equatable {
  public var containerID: String
  public var containerName: String
  public var mode: NetworkMode
  /// `bridge`, `host` or `none`; with `container:ID` empty.
  public var networkName: String
  public var networkID: String
  /// 64 hexadecimal digits; empty with `host` and `container:ID`.
  public var endpointID: String
  /// 64 hexadecimal digits.
  public var sandboxID: String
  /// The bound namespace for `linux.namespaces`' path; nil: the host's own namespace.
  public var namespacePath: String?
  /// The veth's end on the host; nil without one.
  public var hostInterface: String?
  /// `02:42:ac:11:00:02`; empty without one, as the next three.
  public var macAddress: String
  public var ipAddress: String
  public var prefixLength: Int
  public var gateway: String
  /// Sorted by container port, as asked within a port.
  public var ports: [PublishedPort]
  /// Ports that are exposed and not published: `NetworkSettings.Ports` shows them with `null`.
  public var unpublished: [ContainerPort]

  public init(
    containerID: String, containerName: String, mode: NetworkMode, networkName: String = "", networkID: String = "",
    endpointID: String = "", sandboxID: String = "", namespacePath: String? = nil, hostInterface: String? = nil,
    macAddress: String = "", ipAddress: String = "", prefixLength: Int = 0, gateway: String = "",
    ports: [PublishedPort] = [],
    unpublished: [ContainerPort] = []
  ) {
    self.containerID = containerID
    self.containerName = containerName
    self.mode = mode
    self.networkName = networkName
    self.networkID = networkID
    self.endpointID = endpointID
    self.sandboxID = sandboxID
    self.namespacePath = namespacePath
    self.hostInterface = hostInterface
    self.macAddress = macAddress
    self.ipAddress = ipAddress
    self.prefixLength = prefixLength
    self.gateway = gateway
    self.ports = ports
    self.unpublished = unpublished
  }

  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("containerID", containerID)
    builder.set("containerName", containerName)
    builder.set("mode", mode.text)
    builder.set("networkName", networkName)
    builder.set("networkID", networkID)
    builder.set("endpointID", endpointID)
    builder.set("sandboxID", sandboxID)
    builder.set("namespacePath", namespacePath)
    builder.set("hostInterface", hostInterface)
    builder.set("macAddress", macAddress)
    builder.set("ipAddress", ipAddress)
    builder.set("prefixLength", integer: prefixLength)
    builder.set("gateway", gateway)
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
    self.init(
      containerID: try fields.required("containerID", try fields.string("containerID")),
      containerName: try fields.string("containerName") ?? "",
      mode: NetworkMode(try fields.required("mode", try fields.string("mode"))),
      networkName: try fields.string("networkName") ?? "",
      networkID: try fields.string("networkID") ?? "",
      endpointID: try fields.string("endpointID") ?? "",
      sandboxID: try fields.string("sandboxID") ?? "",
      namespacePath: try fields.string("namespacePath"),
      hostInterface: try fields.string("hostInterface"),
      macAddress: try fields.string("macAddress") ?? "",
      ipAddress: try fields.string("ipAddress") ?? "",
      prefixLength: try fields.integer("prefixLength") ?? 0,
      gateway: try fields.string("gateway") ?? "",
      ports: ports ?? [],
      unpublished: unpublished)
  }
}

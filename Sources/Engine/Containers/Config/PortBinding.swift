public import OCI

/// Where a container's port is published. `hostPort` is a decimal number, a range, or empty for an ephemeral one.
public struct PortBinding: Sendable, Equatable, Hashable {
  public var hostIP: String
  public var hostPort: String
  public init(hostIP: String = "", hostPort: String = "") {
    self.hostIP = hostIP
    self.hostPort = hostPort
  }
}

/// Docker's `PortMap`: `80/tcp` to its bindings. An exposed port that isn't published has `nil`.
public struct PortMap: Sendable, Equatable {
  public var ports: [(port: String, bindings: [PortBinding]?)]

  public init(_ ports: [(port: String, bindings: [PortBinding]?)] = []) { self.ports = ports }

  public init(_ fields: JSONFields) throws(JSONError) {
    ports = []
    for (key, _) in fields.object.members {
      let bindings = try fields.list(key) { (binding: JSONFields) throws(JSONError) in
        PortBinding(hostIP: try binding.string("HostIp") ?? "", hostPort: try binding.string("HostPort") ?? "")
      }
      ports.append((key, bindings))
    }
    ports.sort { $0.port < $1.port }
  }

  public var json: JSON {
    .object(
      JSONObject(
        ports.map { port in
          (
            port.port,
            port.bindings.map { .array($0.map { ["HostIp": JSON($0.hostIP), "HostPort": JSON($0.hostPort)] }) } ?? .null
          )
        }))
  }

  public static func == (a: PortMap, b: PortMap) -> Bool {
    a.ports.elementsEqual(b.ports) { $0.port == $1.port && $0.bindings == $1.bindings }
  }
}

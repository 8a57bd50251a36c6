import Netlink
import Synchronization

/// Who can reach what, as this daemon's rules have it: for people who check, not for programs that decide.
///
/// Rules of others (the host's firewall, a router) can forbid more; none of them can allow what isn't here.
public struct NetworkAudit: Sendable {
  /// One thing that can be reached.
  public struct Reach: Sendable, Equatable {
    /// `any host`, `this host`, `network NAME`, `container NAME`
    public var from: String
    public var to: String
    /// Addresses of what is reached, as the asker has to name them; empty: any.
    public var at: [String]
    /// `all`, `8080/tcp → 80/tcp`
    public var ports: String
    /// By what: `network`, `published`, `host network`, `route`
    public var by: String
  }

  public var reaches: [Reach] = []
  /// What is kept apart, in words: `network inner reaches nothing else`.
  public var apart: [String] = []
}

extension Networks {
  public func audit() -> NetworkAudit {
    let (segments, endpoints) = core.state.withLock { state in
      (Array(state.segments.values), state.attachments.values.map(\.endpoint))
    }
    var audit = NetworkAudit()
    for segment in segments.sorted(by: { $0.network.name < $1.network.name }) {
      let name = "network \(segment.network.name)"
      let members = endpoints.flatMap { endpoint in
        endpoint.interfaces.filter { $0.networkID == segment.id }.map { (endpoint.containerName, $0) }
      }.sorted { $0.0 < $1.0 }
      for (container, interface) in members {
        let addresses = [interface.ipAddress, interface.ipv6Address].filter { !$0.isEmpty }
        if segment.reachesPeers {
          audit.reaches.append(
            .init(from: name, to: "container \(container)", at: addresses, ports: "all", by: "network"))
        }
        if segment.isBridge {
          audit.reaches.append(
            .init(from: "this host", to: "container \(container)", at: addresses, ports: "all", by: "route"))
        }
      }
      if !segment.reachesPeers { audit.apart.append("containers of \(name) don't reach each other (enable_icc=false)") }
      if segment.isBridge {
        let gateways = [segment.subnet?.address.description, segment.subnet6?.address.description].compactMap(\.self)
        audit.reaches.append(.init(from: name, to: "this host", at: gateways, ports: "all", by: "route"))
      }
      if segment.network.isInternal {
        audit.apart.append("\(name) reaches nothing outside, and nothing outside reaches it (internal)")
      } else if segment.isBridge {
        audit.reaches.append(.init(from: name, to: "any host", at: [], ports: "all", by: "route"))
      } else {
        audit.reaches.append(
          .init(from: name, to: "the wire of \(segment.bridge)", at: [], ports: "all", by: "network"))
        audit.reaches.append(
          .init(from: "the wire of \(segment.bridge)", to: name, at: [], ports: "all", by: "network"))
      }
    }
    for endpoint in endpoints.sorted(by: { $0.containerName < $1.containerName }) {
      if endpoint.mode == .host {
        audit.reaches.append(
          .init(
            from: "any host", to: "container \(endpoint.containerName)", at: [], ports: "all that it listens on",
            by: "host network"))
      }
      for mapping in core.mappings(endpoint) {
        let by =
          configuration.respectsHostFirewall && !mapping.hostAddress.isLoopback
          ? "published, as the host's input rules allow"
          : core.carries(mapping) && !mapping.isKernels ? "published, carried by the daemon" : "published"
        let isLocal = mapping.hostAddress.isLoopback
        let address = mapping.hostAddress.isV6 ? "[\(mapping.hostAddress)]" : mapping.hostAddress.description
        audit.reaches.append(
          .init(
            from: isLocal ? "this host" : "any host", to: "container \(endpoint.containerName)", at: [address],
            ports:
              "\(mapping.hostPort)/\(mapping.transport.rawValue) → \(mapping.targetPort)/\(mapping.transport.rawValue)",
            by: by))
      }
    }
    return audit
  }
}

import Netlink

/// Who is called what on which network. Names are compared without regard to case and without a final dot.
struct NameTable: Sendable {
  struct Entry: Sendable, Equatable {
    let containerID: String
    let v4: IPv4Address?
    let v6: IPv6Address?
  }

  /// By network, then by name.
  private var names: [String: [String: [Entry]]] = [:]
  /// By network, then by address: a name to answer with.
  private var addresses: [String: [IPAddress: String]] = [:]

  static func key(_ name: some StringProtocol) -> String {
    let lower = name.lowercased()
    return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
  }

  /// What a container is called on a network: its name, its aliases, its short and its full id, its host name.
  private static func names(_ endpoint: Endpoint, _ interface: Endpoint.Interface) -> Set<String> {
    let shown =
      interface.dnsNames ?? [endpoint.containerName, String(endpoint.containerID.prefix(12)), endpoint.hostname]
    return Set((shown + [endpoint.containerID]).filter { !$0.isEmpty }.map { key($0) })
  }

  mutating func insert(_ endpoint: Endpoint) {
    for interface in endpoint.interfaces {
      let entry = Entry(
        containerID: endpoint.containerID, v4: IPv4Address(interface.ipAddress), v6: IPv6Address(interface.ipv6Address))
      guard entry.v4 != nil || entry.v6 != nil else { continue }
      for name in Self.names(endpoint, interface) {
        names[interface.networkID, default: [:]][name, default: []].append(entry)
      }
      for address in [entry.v4.map(IPAddress.v4), entry.v6.map(IPAddress.v6)] {
        if let address { addresses[interface.networkID, default: [:]][address] = endpoint.containerName }
      }
    }
  }

  mutating func remove(_ endpoint: Endpoint) {
    for interface in endpoint.interfaces {
      let id = interface.networkID
      for name in Self.names(endpoint, interface) {
        guard var entries = names[id]?[name] else { continue }
        entries.removeAll { $0.containerID == endpoint.containerID }
        names[id]?[name] = entries.isEmpty ? nil : entries
      }
      for address in [IPAddress(interface.ipAddress), IPAddress(interface.ipv6Address)] {
        if let address { addresses[id]?[address] = nil }
      }
      if names[id]?.isEmpty == true {
        names[id] = nil
        addresses[id] = nil
      }
    }
  }

  /// Who has that name, on the asker's networks; nil: nobody. Links are the asker's own names for others.
  func lookup(_ name: String, for endpoint: Endpoint) -> [Entry]? {
    let key = Self.key(name)
    for interface in endpoint.interfaces {
      for link in interface.links + (interface.dnsNames == nil ? endpoint.links : []) {
        let parts = link.split(separator: ":", maxSplits: 1).map(String.init)
        guard let target = parts.first, Self.key(parts.last ?? "") == key else { continue }
        if let entries = names[interface.networkID]?[Self.key(target)] { return entries }
      }
    }
    for interface in endpoint.interfaces {
      if let entries = names[interface.networkID]?[key] { return entries }
      // `web.backend`: the network may be named too
      let suffix = "." + Self.key(interface.networkName)
      if key.hasSuffix(suffix), let entries = names[interface.networkID]?[String(key.dropLast(suffix.count))] {
        return entries
      }
    }
    return nil
  }

  /// The container that has an address on one of the asker's networks, as `name.network`.
  func lookup(_ address: IPAddress, for endpoint: Endpoint) -> String? {
    for interface in endpoint.interfaces {
      if let name = addresses[interface.networkID]?[address] { return "\(name).\(interface.networkName)" }
    }
    return nil
  }
}

import Kernel
import Netlink
import Synchronization

extension Core {
  /// What the resolver says to a container.
  enum NameAnswer {
    case own(DNSMessage.Code, [DNSMessage.Record])
    /// To be asked of these name servers of the host's network.
    case forward([IPAddress])
  }

  func answer(_ query: DNSMessage.Query, container: String, turn: Int) -> NameAnswer {
    let found = state.withLock { state -> NameAnswer? in
      guard let endpoint = state.attachments[container]?.endpoint else { return .own(.failure, []) }
      if query.classCode == 1 {
        if query.type == DNSMessage.typePTR {
          if let address = DNSMessage.address(ofReverse: query.name),
            let name = state.names.lookup(address, for: endpoint), let data = DNSMessage.encode(name)
          {
            return .own(.success, [DNSMessage.Record(type: DNSMessage.typePTR, data: data)])
          }
        } else if let entries = state.names.lookup(query.name, for: endpoint) {
          return .own(.success, Self.records(entries, type: query.type, turn: turn))
        }
      }
      // an internal network reaches nothing outside, not by a question either
      if endpoint.interfaces.allSatisfy(\.isInternal) { return .own(.failure, []) }
      let servers = endpoint.dns.compactMap { IPAddress($0) }
      return servers.isEmpty ? nil : .forward(servers)
    }
    if let found { return found }
    let servers = configuration.dns.compactMap { IPAddress($0) }
    return .forward(servers.isEmpty ? hostServers() : servers)
  }

  /// All that have the name, each time another first.
  private static func records(_ entries: [NameTable.Entry], type: UInt16, turn: Int) -> [DNSMessage.Record] {
    let records = entries.compactMap { entry -> DNSMessage.Record? in
      switch type {
      case DNSMessage.typeA: entry.v4.map { DNSMessage.Record(type: type, data: $0.bytes) }
      case DNSMessage.typeAAAA: entry.v6.map { DNSMessage.Record(type: type, data: $0.bytes) }
      default: nil
      }
    }
    guard records.count > 1 else { return records }
    let first = turn % records.count
    return Array(records[first...] + records[..<first])
  }

  /// Those of the host's resolv.conf, read anew: it changes as the host moves between networks.
  private func hostServers() -> [IPAddress] {
    ResolvConf(file: (try? Sys.readFile("/etc/resolv.conf", limit: 1 << 16)) ?? []).nameservers.compactMap {
      IPAddress($0)
    }
  }
}

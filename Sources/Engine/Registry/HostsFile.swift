import OCI

/// containerd's `hosts.toml` of one registry (containerd docs/hosts.md): who is asked before it, for what, and whom to believe.
struct HostsFile: Sendable, Equatable {
  enum Capability: String, Sendable, CaseIterable {
    /// Manifests and blobs by digest.
    case pull
    /// What a tag stands for.
    case resolve
    case push
  }

  struct Host: Sendable, Equatable {
    /// Of the API, with its `/v2` unless the file says otherwise.
    var url: Location
    var capabilities = Set(Capability.allCases)
    var trust = Trust()
    var headers: [Pair] = []
    var isServer = false
  }

  struct Pair: Sendable, Equatable { var name, value: String }

  /// In the order in which they are asked; the server itself is last, unless it is named before.
  var hosts: [Host] = []

  /// `domain`: the registry whose file it is. `directory`: where relative paths begin.
  init(_ bytes: [UInt8], domain: String, directory: String) throws(TOMLError) {
    let document = try TOML.parse(bytes)
    try document.allow(Self.known.union(["server", "host"]), in: "hosts.toml")
    if let table = try document.table("host") {
      for name in table.keys {
        guard let host = try table.table(name) else { continue }
        try host.allow(Self.known, in: "host \"\(name)\"")
        hosts.append(try Self.host(name, host, directory, line: table.line(of: name)))
      }
    }
    let text = try document.string("server") ?? "https://\(Registry.host(of: domain))"
    var server = try Self.host(text, document, directory, line: document.line(of: "server"))
    server.isServer = true
    if !hosts.contains(where: { $0.url == server.url }) { hosts.append(server) }
  }

  private static let known: Set<String> = [
    "capabilities", "ca", "client", "skip_verify", "override_path", "header", "dial_timeout",
  ]

  private static func host(_ text: String, _ table: TOML.Table, _ directory: String, line: Int) throws(TOMLError)
    -> Host
  {
    guard var url = Location(text.contains("://") ? text : "https://\(text)"), !url.rest.contains("?") else {
      throw TOMLError(line: line, "\"\(text)\" isn't an http or https URL of a host")
    }
    while url.rest.hasSuffix("/") { url.rest.removeLast() }
    if try table.bool("override_path") != true, !url.rest.hasSuffix("/v2") { url.rest += "/v2" }
    var host = Host(url: url)
    if let words = try table.strings("capabilities") {
      host.capabilities = []
      for word in words {
        guard let capability = Capability(rawValue: word) else {
          throw TOMLError(line: table.line(of: "capabilities"), "\"\(word)\" is none of pull, resolve and push")
        }
        host.capabilities.insert(capability)
      }
    }
    func path(_ text: String) -> String { text.hasPrefix("/") ? text : "\(directory)/\(text)" }
    host.trust.authorities = (try table.strings("ca", orOne: true) ?? []).map(path)
    host.trust.skipsVerification = try table.bool("skip_verify") ?? false
    host.trust.clients = try clients(table).map { Trust.Client(certificate: path($0.0), key: path($0.1)) }
    for name in try table.table("header")?.keys ?? [] {
      for value in try table.table("header")?.strings(name, orOne: true) ?? [] {
        guard name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x3A }),
          value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { throw TOMLError(line: table.line(of: "header"), "\"\(name)\" can't be a header") }
        host.headers.append(Pair(name: name, value: value))
      }
    }
    return host
  }

  /// A file with both, files with both, or pairs of certificate and key.
  private static func clients(_ table: TOML.Table) throws(TOMLError) -> [(String, String)] {
    switch table["client"] {
    case nil: return []
    case .string(let file)?: return [(file, file)]
    case .array(let values)?:
      var clients: [(String, String)] = []
      for value in values {
        switch value {
        case .string(let file): clients.append((file, file))
        case .array(let pair):
          let files = pair.compactMap { if case .string(let text) = $0 { text } else { nil } }
          guard (1...2).contains(pair.count), files.count == pair.count else {
            throw table.unexpected("client", value, "a pair of certificate and key")
          }
          clients.append((files[0], files.count == 2 && !files[1].isEmpty ? files[1] : files[0]))
        default: throw table.unexpected("client", value, "a file or a pair of files")
        }
      }
      return clients
    case let other?: throw table.unexpected("client", other, "a file or a list")
    }
  }
}

/// Whom to believe of a host, beyond the system's authorities, and who we are to it.
struct Trust: Sendable, Equatable {
  struct Client: Sendable, Equatable { var certificate, key: String }

  /// Files of PEM.
  var authorities: [String] = []
  var clients: [Client] = []
  var skipsVerification = false
}

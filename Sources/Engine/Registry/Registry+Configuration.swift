import OCI

extension Registry {
  /// What the daemon's flags and file say of registries, in dockerd's words.
  public struct Configuration: Sendable {
    /// `registry-mirrors`: asked before Docker Hub, for pulls from it alone. `http(s)://host[:port][/prefix]`.
    public var mirrors: [String] = []
    /// `insecure-registries`: hosts (`host[:port]`) and networks (`10.0.0.0/8`) that may speak plain HTTP, or TLS with any certificate.
    public var insecure: [String] = []
    /// `max-concurrent-downloads`, of layers.
    public var maximumDownloads = 3
    /// `max-concurrent-uploads`, of layers.
    public var maximumUploads = 5
    /// `max-download-attempts`, of a layer without a byte of progress.
    public var attempts = 5
    /// Directories of `<host[:port]>/{*.crt, client.cert, client.key, hosts.toml}`.
    public var certificates = ["/etc/berth/certs.d", "/etc/docker/certs.d"]

    /// podman's `registries.conf`; nothing when it isn't there.
    public var registriesPath = "/etc/berth/registries.conf"

    /// containers-policy.json(5): which images may come here; everything when it isn't there.
    public var policyPath = "/etc/berth/policy.json"

    public init() {}

    /// As dockerd's check of its configuration: text that isn't a mirror's URL, with the reason.
    public static func fault(ofMirror text: String) -> String? {
      let rest = text.hasPrefix("https://") ? text.dropFirst(8) : text.hasPrefix("http://") ? text.dropFirst(7) : ""
      if rest.isEmpty { return "invalid mirror: \(text) isn't an http or https URL" }
      if rest.contains("@") { return "invalid mirror: username/password not allowed in URI \"\(text)\"" }
      if rest.contains("?") || rest.contains("#") { return "invalid mirror: query or fragment in \"\(text)\"" }
      return nil
    }

    /// Whether a host may be talked to without a proof of who it is.
    func isInsecure(_ host: String) -> Bool {
      let name = Self.name(of: host)
      if name == "localhost" || name == "::1" || name.hasPrefix("127.") && IPv4Network(name) != nil { return true }
      for entry in insecure {
        if entry == host || entry == name { return true }
        if let network = IPv4Network(entry), let address = IPv4Network(name), network.contains(address) { return true }
      }
      return false
    }

    /// Without its port and brackets.
    static func name(of host: String) -> String {
      if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
        return String(host[host.index(after: host.startIndex)..<end])
      }
      return String(host.prefix { $0 != ":" })
    }
  }
}

/// `a.b.c.d` or `a.b.c.d/n`.
struct IPv4Network {
  var address: UInt32
  var prefix: Int

  init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    let octets = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count <= 2, octets.count == 4 else { return nil }
    address = 0
    for octet in octets {
      guard let value = UInt8(octet) else { return nil }
      address = address << 8 | UInt32(value)
    }
    prefix = 32
    if parts.count == 2 {
      guard let number = Int(parts[1]), (0...32).contains(number) else { return nil }
      prefix = number
    }
  }

  func contains(_ other: IPv4Network) -> Bool {
    let mask: UInt32 = prefix == 0 ? 0 : UInt32.max << UInt32(32 - prefix)
    return other.prefix >= prefix && (address & mask) == (other.address & mask)
  }
}

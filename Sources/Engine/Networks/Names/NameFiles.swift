/// The contents of the three files that tell a container its name and where to ask for others'.
public struct NameFiles: Sendable, Equatable {
  /// What the user said that shapes them.
  public struct Request: Sendable {
    public var hostname: String
    public var domainname: String
    /// `--add-host`: `name:address`, `name=address`; the address may be `host-gateway`.
    public var extraHosts: [String]
    /// `--dns`, `--dns-search`, `--dns-option`; empty: the daemon's, then the host's.
    public var dns: [String]
    public var dnsSearch: [String]
    public var dnsOptions: [String]

    public init(
      hostname: String, domainname: String = "", extraHosts: [String] = [], dns: [String] = [],
      dnsSearch: [String] = [],
      dnsOptions: [String] = []
    ) {
      self.hostname = hostname
      self.domainname = domainname
      self.extraHosts = extraHosts
      self.dns = dns
      self.dnsSearch = dnsSearch
      self.dnsOptions = dnsOptions
    }
  }

  public var hostname: String
  public var hosts: String
  public var resolvConf: String

  public init(hostname: String, hosts: String, resolvConf: String) {
    self.hostname = hostname
    self.hosts = hosts
    self.resolvConf = resolvConf
  }
}

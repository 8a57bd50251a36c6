import Errdefs
import Testing

@testable import Networks

@Suite("Files of names") struct NameFilesTests {
  static func endpoint(_ mode: NetworkMode) -> Endpoint {
    var endpoint = Endpoint(containerID: "c", containerName: "c", mode: mode)
    guard mode != .none, mode != .host else { return endpoint }
    var interface = Endpoint.Interface(networkName: mode.text, networkID: "n", endpointID: "e")
    interface.name = "eth0"
    interface.ipAddress = "172.17.0.2"
    interface.prefixLength = 16
    endpoint.interfaces = [interface]
    return endpoint
  }

  func files(_ request: NameFiles.Request, host: String = "nameserver 10.0.0.1\n", mode: NetworkMode = .bridge) throws
    -> NameFiles
  {
    try NameFiles(
      request, endpoint: Self.endpoint(mode),
      defaults: .init(
        dns: [], dnsSearch: [], dnsOptions: [], hostGateway: "172.17.0.1", hostResolvConf: Array(host.utf8)))
  }

  @Test("hosts has localhost, extra hosts and the container itself, as Docker writes them")
  func hosts() throws {
    let files = try files(
      .init(
        hostname: "web", domainname: "example.org", extraHosts: ["db:10.1.2.3", "up=host-gateway", "six:[fd00::1]"]))
    #expect(files.hostname == "web\n")
    #expect(
      files.hosts == """
        127.0.0.1\tlocalhost
        ::1\tlocalhost ip6-localhost ip6-loopback
        fe00::\tip6-localnet
        ff00::\tip6-mcastprefix
        ff02::1\tip6-allnodes
        ff02::2\tip6-allrouters
        10.1.2.3\tdb
        172.17.0.1\tup
        fd00::1\tsix
        172.17.0.2\tweb.example.org web

        """)
    let none = try self.files(.init(hostname: "web"), mode: NetworkMode.none)
    #expect(!none.hosts.contains("web"))
  }

  @Test(
    "an extra host can't forge lines",
    arguments: ["foo", ":1.2.3.4", "a:", "a:1.2.3.4\n6.6.6.6 bank", "a b:1.2.3.4", "a:1.2.3"])
  func extraHosts(text: String) {
    #expect(throws: EngineError.self) { try files(.init(hostname: "web", extraHosts: [text])) }
  }

  @Test("resolv.conf: the host's without its loopback, what the user said instead, and Docker's last resort")
  func resolvConf() throws {
    let host =
      "# c\nnameserver 127.0.0.53\nnameserver 10.0.0.1 # x\nnameserver ::1\nsearch a.org b.org\noptions edns0 ndots:2\n"
    let text = try files(.init(hostname: "w"), host: host).resolvConf
    #expect(text.contains("\nnameserver 127.0.0.11\nsearch a.org b.org\noptions edns0 ndots:2\n"))
    #expect(text.contains("# ExtServers: [host(127.0.0.53) host(10.0.0.1) host(::1)]\n"))
    #expect(text.hasSuffix("# Overrides: []\n"))
    let none = try files(.init(hostname: "w"), host: host, mode: NetworkMode.none).resolvConf
    #expect(none.contains("\nnameserver 10.0.0.1\nsearch a.org b.org\noptions edns0 ndots:2\n"))
    let user = try files(.init(hostname: "w", dns: ["9.9.9.9"]), host: "nameserver 10.0.0.1\n", mode: .named("n"))
    #expect(user.resolvConf.contains("\nnameserver 127.0.0.11\noptions ndots:0\n"))
    #expect(user.resolvConf.contains("# ExtServers: [host(9.9.9.9)]\n"))

    let own = try files(.init(hostname: "w", dns: ["9.9.9.9"], dnsSearch: ["."], dnsOptions: ["use-vc"]), host: host)
      .resolvConf
    #expect(own.contains("\nnameserver 9.9.9.9\noptions use-vc\n") && !own.contains("search a.org"))
    #expect(own.hasSuffix("# Overrides: [nameservers search options]\n"))

    #expect(
      try files(.init(hostname: "w"), host: "nameserver 127.0.0.1\n", mode: NetworkMode.none).resolvConf.contains(
        "nameserver 8.8.8.8\nnameserver 8.8.4.4"))
    #expect(try files(.init(hostname: "w"), host: host, mode: .host).resolvConf.contains("nameserver 127.0.0.53"))
    #expect(throws: EngineError.self) { try files(.init(hostname: "w", dns: ["1.1.1.1\nnameserver 6.6.6.6"])) }
  }
}

import Kernel
import OCI
import Testing

@Suite("networks as the daemon's flags have them", .serialized)
struct NetworkOptionsTests {
  private func reached(_ host: HostNamespace, port: Int, seconds: Int = 10) throws -> String? {
    HostNamespace.answer(
      try host.runOther(HostNamespace.question(HostNamespace.address, port: port, seconds: seconds)))
  }

  @Test(
    "host-firewall respect: a published port obeys the host's input rules, by default it doesn't; the host itself reaches it"
  )
  func hostFirewall() throws {
    let rules = """
      table inet filter { chain input { type filter hook input priority 0; policy drop
        iif lo accept
        ct state established,related accept
        meta l4proto ipv6-icmp accept
        tcp dport 8081 accept
      }
      }
      """
    for (flags, denied) in [(["--host-firewall", "respect"], true), ([], false)] {
      try HostNamespace.with(flags: flags) { host, daemon in
        try #require(try host.run(["nft", "-f", "-"], input: rules).status == 0)
        let web = ["run", "-d", "--name", "web", "-p", "8080:80", "-p", "8081:80", "busybox"]
        try #require(try daemon.berth.run(web + HostNamespace.teller("web")).status == 0)
        try daemon.wait(for: "ready", in: "web")
        #expect(try reached(host, port: 8081)?.hasPrefix("web ") == true)
        #expect((try reached(host, port: 8080, seconds: 2) == nil) == denied)
        #expect(
          HostNamespace.answer(try host.run(HostNamespace.question("127.0.0.1", port: 8080)))?.hasPrefix("web ") == true
        )
        let audit = try daemon.ok("network", "audit").out
        #expect(audit.contains("as the host's input rules allow") == denied, "\(audit)")
      }
    }
  }

  @Test("audit tells who can reach what, as a table and as JSON")
  func audit() throws {
    try HostNamespace.with { _, daemon in
      try daemon.ok("network", "create", "--subnet", "10.98.0.0/24", "lan")
      try daemon.ok("network", "create", "--internal", "inner")
      try daemon.ok("network", "create", "-o", "com.docker.network.bridge.enable_icc=false", "apart")
      try daemon.ok(
        "run", "-d", "--name", "web", "--network", "lan", "--ip", "10.98.0.80", "-p", "8080:80", "-p",
        "127.0.0.1:53:53/udp",
        "busybox", "sleep", "1000")
      try daemon.ok("run", "-d", "--name", "bare", "--network", "host", "busybox", "sleep", "1000")
      let text = try daemon.ok("network", "audit").lines.map { line in
        line.split(separator: " ").joined(separator: " ")
      }.joined(separator: "\n")
      for line in [
        "FROM TO AT PORTS BY", "network lan container web 10.98.0.80 all network", "this host container web 10.98.0.80",
        "network apart any host", "any host container web 0.0.0.0 8080/tcp → 80/tcp published",
        "containers of network apart don't reach each other (enable_icc=false)",
        "network inner reaches nothing outside, and nothing outside reaches it (internal)",
      ] {
        #expect(text.contains(line), "\(line) in:\n\(text)")
      }
      let json = try JSON.parse(try daemon.ok("network", "audit", "--format", "json").out)
      let reaches = (json["Reaches"]?.arrayValue ?? []).map { reach in
        "\(reach["From"]?.stringValue ?? "") > \(reach["To"]?.stringValue ?? "") \(reach["Ports"]?.stringValue ?? "")"
      }
      for line in [
        "network lan > container web all", "network lan > this host all", "any host > container web 8080/tcp → 80/tcp",
        "this host > container web 53/udp → 53/udp", "any host > container bare all that it listens on",
      ] {
        #expect(reaches.contains(line), "\(line) in \(reaches)")
      }
      #expect(!reaches.contains("network inner > any host all"))
    }
  }

  @Test("IPv6 on the default bridge, pools, fixed-cidr and icc by flags and by the configuration file")
  func flags() throws {
    let flags = [
      "--ipv6", "--fixed-cidr-v6", "2001:db8:7::/64", "--bip", "10.66.0.1/16", "--fixed-cidr", "10.66.9.0/24",
      "--icc=false",
      "--default-address-pool", "base=10.67.0.0/16,size=26",
    ]
    try HostNamespace.with(flags: flags) { host, daemon in
      let web = ["run", "-d", "--name", "web", "-p", "8080:80", "busybox"]
      try #require(try daemon.berth.run(web + HostNamespace.teller("web")).status == 0)
      try daemon.ok("run", "-d", "--name", "peer", "busybox", "sleep", "1000")
      try daemon.wait(for: "ready", in: "web")
      let bridge = try #require(try daemon.inspect("web")["NetworkSettings"]?["Networks"]?["bridge"])
      let address = try #require(bridge["IPAddress"]?.stringValue)
      #expect(address.hasPrefix("10.66.9."))
      #expect(bridge["GlobalIPv6Address"]?.stringValue?.hasPrefix("2001:db8:7::") == true)
      #expect(bridge["IPv6Gateway"]?.stringValue == "2001:db8:7::1")
      #expect(
        try daemon.berth.run(["exec", "peer"] + HostNamespace.question(address, seconds: 1).dropFirst()).status != 0)
      let six = HostNamespace.answer(try host.runOther(HostNamespace.question(HostNamespace.address6, port: 8080)))
      #expect(six == "web \(HostNamespace.otherAddress6)", "the client's address is kept by IPv6 too")
      try daemon.ok("network", "create", "pooled")
      #expect(
        try daemon.ok("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "pooled").line == "10.67.0.0/26")
    }
    let berthd = Command(path: "\(Daemon.bin)/berthd")
    for (flags, complaint) in [
      (["--default-address-pool", "base=10.1.0.0/16"], "invalid size"),
      (["--host-firewall", "maybe"], "neither respect nor ignore"),
      (["--iptables=false"], "not built"),
    ] {
      let refused = try berthd.run(flags)
      #expect(refused.status != 0 && (refused.err + refused.out).contains(complaint), "\(refused)")
    }
  }

  @Test("a link to a container that isn't on the default network is refused in Docker's words, one on it is a name")
  func links() throws {
    try HostNamespace.with { _, daemon in
      try daemon.ok("network", "create", "red")
      try daemon.ok("run", "-d", "--name", "away", "--network", "red", "busybox", "sleep", "1000")
      try daemon.ok("run", "-d", "--name", "near", "busybox", "sleep", "1000")
      let refused = try daemon.berth.run(["run", "--rm", "--link", "away:db", "busybox", "true"])
      #expect(refused.status == 125)
      #expect(refused.err.contains("Cannot link to /away, as it does not belong to the default network"), "\(refused)")
      try daemon.ok("run", "--rm", "--link", "near:db", "busybox", "ping", "-c", "1", "-W", "5", "db")
    }
  }

  @Test("a macvlan reaches the wire with its own address, and the host by a shim where one is asked for")
  func macvlan() throws {
    try HostNamespace.with { host, daemon in
      func create(_ arguments: String...) throws {
        let fixed = [
          "network", "create", "-d", "macvlan", "-o", "parent=wire0", "--subnet", "198.51.100.0/24", "--ip-range",
          "198.51.100.128/26", "--gateway", HostNamespace.otherAddress,
        ]
        let created = try daemon.berth.run(fixed + arguments)
        try #require(created.status == 0, "\(created)")
      }
      try create("plain")
      try probe(host, daemon, "plain", hostReaches: false)
      try daemon.ok("rm", "-f", "plain-web")
      try daemon.ok("network", "rm", "plain")
      try create("-o", "host_shim=true", "shim")
      try probe(host, daemon, "shim", hostReaches: true)
      try daemon.kill()
      try daemon.start()
      let address = try daemon.ok("inspect", "-f", "{{.NetworkSettings.Networks.shim.IPAddress}}", "shim-web").line
      #expect(HostNamespace.answer(try host.run(HostNamespace.question(address)))?.hasPrefix("shim ") == true)
      try daemon.ok("rm", "-f", "shim-web")
      try daemon.ok("network", "rm", "shim")
      #expect(!(try host.run(["ip", "-o", "link"]).out.contains("mv-")))
    }
  }

  private func probe(_ host: HostNamespace, _ daemon: Daemon, _ name: String, hostReaches: Bool) throws {
    let web = ["run", "-d", "--name", "\(name)-web", "--network", name, "busybox"]
    let run = try daemon.berth.run(web + HostNamespace.teller(name))
    try #require(run.status == 0, "\(run)")
    try daemon.wait(for: "ready", in: "\(name)-web")
    let address = try daemon.ok("inspect", "-f", "{{.NetworkSettings.Networks.\(name).IPAddress}}", "\(name)-web").line
    let far = HostNamespace.answer(try host.runOther(HostNamespace.question(address)))
    #expect(far == "\(name) \(HostNamespace.otherAddress)")
    let near = HostNamespace.answer(try host.run(HostNamespace.question(address, seconds: hostReaches ? 10 : 2)))
    #expect((near != nil) == hostReaches, "from the host: \(near ?? "nothing")")
  }
}

import Kernel
import OCI
import Testing

@Suite(
  "networks of users by the docker CLI", .serialized,
  .enabled(if: ProcessEnvironment.find("docker") != nil, "no docker CLI on PATH"))
struct UserNetworkTests {
  @Test("create with every option, ls, inspect, rm and prune, with Docker's objects")
  func life() throws {
    try HostNamespace.with { host, daemon in
      let created = try daemon.docker(
        "network", "create", "--driver", "bridge", "--subnet", "10.91.0.0/24", "--ip-range", "10.91.0.128/25",
        "--gateway", "10.91.0.254", "--aux-address", "db=10.91.0.130", "--subnet", "fd91::/64", "--gateway", "fd91::1",
        "--ipv6", "--attachable", "--label", "tier=front", "-o", "com.docker.network.bridge.name=br-full", "-o",
        "com.docker.network.driver.mtu=1400", "-o", "com.docker.network.bridge.enable_icc=false", "-o",
        "com.docker.network.bridge.enable_ip_masquerade=false", "-o",
        "com.docker.network.bridge.host_binding_ipv4=127.0.0.1", "full"
      ).line
      #expect(created.count == 64)
      let network = try #require(try JSON.parse(try daemon.docker("network", "inspect", "full").out)[0])
      let options: JSON = [
        "com.docker.network.bridge.enable_icc": "false", "com.docker.network.bridge.enable_ip_masquerade": "false",
        "com.docker.network.bridge.host_binding_ipv4": "127.0.0.1", "com.docker.network.bridge.name": "br-full",
        "com.docker.network.driver.mtu": "1400",
      ]
      let pools: JSON = [
        [
          "Subnet": "10.91.0.0/24", "IPRange": "10.91.0.128/25", "Gateway": "10.91.0.254",
          "AuxiliaryAddresses": ["db": "10.91.0.130"],
        ], ["Subnet": "fd91::/64", "Gateway": "fd91::1"],
      ]
      for (field, value) in [
        ("Id", JSON(created)), ("Name", "full"), ("Driver", "bridge"), ("Scope", "local"), ("Internal", false),
        ("Attachable", true), ("EnableIPv4", true), ("EnableIPv6", true), ("Labels", ["tier": "front"]),
        ("Options", options), ("Containers", [:]),
      ] {
        #expect(network[field]?.sorted == value.sorted, "\(field)")
      }
      #expect(network["IPAM"]?["Config"]?.sorted == pools.sorted)
      let link = try JSON.parse(try host.run(["ip", "-j", "addr", "show", "br-full"]).out)[0]
      #expect(link?["mtu"]?.intValue == 1400)
      let addresses = (link?["addr_info"]?.arrayValue ?? []).compactMap { $0["local"]?.stringValue }
      #expect(addresses.contains("10.91.0.254") && addresses.contains("fd91::1"), "\(addresses)")

      #expect(
        try daemon.docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").lines == [
          "bridge bridge local", "full bridge local", "host host local", "none null local",
        ])
      try daemon.docker("network", "create", "--internal", "--label", "tier=back", "inner").discard()
      #expect(try daemon.docker("network", "ls", "-q", "--filter", "label=tier").lines.count == 2)
      #expect(try daemon.docker("network", "ls", "--filter", "name=inn", "--format", "{{.Name}}").line == "inner")
      #expect(
        try daemon.docker("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").lines == [
          "full", "inner",
        ])
      #expect(
        try daemon.docker("network", "inspect", "-f", "{{.Internal}}", created.prefix(6).description).line == "false")

      let pruned = try daemon.docker("network", "prune", "-f", "--filter", "label=tier=back")
      #expect(pruned.out == "Deleted Networks:\ninner\n\n" || pruned.out == "Deleted Networks:\ninner\n", "\(pruned)")
      try daemon.docker("run", "-d", "--name", "member", "--network", "full", "busybox", "sleep", "1000").discard()
      let busy = try daemon.dockerFails("network", "rm", "full")
      #expect(
        busy.contains(
          "Error response from daemon: error while removing network: network full has active endpoints (name:\"member\" id:\""
        ), "\(busy)")
      try daemon.docker("rm", "-f", "member").discard()
      #expect(try daemon.docker("network", "rm", "full").line == "full")
      #expect(try host.run(["ip", "link", "show", "br-full"]).status == 1, "the bridge goes with its network")
      #expect(try daemon.dockerFails("network", "inspect", "full").contains("network full not found"))
    }
  }

  /// What is refused, and Docker's words for it.
  static let refusals: [(arguments: [String], error: String)] = [
    (["network", "create", "bridge"], "operation is not permitted on predefined bridge network"),
    (["network", "create", "used"], "network with name used already exists"),
    (
      ["network", "create", "--subnet", "10.92.0.0/25", "x"],
      "invalid pool request: Pool overlaps with other one on this address space"
    ),
    (
      ["network", "create", "--subnet", "10.93.0.1/24", "x"],
      "invalid network config:\ninvalid subnet 10.93.0.1/24: it should be 10.93.0.0/24"
    ),
    (
      ["network", "create", "--subnet", "10.93.0.0/24", "--gateway", "10.94.0.1", "x"],
      "no matching subnet for gateway 10.94.0.1"
    ),
    (
      ["network", "create", "-o", "com.docker.network.bridge.enable_icc=perhaps", "x"],
      "strconv.ParseBool: parsing \"perhaps\": invalid syntax"
    ),
    (["network", "create", "-d", "macvlan", "-o", "parent=no-such", "x"], "no-such"),
    (["network", "create", "-d", "overlay", "x"], "This node is not a swarm manager."),
    (["network", "rm", "bridge"], "bridge is a pre-defined network and cannot be removed"),
    (["network", "connect", "nowhere", "member"], "network nowhere not found"),
    (["network", "connect", "used", "nobody"], "No such container: nobody"),
    (["network", "connect", "used", "member"], "endpoint with name member already exists in network used"),
    (["network", "disconnect", "other", "member"], "is not connected to network other"),
    (["network", "connect", "--ip", "10.92.0.9", "used", "second"], "Address already in use"),
    (
      ["run", "--rm", "--network", "other", "--ip", "10.95.0.2", "busybox", "true"],
      "user specified IP address is supported only when connecting to networks with user configured subnets"
    ),
    (
      ["run", "--rm", "--ip", "172.17.0.9", "busybox", "true"],
      "user specified IP address is supported on user defined networks only"
    ),
    (
      ["run", "--rm", "--network", "used", "--ip", "10.99.0.1", "busybox", "true"],
      "no configured subnet or ip-range contain the IP address 10.99.0.1"
    ),
    (["run", "--rm", "--network", "nowhere", "busybox", "true"], "network nowhere not found"),
    (["network", "connect", "other", "on-host"], "or connected to host network"),
  ]

  @Test("what can't be is refused in Docker's words")
  func refused() throws {
    try HostNamespace.with { _, daemon in
      try daemon.docker("network", "create", "--subnet", "10.92.0.0/24", "used").discard()
      try daemon.docker("network", "create", "other").discard()
      try daemon.docker(
        "run", "-d", "--name", "member", "--network", "used", "--ip", "10.92.0.9", "busybox", "sleep", "1000"
      ).discard()
      try daemon.docker("run", "-d", "--name", "second", "busybox", "sleep", "1000").discard()
      try daemon.docker("run", "-d", "--name", "on-host", "--network", "host", "busybox", "sleep", "1000").discard()
      for (arguments, error) in Self.refusals {
        let text = try daemon.dockerFails(arguments)
        #expect(text.contains(error), "docker \(arguments.joined(separator: " ")): \(text)")
      }
      #expect(
        try daemon.docker("network", "ls", "--filter", "type=custom", "--format", "{{.Name}}").lines == [
          "other", "used",
        ])
    }
  }

  @Test("several networks at creation: addresses, hardware addresses, routes, parameters and names are as asked")
  func several() throws {
    try HostNamespace.with { _, daemon in
      try daemon.docker("network", "create", "--subnet", "10.96.0.0/24", "aa").discard()
      try daemon.docker(
        "network", "create", "--subnet", "10.97.0.0/24", "--ipv6", "--subnet", "fd97::/64", "bb"
      ).discard()
      try daemon.docker(
        "run", "-d", "--name", "peer", "--network", "bb", "--network-alias", "shared", "busybox", "sleep", "1000"
      ).discard()
      try daemon.docker(
        "run", "-d", "--name", "many", "--hostname", "own",
        "--network", "name=aa,ip=10.96.0.40,alias=first,mac-address=02:42:00:00:00:40",
        "--network",
        "name=bb,ip=10.97.0.50,ip6=fd97::50,alias=shared,gw-priority=10,driver-opt=com.docker.network.endpoint.ifname=lan7,"
          + "\"driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.hop_limit=77\"",
        "busybox", "sleep", "1000"
      ).discard()
      func inside(_ script: String) throws -> String {
        try daemon.docker("exec", "many", "sh", "-c", script).line
      }
      #expect(try inside("ip -4 -o addr show eth0").contains(" 10.96.0.40/24 "))
      #expect(try inside("cat /sys/class/net/eth0/address") == "02:42:00:00:00:40")
      #expect(try inside("ip -4 -o addr show lan7").contains(" 10.97.0.50/24 "))
      #expect(try inside("ip -6 -o addr show lan7").contains(" fd97::50/64 "))
      #expect(
        try inside("cat /proc/sys/net/ipv4/conf/lan7/log_martians /proc/sys/net/ipv6/conf/lan7/hop_limit") == "1\n77")
      #expect(try inside("ip route | grep default").hasPrefix("default via 10.97.0.1 dev lan7"), "by gateway priority")
      #expect(try inside("ip -6 route show default").contains("default via fd97::1 dev lan7"))
      #expect(try inside("grep own /etc/hosts") == "10.96.0.40\town\n10.97.0.50\town\nfd97::50\town")
      // each name where it was given, and from both sides
      let names = try daemon.docker(
        "exec", "peer", "sh", "-c",
        "for n in many own shared first; do nslookup -type=a $n | grep -c '^Address: ' || true; done"
      ).lines
      #expect(names == ["1", "1", "2", "0"], "many, own, shared by two, first on the other network alone")
      #expect(try daemon.docker("exec", "peer", "nslookup", "-type=aaaa", "many").out.contains("Address: fd97::50"))
      #expect(try daemon.docker("exec", "peer", "nslookup", "10.97.0.50").out.contains("many.bb"))
      #expect(try daemon.docker("exec", "peer", "nslookup", "fd97::50").out.contains("many.bb"))
      let settings = try daemon.inspect("many")["NetworkSettings"]?["Networks"]
      #expect(settings?["aa"]?["DNSNames"]?.arrayValue?.compactMap(\.stringValue).prefix(2) == ["many", "first"])
      #expect(settings?["aa"]?["MacAddress"]?.stringValue == "02:42:00:00:00:40")
      #expect(settings?["bb"]?["GwPriority"]?.intValue == 10)
      #expect(settings?["bb"]?["GlobalIPv6Address"]?.stringValue == "fd97::50")
    }
  }

  @Test(
    "connect and disconnect while it runs: interfaces, routes, names, published ports; and the next start has them too")
  func changing() throws {
    try HostNamespace.with { host, daemon in
      for (name, octet) in [("aa", 96), ("bb", 97)] {
        try daemon.docker("network", "create", "--subnet", "10.\(octet).0.0/24", name).discard()
      }
      try daemon.docker(["run", "-d", "--name", "web", "-p", "8080:80", "busybox"] + HostNamespace.teller("web"))
        .discard()
      try daemon.docker("run", "-d", "--name", "peer", "--network", "bb", "busybox", "sleep", "1000").discard()
      func names() throws -> Int32 {
        try daemon.berth.run(["exec", "peer", "nslookup", "-type=a", "alias"]).status
      }
      func reached() throws -> String? {
        HostNamespace.answer(try host.runOther(HostNamespace.question(HostNamespace.address, port: 8080)))
      }
      try daemon.wait(for: "ready", in: "web")
      #expect(try reached() == "web \(HostNamespace.otherAddress)")
      #expect(try names() != 0)
      try daemon.docker("network", "connect", "--alias", "alias", "--ip", "10.97.0.77", "bb", "web").discard()
      #expect(try names() == 0)
      #expect(
        HostNamespace.answer(
          try daemon.docker(["exec", "peer"] + HostNamespace.question("alias").dropFirst(1)))?.hasPrefix("web ") == true
      )
      try daemon.docker("network", "disconnect", "bridge", "web").discard()
      #expect(try daemon.docker("exec", "web", "ip", "route", "show", "default").out.contains("via 10.97.0.1"))
      #expect(try reached() == "web \(HostNamespace.otherAddress)", "the published port follows")
      try daemon.docker("network", "connect", "aa", "web").discard()
      try daemon.docker("network", "disconnect", "bb", "web").discard()
      #expect(try names() != 0)
      #expect(try reached() == "web \(HostNamespace.otherAddress)")
      try daemon.docker("restart", "-t", "0", "web").discard()
      #expect(
        try daemon.docker("inspect", "-f", "{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{end}}", "web").line
          == "aa ")
      // by the shims' own interfaces: nothing is left of those that were taken out
      try daemon.docker("rm", "-f", "web", "peer").discard()
      #expect(try daemon.docker("network", "prune", "-f").status == 0)
      #expect(try daemon.docker("network", "ls", "-q", "--filter", "type=custom").out.isEmpty)
      #expect(try host.run(["ip", "-o", "link", "show", "type", "bridge"]).out.contains("br-") == false)
    }
  }
}

extension Daemon {
  /// `docker …`, which must succeed.
  @discardableResult
  func docker(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> Command.Result {
    try docker(arguments, sourceLocation: sourceLocation)
  }

  @discardableResult
  func docker(_ arguments: [String], deadline: UInt64 = 60, sourceLocation: SourceLocation = #_sourceLocation) throws
    -> Command.Result
  {
    let result = try #require(docker).run(arguments, deadline: deadline)
    try #require(
      result.status == 0, "docker \(arguments.joined(separator: " ")): \(result)", sourceLocation: sourceLocation)
    return result
  }

  /// What `docker …` complains of; it must fail.
  func dockerFails(_ arguments: String...) throws -> String { try dockerFails(arguments) }

  func dockerFails(_ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
    let result = try #require(docker).run(arguments)
    try #require(
      result.status != 0, "docker \(arguments.joined(separator: " ")) went through: \(result)",
      sourceLocation: sourceLocation)
    return result.err
  }

  /// Until a container's log has that line.
  func wait(for line: String, in container: String, seconds: UInt64 = 30) throws {
    let deadline = Sys.monotonicNanoseconds() + seconds * 1_000_000_000
    while !(try ok("logs", container).lines.contains(line)) {
      try #require(Sys.monotonicNanoseconds() < deadline, "\(container) never said \(line)")
      _ = try Command(path: "/bin/sleep").run(["0.05"])
    }
  }
}

extension JSON {
  /// With the fields of objects in order of their names: for comparisons.
  var sorted: JSON {
    switch self {
    case .object(let object):
      .object(JSONObject(object.members.map { ($0.key, $0.value.sorted) }.sorted { $0.0 < $1.0 }))
    case .array(let list): .array(list.map(\.sorted))
    default: self
    }
  }
}

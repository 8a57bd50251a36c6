import Kernel
import OCI
import Testing

@Suite("networks after a crash", .serialized)
struct NetworkCrashTests {
  /// `BERTH_KILLS=1000 swift test --filter NetworkCrashTests` for more.
  static let kills = ProcessEnvironment.current["BERTH_KILLS"].flatMap { Int($0) } ?? 24

  /// Rules of somebody else's, as a firewall would have them.
  private static let othersRules = """
    table inet others {
      set allowed { type inet_service; elements = { 22, 443 }; }
      chain input { type filter hook input priority 0; policy accept; tcp dport @allowed counter accept; }
      chain forward { type filter hook forward priority 10; policy accept; ct state invalid drop; }
      chain post { type nat hook postrouting priority 50; policy accept; oifname "elsewhere0" masquerade; }
    }
    table ip older {
      chain FORWARD { type filter hook forward priority 0; policy accept; }
    }
    """

  /// The ruleset without the daemon's own table.
  private func others(_ host: HostNamespace) throws -> String {
    try ["inet others", "ip older"].map { table in
      let result = try host.run(["nft", "list", "table"] + table.split(separator: " ").map(String.init))
      // counters count
      return result.out.split(separator: "\n").map { $0.contains("counter") ? "counter" : String($0) }.joined(
        separator: "\n")
    }.joined(separator: "\n")
  }

  private func answers(_ host: HostNamespace, _ daemon: Daemon, _ round: Int) throws {
    let reached = HostNamespace.answer(try host.runOther(HostNamespace.question(HostNamespace.address, port: 8080)))
    try #require(reached == "web \(HostNamespace.otherAddress)", "round \(round): the published port")
    let loopback = HostNamespace.answer(try host.run(HostNamespace.question("::1", port: 8080)))
    try #require(loopback?.hasPrefix("web ") == true, "round \(round): the published port by ::1")
    let name = try daemon.berth.run(["exec", "peer"] + HostNamespace.question("web").dropFirst())
    try #require(HostNamespace.answer(name)?.hasPrefix("web ") == true, "round \(round): the name: \(name)")
  }

  @Test("killed in the middle of connect, disconnect, start and end: ports and names work again, nobody's rule changed")
  func killed() throws {
    try HostNamespace.with { host, daemon in
      try #require(try host.run(["nft", "-f", "-"], input: Self.othersRules).status == 0)
      let before = try others(host)
      for name in ["steady", "red", "blue"] { try daemon.ok("network", "create", name) }
      let web = ["run", "-d", "--name", "web", "--network", "steady", "-p", "8080:80", "busybox"]
      try #require(try daemon.berth.run(web + HostNamespace.teller("web")).status == 0)
      try daemon.ok("run", "-d", "--name", "peer", "--network", "steady", "busybox", "sleep", "10000")
      try daemon.wait(for: "ready", in: "web")
      try answers(host, daemon, -1)

      // Without a daemon the kernel alone leads there; not when it died between a connect's route and its port, until the next start.
      try daemon.kill()
      let alone = HostNamespace.answer(try host.runOther(HostNamespace.question(HostNamespace.address, port: 8080)))
      #expect(alone == "web \(HostNamespace.otherAddress)", "with no daemon")
      try daemon.start()

      var generator = SystemRandomNumberGenerator()
      for round in 0..<Self.kills {
        let connected = try networks(daemon, "web")
        let red = connected.contains("red") ? "disconnect" : "connect"
        let blue = connected.contains("blue") ? "disconnect" : "connect"
        let work = try [
          ["network", red, "red", "web"], ["network", blue, "blue", "web"],
          ["run", "--rm", "--network", "red", "-p", "8081:80", "busybox", "true"],
        ].map { try daemon.berth.start($0) }
        let pause = Int.random(in: 1...60, using: &generator)
        _ = try Command(path: "/bin/sleep").run(["0.0\(pause < 10 ? "0" : "")\(pause)"])
        try daemon.kill()
        for client in work { _ = try client.wait(deadline: 20) }
        try daemon.start()
        try answers(host, daemon, round)
        // what inspect says is what there is
        let interfaces = try daemon.ok("exec", "web", "sh", "-c", "ls /sys/class/net | grep -c eth").line
        #expect(Int(interfaces) == (try networks(daemon, "web")).count, "round \(round), after \(pause) ms")
        #expect(try others(host) == before)
      }
      let all = try daemon.ok("ps", "-aq").lines
      try daemon.berth.run(["rm", "-f"] + all).discard()
      try daemon.berth.run(["network", "prune", "-f"]).discard()
      try daemon.stop()
      #expect(try host.run(["nft", "list", "tables"]).lines == ["table inet others", "table ip older"])
      // The kernel takes the namespaces apart, and their interfaces along, after their last process.
      let deadline = Sys.monotonicNanoseconds() + 20_000_000_000
      var links: [String] = []
      repeat {
        links = try host.run(["ip", "-o", "link"]).lines.map { String($0.split(separator: " ")[1]) }
          .filter { !$0.hasPrefix("lo:") && !$0.hasPrefix("wire0@") }
      } while !links.isEmpty && Sys.monotonicNanoseconds() < deadline
      #expect(links.isEmpty)
      #expect(try Sys.entries(of: "\(daemon.folder)/run/netns").isEmpty)
      try daemon.start()
    }
  }

  private func networks(_ daemon: Daemon, _ container: String) throws -> [String] {
    try daemon.ok("inspect", "-f", "{{range $n, $e := .NetworkSettings.Networks}}{{$n}} {{end}}", container).line
      .split(separator: " ").map(String.init)
  }

  @Test("flushed by others, the table is there again at once, with all ports; and again after the daemon's next start")
  func flushed() throws {
    try HostNamespace.with { host, daemon in
      let web = ["run", "-d", "--name", "web", "-p", "8080:80", "busybox"]
      try #require(try daemon.berth.run(web + HostNamespace.teller("web")).status == 0)
      try daemon.wait(for: "ready", in: "web")
      func reached() throws -> String? {
        HostNamespace.answer(try host.runOther(HostNamespace.question(HostNamespace.address, port: 8080)))
      }
      #expect(try reached() == "web \(HostNamespace.otherAddress)")
      let table =
        try #require(try host.run(["nft", "list", "tables"]).lines.first).split(separator: " ").last.map(String.init)
        ?? ""
      let whole = try host.run(["nft", "-s", "list", "table", "inet", table]).out
      for harm in [
        ["flush", "ruleset"], ["flush", "chain", "inet", table, "prerouting"], ["delete", "table", "inet", table],
        ["flush", "map", "inet", table, "published"],
      ] {
        try #require(try host.run(["nft"] + harm).status == 0)
        // the daemon is told by the kernel; the question itself may come before it has read that
        let deadline = Sys.monotonicNanoseconds() + 5_000_000_000
        while try host.run(["nft", "-s", "list", "table", "inet", table]).out != whole {
          try #require(Sys.monotonicNanoseconds() < deadline, "nft \(harm.joined(separator: " "))")
        }
        #expect(try reached() == "web \(HostNamespace.otherAddress)", "nft \(harm.joined(separator: " "))")
      }
      try daemon.kill()
      try #require(try host.run(["nft", "flush", "ruleset"]).status == 0)
      #expect(
        HostNamespace.answer(try host.runOther(HostNamespace.question(HostNamespace.address, port: 8080, seconds: 1)))
          == nil)
      try daemon.start()
      #expect(try reached() == "web \(HostNamespace.otherAddress)")
    }
  }

  @Test("a thousand published ports: no process, and set within a second")
  func thousandPorts() throws {
    try HostNamespace.with { host, daemon in
      try daemon.ok("run", "--rm", "busybox", "true")
      let processes = try Inventory(of: daemon).processes
      func time(_ arguments: [String]) throws -> UInt64 {
        let start = Sys.monotonicNanoseconds()
        let result = try daemon.berth.run(arguments)
        try #require(result.status == 0, "\(result)")
        return (Sys.monotonicNanoseconds() - start) / 1_000_000
      }
      func memory() throws -> Int {
        let pid = try #require(daemon.process?.pid)
        let rollup = String(decoding: try Sys.readFile("/proc/\(pid)/smaps_rollup"), as: UTF8.self)
        let line = rollup.split(separator: "\n").first { $0.hasPrefix("Pss:") }
        return Int(line?.split(separator: " ")[1] ?? "") ?? 0
      }
      let without = try time(["run", "-d", "--name", "none", "busybox", "sleep", "1000"])
      let before = try memory()
      let with = try time(["run", "-d", "--name", "many", "-p", "20000-20999:20000-20999", "busybox", "sleep", "1000"])
      let after = try memory()
      print(
        "1000 published ports: \(with) ms to run instead of \(without), \(after - before) kB more of the daemon's memory"
      )
      #expect(with < without + 1000)
      #expect(try daemon.ok("port", "many").lines.count == 2000)
      // a shim and a program each
      #expect(try Inventory(of: daemon).processes <= processes + 2)
      try daemon.ok("rm", "-f", "many")
      let table =
        try #require(try host.run(["nft", "list", "tables"]).lines.first).split(separator: " ").last.map(String.init)
        ?? ""
      #expect(!(try host.run(["nft", "list", "map", "inet", table, "published"]).out.contains("20999")))
    }
  }
}

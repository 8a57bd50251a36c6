import Kernel
import OCI
import Testing

/// Who reaches whom, asked by programs: in containers, on the host, and on another host across a wire.
@Suite("who reaches whom", .serialized)
struct ReachTests {
  /// Where a question is asked.
  enum Place: Sendable, CustomStringConvertible {
    case host
    case otherHost
    case container(String)
    var description: String {
      switch self {
      case .host: "the host"
      case .otherHost: "another host"
      case .container(let name): "container \(name)"
      }
    }
  }
  /// What is asked: an address as it is, or `NAME.4`, `NAME.6` for a container's own.
  struct Row: Sendable {
    let from: Place
    let to: String
    let port: Int
    /// What answers: the container, and how it sees the asker; nil: nothing.
    let answer: String?
    init(_ from: Place, _ to: String, _ port: Int, _ answer: String?) {
      self.from = from
      self.to = to
      self.port = port
      self.answer = answer
    }
  }

  static let rows: [Row] = [
    // by name and by address on one network
    Row(.container("front"), "web", 80, "web *"),
    Row(.container("front"), "web.lan", 80, "web *"),
    Row(.container("front"), "web.4", 80, "web FRONT.4"),
    Row(.container("front"), "web.6", 80, "web FRONT.6"),
    Row(.container("lone"), "plain.4", 80, "plain LONE.4"),
    Row(.container("lone"), "plain", 80, "plain LONE.4"),
    // another network: neither by name nor by address
    Row(.container("lone"), "web", 80, nil),
    Row(.container("lone"), "web.4", 80, nil),
    Row(.container("front"), "plain.4", 80, nil),
    Row(.container("front"), "plain", 80, nil),
    // an internal network reaches itself alone, nobody reaches it, nor what it published
    Row(.container("in2"), "in1", 80, "in1 IN2.4"),
    Row(.container("in2"), "web.4", 80, nil),
    Row(.container("in2"), HostNamespace.otherAddress, 7000, nil),
    Row(.container("front"), "in1.4", 80, nil),
    Row(.otherHost, HostNamespace.address, 8090, nil),
    // without icc
    Row(.container("iso2"), "iso1.4", 80, nil),
    // published ports: from the other host with its own address, of both families, and from everywhere else
    Row(.otherHost, HostNamespace.address, 8080, "web \(HostNamespace.otherAddress)"),
    Row(.otherHost, HostNamespace.address6, 8080, "web \(HostNamespace.otherAddress6)"),
    Row(.otherHost, HostNamespace.address, 8081, "plain \(HostNamespace.otherAddress)"),
    Row(.host, "127.0.0.1", 8080, "web *"),
    Row(.host, "::1", 8080, "web *"),
    // to a container with IPv4 alone: carried by the daemon
    Row(.host, "::1", 8081, "plain *"),
    Row(.host, HostNamespace.address6, 8081, "plain *"),
    Row(.otherHost, HostNamespace.address6, 8081, "plain *"),
    Row(.container("front"), HostNamespace.address6, 8081, "plain *"),
    Row(.host, HostNamespace.address, 8080, "web *"),
    Row(.host, HostNamespace.address6, 8080, "web *"),
    Row(.container("lone"), HostNamespace.address, 8080, "web *"),
    Row(.container("front"), HostNamespace.address, 8080, "web *"),
    Row(.container("web"), HostNamespace.address, 8080, "web *"),
    Row(.container("front"), HostNamespace.address6, 8080, "web *"),
    // published on the loopback alone
    Row(.host, "127.0.0.1", 8082, "plain *"),
    Row(.otherHost, HostNamespace.address, 8082, nil),
    Row(.container("lone"), HostNamespace.address, 8082, nil),
    // what isn't published, though the other host has a route to it
    Row(.otherHost, "web.4", 80, nil),
    Row(.otherHost, "web.6", 80, nil),
    Row(.otherHost, "plain.4", 80, nil),
    Row(.otherHost, "web.4", 81, nil),
    // the host itself reaches its containers
    Row(.host, "web.4", 80, "web *"),
    Row(.host, "web.6", 80, "web *"),
    // what leaves bears the host's address
    Row(.container("front"), HostNamespace.otherAddress, 7000, "outside \(HostNamespace.address)"),
    Row(.container("front"), HostNamespace.otherAddress6, 7000, "outside \(HostNamespace.address6)"),
  ]

  @Test("a table of questions and answers, inside and outside, over IPv4, IPv6 and names")
  func table() throws {
    try HostNamespace.with { host, daemon in
      for arguments in [
        ["--subnet", "10.98.0.0/24", "--ipv6", "--subnet", "fd98::/64", "lan"], ["--internal", "inner"],
        ["-o", "com.docker.network.bridge.enable_icc=false", "apart"],
      ] {
        try daemon.berth.run(["network", "create"] + arguments).discard()
      }
      let containers: [(name: String, flags: [String], teller: Bool)] = [
        ("web", ["--network", "lan", "-p", "8080:80"], true),
        ("front", ["--network", "lan"], false),
        ("plain", ["-p", "8081:80", "-p", "127.0.0.1:8082:80"], true), ("lone", [], false),
        ("in1", ["--network", "inner", "-p", "8090:80"], true), ("in2", ["--network", "inner"], false),
        ("iso1", ["--network", "apart"], true), ("iso2", ["--network", "apart"], false),
      ]
      for (name, flags, teller) in containers {
        let program = teller ? HostNamespace.teller(name) : ["sleep", "1000"]
        let run = try daemon.berth.run(["run", "-d", "--name", name] + flags + ["busybox"] + program)
        try #require(run.status == 0, "\(name): \(run)")
      }
      let outside = try host.startOther(["sh", "-c", Self.outside])
      var addresses: [String: String] = [:]
      for (name, _, teller) in containers {
        if teller { try daemon.wait(for: "ready", in: name) }
        let networks = try #require(try daemon.inspect(name)["NetworkSettings"]?["Networks"]?.members?.first?.value)
        addresses["\(name).4"] = networks["IPAddress"]?.stringValue
        addresses["\(name).6"] = networks["GlobalIPv6Address"]?.stringValue
      }
      while !(try outside.output().contains("ready")) { _ = try Command(path: "/bin/sleep").run(["0.05"]) }

      // all at once: those that nothing answers take their time
      let asked = try Self.rows.map { row in
        let question = HostNamespace.question(
          addresses[row.to] ?? row.to, port: row.port, seconds: row.answer == nil ? 2 : 20)
        switch row.from {
        case .host: return (row, try host.start(question))
        case .otherHost: return (row, try host.startOther(question))
        case .container(let name): return (row, try daemon.berth.start(["exec", name] + question.dropFirst()))
        }
      }
      for (row, running) in asked {
        let answer = HostNamespace.answer(try running.wait())
        let label: Comment = "from \(row.from) to \(row.to):\(row.port)"
        guard let wanted = row.answer else {
          #expect(answer == nil, label)
          continue
        }
        let parts = wanted.split(separator: " ").map(String.init)
        let seen = addresses[parts[1].lowercased()] ?? parts[1]
        if seen == "*" {
          #expect(answer?.hasPrefix(parts[0] + " ") == true, label)
        } else {
          #expect(answer == "\(parts[0]) \(seen)", label)
        }
      }
      try outside.signal(15)
      _ = try outside.wait(deadline: 20)
    }
  }

  /// A server on the other host.
  private static let outside = """
    d=$(mktemp -d); mkdir $d/cgi-bin
    printf '#!/bin/sh\\nprintf "Content-Type: text/plain\\\\r\\\\n\\\\r\\\\noutside $REMOTE_ADDR"\\n' >$d/cgi-bin/who
    chmod 755 $d/cgi-bin/who
    busybox httpd -f -p 7000 -h $d & s=$!
    trap 'kill $s; rm -rf $d; exit' TERM
    echo ready
    wait
    """
}

extension JSON {
  var members: [(key: String, value: JSON)]? {
    if case .object(let object) = self { object.members } else { nil }
  }
}

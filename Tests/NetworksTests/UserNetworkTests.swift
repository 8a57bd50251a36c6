import CLinux
import Errdefs
import Kernel
import Netlink
import OCI
import Testing

@testable import Networks

@Suite("Networks of the user's") struct UserNetworkTests {
  @Test("containers of one network reach each other, those of two don't, and each leaves by its own gateway")
  func isolation() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      let red = try await host.create("red")
      try await host.create("blue") { $0.pools = [Network.Pool(subnet: "10.9.0.0/24", ipRange: "10.9.0.128/25")] }
      #expect(red.pools.first?.subnet == "172.18.0.0/24" && red.pools.first?.gateway == "172.18.0.1")
      let one = try await host.attach(1, on: [EndpointRequest(network: "red")], [PortBinding(80, on: "8080")])
      let two = try await host.attach(2, on: [EndpointRequest(network: "red")])
      let three = try await host.attach(3, on: [EndpointRequest(network: "blue")])
      #expect(three.ipAddress == "10.9.0.129" && three.gateway == "10.9.0.128")
      var server = try host.serve(one, 80, "one")
      #expect(try host.ask(from: two, one.ipAddress, 80) == "one")
      #expect(try server.value() == two.ipAddress)
      let listener = try host.inside(one) { try Peer.listen(80) }
      #expect(throws: SyscallError.self) { try host.ask(from: three, one.ipAddress, 80) }
      #expect(throws: SyscallError.self) { try host.ask(from: neighbour, one.ipAddress, 80) }
      // what is published is reached from the other network, by the host's address
      let serving = try Background(try host.open(one)) { try Peer.serve(listener, "published") }
      #expect(try host.ask(from: three, "198.51.100.1", 8080) == "published")
      _ = try serving.value()
      let outside = try within(neighbour) { try Peer.listen(7000) }
      let there = try Background(neighbour) { try Peer.serve(outside, "out") }
      #expect(try host.ask(from: three, "198.51.100.2", 7000) == "out")
      #expect(try there.value() == "198.51.100.1")
      server = try host.serve(two, 81, "host")
      #expect(try Peer.ask(two.ipAddress, 81) == "host")
      _ = try server.value()
    }
  }

  @Test("an internal network reaches nothing else, and icc=false keeps its containers apart")
  func internalAndSilent() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      try await host.create("inside") { $0.isInternal = true }
      try await host.create("silent") { $0.options = ["com.docker.network.bridge.enable_icc": "false"] }
      let one = try await host.attach(1, on: [EndpointRequest(network: "inside")])
      let two = try await host.attach(2, on: [EndpointRequest(network: "inside")])
      #expect(one.gateway.isEmpty)
      let server = try host.serve(two, 80, "two")
      #expect(try host.ask(from: one, two.ipAddress, 80) == "two")
      _ = try server.value()
      _ = try within(neighbour) { try Peer.listen(7000) }
      #expect(throws: SyscallError.self) { try host.ask(from: one, "198.51.100.2", 7000) }
      // even with a route of its own making
      let gateway = try #require(IPv4Address("172.18.0.1"))
      try host.inside(one) {
        var socket = try NetlinkSocket(.route)
        var batch = NetlinkBatch()
        batch.addRoute(gateway: gateway, link: try #require(try socket.link(named: "eth0")).index)
        try socket.execute(batch)
      }
      let listener = try within(neighbour) { try Peer.listen(7001) }
      #expect(throws: SyscallError.self) { try host.ask(from: one, "198.51.100.2", 7001) }
      _ = listener
      let three = try await host.attach(3, on: [EndpointRequest(network: "silent")])
      let four = try await host.attach(4, on: [EndpointRequest(network: "silent")])
      let silent = try host.inside(four) { try Peer.listen(80) }
      #expect(throws: SyscallError.self) { try host.ask(from: three, four.ipAddress, 80) }
      _ = silent
    }
  }

  @Test("a running container is plugged into networks and out of them; default route and ports follow")
  func connect() async throws {
    try await Host.run { host in
      try await host.create("front")
      try await host.create("back") { $0.pools = [Network.Pool(subnet: "10.9.0.0/24")] }
      let one = try await host.attach(1, on: [EndpointRequest(network: "front")], [PortBinding(80, on: "8080")])
      let peer = try await host.attach(2, on: [EndpointRequest(network: "back")])
      var request = EndpointRequest(network: "back")
      request.ipv4 = "10.9.0.77"
      request.macAddress = "02:42:00:00:00:99"
      request.gatewayPriority = 5
      let both = try await host.networks.connect(containerID: Host.id(1), request)
      #expect(both.interfaces.map(\.name) == ["eth0", "eth1"] && both.interfaces[1].ipAddress == "10.9.0.77")
      #expect(both.interfaces[1].macAddress == "02:42:00:00:00:99")
      #expect(try Self.gateway(host, one) == "10.9.0.1")
      do {
        let server = try host.serve(one, 81, "by front")
        #expect(try host.ask(from: peer, "10.9.0.77", 81) == "by front")
        _ = try server.value()
        let listener = try host.inside(one) { try Peer.listen(80, address: "10.9.0.77") }
        let serving = try Background(try host.open(one)) { try Peer.serve(listener, "mapped") }
        #expect(try Peer.ask("127.0.0.1", 8080) == "mapped", "the port leads to the network with the default route")
        _ = try serving.value()
      }
      await #expect(throws: EngineError.self) { try await host.networks.connect(containerID: Host.id(1), request) }
      var taken = EndpointRequest(network: "front")
      taken.ipv4 = "172.18.0.9"
      await #expect(throws: EngineError.self, "a fixed address needs a subnet of the user's") {
        try await host.networks.connect(containerID: Host.id(2), taken)
      }
      do {
        try await host.networks.remove("back")
        Issue.record("a network in use was removed")
      } catch {
        #expect(
          "\(error)".hasPrefix("error while removing network: network back has active endpoints (name:\"c1\" id:\""))
      }
      _ = try await host.networks.disconnect(containerID: Host.id(1), network: "back")
      #expect(try Self.gateway(host, one) == "172.18.0.1")
      let again = try host.inside(one) { try Peer.listen(80, address: one.ipAddress) }
      let server = try Background(try host.open(one)) { try Peer.serve(again, "front again") }
      #expect(try Peer.ask("127.0.0.1", 8080) == "front again")
      _ = try server.value()
      #expect(throws: SyscallError.self) { try host.ask(from: peer, "10.9.0.77", 80) }
      _ = try await host.networks.disconnect(containerID: Host.id(1), network: "front")
      #expect(try Self.gateway(host, one) == nil)
    }
  }

  private static func gateway(_ host: Host, _ endpoint: Endpoint) throws -> String? {
    try host.inside(endpoint) {
      var socket = try NetlinkSocket(.route)
      return try socket.routes().first { $0.destination.prefix == 0 && $0.table == 254 }?.gateway?.description
    }
  }

  @Test("two stacks: containers reach each other, and the host its published ports, by IPv6")
  func dualStack() async throws {
    try await Host.run { host in
      let network = try await host.create("six") { $0.enableIPv6 = true }
      #expect(network.pools.count == 2 && network.pools[1].subnet.hasPrefix("fd"))
      let one = try await host.attach(
        1, on: [EndpointRequest(network: "six")], [PortBinding(80, on: "8080", "::")])
      let two = try await host.attach(2, on: [EndpointRequest(network: "six")])
      let address = try #require(one.interfaces.first?.ipv6Address)
      #expect(address.hasSuffix("::2"))
      let namespace = try host.open(one)
      func serve(_ port: UInt16, _ name: String) throws -> Background<String> {
        let listener = try within(namespace) { try Peer.listen6(port) }
        return try Background(namespace) { try Peer.serve6(listener, name) }
      }
      var serving = try serve(80, "six")
      #expect(try host.inside(two) { try Peer.ask6(address, 80) } == "six")
      _ = try serving.value()
      serving = try serve(81, "direct")
      #expect(try Peer.ask6(address, 81) == "direct")
      _ = try serving.value()
      let gateway = try #require(network.pools.last?.gateway)
      serving = try serve(80, "published")
      #expect(try Peer.ask6(gateway, 8080) == "published", "by an address of the host's own")
      _ = try serving.value()
    }
  }

  @Test("what a network's definition can't be is refused in Docker's words, and leaves nothing")
  func refusals() async throws {
    try await Host.run { host in
      try await host.create("one") { $0.pools = [Network.Pool(subnet: "10.9.0.0/24")] }
      let links = try Self.bridges()
      let cases: [(EngineError.Kind, String, @Sendable (inout NetworkDraft) -> Void)] = [
        (.conflict, "network with name one already exists", { $0.name = "one" }),
        (.forbidden, "operation is not permitted on predefined host network ", { $0.name = "host" }),
        (
          .forbidden, "invalid pool request: Pool overlaps with other one on this address space",
          {
            $0.pools = [Network.Pool(subnet: "10.9.0.0/25")]
          }
        ),
        (
          .invalidParameter, "invalid network config:\ninvalid subnet 10.8.0.1/24: it should be 10.8.0.0/24",
          {
            $0.pools = [Network.Pool(subnet: "10.8.0.1/24")]
          }
        ),
        (
          .invalidParameter,
          "invalid network config:\ninvalid gateway 10.7.0.1: parent subnet 10.8.0.0/24 doesn't contain this address",
          { $0.pools = [Network.Pool(subnet: "10.8.0.0/24", gateway: "10.7.0.1")] }
        ),
        (
          .invalidParameter,
          "invalid network config:\ninvalid ip-range 10.8.0.0/16: CIDR block is bigger than its parent subnet 10.8.0.0/24",
          { $0.pools = [Network.Pool(subnet: "10.8.0.0/24", ipRange: "10.8.0.0/16")] }
        ),
        (.notFound, "could not find plugin weave in v1 plugin registry: plugin not found", { $0.driver = "weave" }),
      ]
      for (kind, message, change) in cases {
        do {
          try await host.create("new", change)
          Issue.record("made: \(message)")
        } catch let error as EngineError { #expect(error.kind == kind && error.message == message) }
      }
      #expect(try Self.bridges() == links)
      do {
        try await host.networks.remove("bridge")
        Issue.record("bridge was removed")
      } catch { #expect("\(error)" == "bridge is a pre-defined network and cannot be removed") }
      try await host.networks.remove("one")
      #expect(try Self.bridges().count == links.count - 1)
    }
  }

  private static func bridges() throws -> [String] {
    var socket = try NetlinkSocket(.route)
    return try socket.links().filter { $0.kind == "bridge" }.map(\.name).sorted()
  }

  @Test("the next daemon has the networks again, adopts who runs on them, and answers their questions")
  func restart() async throws {
    try await Host.run { host in
      try await host.create("lasting") { $0.labels = ["a": "b"] }
      let one = try await host.attach(1, on: [EndpointRequest(network: "lasting")], [PortBinding(80, on: "8080")])
      let two = try await host.attach(2, on: [EndpointRequest(network: "lasting")])
      await host.networks.abandon()
      // what a crash in the middle of a creation leaves
      var links = try NetlinkSocket(.route)
      var batch = NetlinkBatch()
      let hardware = try #require(HardwareAddress("02:42:00:00:00:01"))
      batch.addBridge("br-orphan", address: hardware, mtu: 1500, group: host.networks.core.names.mark)
      try links.execute(batch)
      let next = try host.successor()
      let records = try [one, two].map { try Endpoint(json: try JSON.parse($0.json.text)) }
      #expect(records == [one, two])
      try await next.reconcile(live: records)
      #expect(try !Self.bridges().contains("br-orphan"))
      #expect(try next.inspect("lasting").labels == ["a": "b"])
      #expect(try next.inspect("lasting").members.map(\.name) == ["c1", "c2"])
      let server = try host.serve(one, 80, "again")
      #expect(try Peer.ask("127.0.0.1", 8080) == "again")
      _ = try server.value()
      #expect(try host.inside(two) { try Asker.addresses("c1") } == [one.ipAddress])
      for id in [1, 2] { next.release(containerID: Host.id(id)) }
      await next.close()
    }
  }
}

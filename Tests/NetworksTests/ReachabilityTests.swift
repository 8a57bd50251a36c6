import CLinux
import Kernel
import Netlink
import Testing

@testable import Networks

@Suite("Who reaches whom") struct ReachabilityTests {
  @Test("two containers and the host reach each other")
  func bridge() async throws {
    try await Host.run { host in
      let one = try await host.attach(1)
      let two = try await host.attach(2)
      #expect(one.ipAddress != two.ipAddress)
      #expect(one.gateway == "172.17.0.1" && one.prefixLength == 16)

      var server = try host.serve(two, 80, "two")
      #expect(try host.ask(from: one, two.ipAddress, 80) == "two")
      #expect(try server.value() == one.ipAddress)

      server = try host.serve(one, 80, "one")
      #expect(try Peer.ask(one.ipAddress, 80) == "one")
      #expect(try server.value() == "172.17.0.1")

      let listener = try Peer.listen(8000)
      let waiting = try Background(host.namespace) { try Peer.serve(listener, "host") }
      #expect(try host.ask(from: two, "172.17.0.1", 8000) == "host")
      #expect(try waiting.value() == two.ipAddress)
      // its own loopback is up
      server = try host.serve(one, 81, "self")
      #expect(try host.ask(from: one, "127.0.0.1", 81) == "self")
      _ = try server.value()
    }
  }

  @Test("a published port is reached by 127.0.0.1, by the host's address, from another host, and from containers")
  func published() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      let one = try await host.attach(1, [PortBinding(80, on: "8080")])
      let two = try await host.attach(2)
      #expect(one.ports.first == PublishedPort(port: ContainerPort(80), hostIP: "0.0.0.0", hostPort: 8080))

      var server = try host.serve(one, 80, "one")
      #expect(try Peer.ask("127.0.0.1", 8080) == "one")
      #expect(try server.value() == "172.17.0.1")

      server = try host.serve(one, 80, "one")
      #expect(try Peer.ask("198.51.100.1", 8080) == "one")
      _ = try server.value()

      server = try host.serve(one, 80, "one")
      #expect(try host.ask(from: neighbour, "198.51.100.1", 8080) == "one")
      #expect(try server.value() == "198.51.100.2", "the client's own address is kept")

      server = try host.serve(one, 80, "one")
      #expect(try host.ask(from: two, "198.51.100.1", 8080) == "one")
      _ = try server.value()

      server = try host.serve(one, 80, "one")
      #expect(try host.ask(from: one, "172.17.0.1", 8080) == "one", "hairpin")
      _ = try server.value()

      host.release(1)
      #expect(throws: SyscallError.self) { try Peer.ask("127.0.0.1", 8080) }
    }
  }

  @Test("a port bound to one address of the host isn't reached by others")
  func bound() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      let one = try await host.attach(
        1, [PortBinding(80, on: "8080", "127.0.0.1"), PortBinding(81, on: "8081", "198.51.100.1")])
      var server = try host.serve(one, 80, "loopback")
      #expect(try Peer.ask("127.0.0.1", 8080) == "loopback")
      _ = try server.value()
      #expect(throws: SyscallError.self) { try host.ask(from: neighbour, "198.51.100.1", 8080) }
      #expect(throws: SyscallError.self) { try Peer.ask("198.51.100.1", 8080) }
      server = try host.serve(one, 81, "wire")
      #expect(try host.ask(from: neighbour, "198.51.100.1", 8081) == "wire")
      _ = try server.value()
      #expect(throws: SyscallError.self) { try Peer.ask("127.0.0.1", 8081) }
    }
  }

  @Test("what isn't published isn't reached from another host, not even by its own address")
  func isolated() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      let one = try await host.attach(1, [PortBinding(80, on: "8080")])
      let namespace = try host.open(one)
      let published = try within(namespace) { try Peer.listen(80) }
      let other = try within(namespace) { try Peer.listen(81) }
      // the neighbour routes everything through the host, containers' subnet included
      #expect(throws: SyscallError.self) { try host.ask(from: neighbour, one.ipAddress, 81) }
      #expect(throws: SyscallError.self) { try host.ask(from: neighbour, one.ipAddress, 80) }
      let server = try Background(namespace) { try Peer.serve(published, "one") }
      #expect(try host.ask(from: neighbour, "198.51.100.1", 8080) == "one")
      _ = try server.value()
      _ = other
    }
  }

  @Test("what leaves the subnet bears the host's address")
  func masquerade() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      let one = try await host.attach(1)
      let listener = try within(neighbour) { try Peer.listen(7000) }
      let server = try Background(neighbour) { try Peer.serve(listener, "neighbour") }
      #expect(try host.ask(from: one, "198.51.100.2", 7000) == "neighbour")
      #expect(try server.value() == "198.51.100.1")
    }
  }

  @Test("UDP is published too, and a client that goes on sending reaches the port's next owner")
  func udp() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      let client = try within(neighbour) { try Peer.bindUDP(5000) }
      let one = try await host.attach(1, [PortBinding(53, on: "5300", "", .udp)])
      do {
        // a socket holds its namespace
        let first = try host.inside(one) { try Peer.bindUDP(53) }
        let came = try Peer.exchange(first) { try Peer.send("a", from: client, to: "198.51.100.1", 5300) }
        #expect(came == "a")
      }
      host.release(1)
      try await host.settle()
      let two = try await host.attach(2, [PortBinding(53, on: "5300", "", .udp)])
      let second = try host.inside(two) { try Peer.bindUDP(53) }
      let came = try Peer.exchange(second) { try Peer.send("b", from: client, to: "198.51.100.1", 5300) }
      #expect(came == "b")
    }
  }

  @Test("modes: none has loopback alone, container shares, host has no namespace")
  func modes() async throws {
    try await Host.run { host in
      let none = try await host.attach(1, mode: NetworkMode.none)
      let links = try host.inside(none) {
        var socket = try NetlinkSocket(.route)
        return try socket.links()
      }
      #expect(links.map(\.name) == ["lo"] && links[0].isUp)
      let two = try await host.attach(2)
      let three = try await host.attach(3, mode: .container(Host.id(2)))
      #expect(three.namespacePath == two.namespacePath && three.ipAddress.isEmpty)
      #expect(try await host.attach(4, mode: .host).namespacePath == nil)
      await #expect(throws: (any Error).self) { try await host.attach(5, mode: .container(Host.id(9))) }
      do {
        _ = try await host.attach(6, mode: .named("nosuch"))
        Issue.record("a network that isn't there was found")
      } catch { #expect("\(error)" == "network nosuch not found") }
      #expect(try host.networks.inspect("host").members.map(\.name) == ["c4"])
      #expect(try host.networks.inspect("none").members.map(\.name) == ["c1"])
    }
  }

  @Test("IPv6 is off inside, the hardware address is the address's or the user's")
  func interface() async throws {
    try await Host.run { host in
      let one = try await host.attach(1)
      #expect(one.macAddress == HardwareAddress(for: try #require(IPv4Address(one.ipAddress))).description)
      let two = try await host.attach(2, macAddress: "02:42:00:00:00:77")
      #expect(two.macAddress == "02:42:00:00:00:77")
      let own = try host.inside(two) {
        var socket = try NetlinkSocket(.route)
        return try socket.link(named: "eth0")?.hardwareAddress?.description
      }
      #expect(own == "02:42:00:00:00:77")
      let server = try host.serve(two, 80, "two")
      #expect(try Peer.ask(two.ipAddress, 80) == "two")
      _ = try server.value()
      let off = try host.inside(one) { try Sysctl.read("net/ipv6/conf/eth0/disable_ipv6") }
      #expect(off == "1")
    }
  }

  @Test("counters are the container's: what it received, not what the host's end did")
  func counters() async throws {
    try await Host.run { host in
      let one = try await host.attach(1)
      let namespace = try host.open(one)
      let listener = try within(namespace) { try Peer.bindUDP(9) }
      let client = try Peer.bindUDP(10)
      _ = try Peer.exchange(listener) { try Peer.send("first", from: client, to: one.ipAddress, 9) }
      let before = try #require(try host.networks.statistics(containerID: Host.id(1)).first)
      #expect(before.interface == "eth0")
      for _ in 0..<50 { try Peer.send(String(repeating: "x", count: 1000), from: client, to: one.ipAddress, 9) }
      for _ in 0..<50 { _ = try Peer.receive(listener) }
      let after = try #require(try host.networks.statistics(containerID: Host.id(1)).first)
      #expect(after.counters.receivedBytes - before.counters.receivedBytes >= 50_000)
      #expect(after.counters.sentBytes - before.counters.sentBytes < 5_000)
      _ = listener
    }
  }

  @Test("a container can't reach what listens on the host's loopback, though the host reaches the container from there")
  func loopback() async throws {
    try await Host.run { host in
      let one = try await host.attach(1)
      let bridge = try #require(HardwareAddress("02:42:ac:11:00:01"))
      let listener = try Peer.bindUDP(4000)
      let source = one.ipAddress
      // A frame that the bridge's new port isn't ready for is lost, and would prove nothing.
      var arrives = false
      for _ in 0..<100 where !arrives {
        try host.inside(one) { try Frame.send("ready?", to: "172.17.0.1", 4000, from: source, via: bridge) }
        arrives = try Sys.poll(listener.raw, Int16(POLLIN), timeout: 100) != 0
      }
      while try Sys.poll(listener.raw, Int16(POLLIN), timeout: 0) != 0 { _ = try Peer.receive(listener) }
      try host.inside(one) { try Frame.send("to loopback", to: "127.0.0.1", 4000, from: source, via: bridge) }
      try host.inside(one) { try Frame.send("as loopback", to: "172.17.0.1", 4000, from: "127.0.0.1", via: bridge) }
      // proves that frames arrive: only this one does
      try host.inside(one) { try Frame.send("as itself", to: "172.17.0.1", 4000, from: source, via: bridge) }
      #expect(try Peer.receive(listener) == "as itself")
    }
  }

  @Test("what is published on 127.0.0.1 isn't reached over the wire by a frame that names 127.0.0.1")
  func martian() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      let one = try await host.attach(
        1, [PortBinding(53, on: "5300", "127.0.0.1", .udp), PortBinding(53, on: "5301", "", .udp)])
      let listener = try host.inside(one) { try Peer.bindUDP(53) }
      var links = try NetlinkSocket(.route)
      let wire = try #require(try links.link(named: "wire0")?.hardwareAddress)
      try within(neighbour) { try Frame.send("martian", to: "127.0.0.1", 5300, from: "198.51.100.2", via: wire) }
      try within(neighbour) { try Frame.send("decent", to: "198.51.100.1", 5301, from: "198.51.100.2", via: wire) }
      #expect(try Peer.receive(listener) == "decent")
    }
  }
}

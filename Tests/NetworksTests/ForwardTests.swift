import CLinux
import Kernel
import Netlink
import Testing

@testable import Networks

@Suite("What the daemon carries itself") struct ForwardTests {
  @Test("a port is published for IPv6 too, and ::1 leads to a container that has IPv4 alone")
  func loopback() async throws {
    try await Host.run { host in
      let one = try await host.attach(1, [PortBinding(80, on: "8080"), PortBinding(81, on: "8081", "127.0.0.1")])
      #expect(
        one.ports.map { "\($0.hostIP) \($0.hostPort)" } == ["0.0.0.0 8080", ":: 8080", "127.0.0.1 8081"])
      for _ in 0..<3 {
        let server = try host.serve(one, 80, "one")
        #expect(try Peer.ask6("::1", 8080) == "one")
        #expect(try server.value() == "172.17.0.1")
      }
      #expect(throws: SyscallError.self) { try Peer.ask6("::1", 8081) }
      // nobody listens there: the client is told so, not kept waiting
      #expect(try Peer.ask6("::1", 8080).isEmpty)
      host.release(1)
      #expect(throws: SyscallError.self) { try Peer.ask6("::1", 8080) }
    }
  }

  @Test("what is carried comes whole both ways, and each end is told when the other has said all")
  func whole() async throws {
    try await Host.run { host in
      let one = try await host.attach(1, [PortBinding(80, on: "8080")])
      let listener = try host.inside(one) { try Peer.listen(80) }
      Peer.wait(listener.raw, seconds: 20)
      let echo = try Background(try host.open(one)) {
        let connection = try Sys.accept(listener.raw)
        let all = try Sys.readAll(connection.raw)
        try Sys.writeAll(connection.raw, all)
        return all.count
      }
      let sent = (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 11) }
      let socket = try Sys.socket(AF_INET6, Sys.sockStream)
      Peer.wait(socket.raw, seconds: 20)
      try Sys.connect(socket.raw, address: IPv6Address(high: 0, low: 1).bytes, port: 8080)
      try Sys.writeAll(socket.raw, sent)
      try Sys.shutdown(socket.raw, Int32(SHUT_WR))
      #expect(try Sys.readAll(socket.raw) == sent)
      #expect(try echo.value() == sent.count)
    }
  }

  @Test(
    "datagrams of several peers, each answered by its own, and led elsewhere when the container changes its network")
  func datagrams() async throws {
    try await Host.run { host in
      try await host.create("red")
      let one = try await host.attach(1, [PortBinding(53, on: "5300", "", .udp), PortBinding(80, on: "8080")])
      let socket = try host.inside(one) { try Peer.bindUDP(53) }
      let echo = try Background(try host.open(one)) {
        while true {
          var polled = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
          guard poll(&polled, 1, 20_000) > 0 else { return false }
          var bytes = [UInt8](repeating: 0, count: 64)
          var peer = [UInt8](repeating: 0, count: 28)
          var length: UInt32 = 0
          let count = cl_receive_from(socket.raw, &bytes, 64, &peer, &length)
          guard count > 0 else { return false }
          if count == 3, bytes.starts(with: Array("end".utf8)) { return true }
          _ = cl_send_to(socket.raw, bytes, count, peer, length)
        }
      }
      let peers = try (0..<2).map { _ in
        let socket = SharedDescriptor(try Sys.socket(AF_INET6, Sys.sockDatagram))
        try Sys.connect(socket.raw, address: IPv6Address(high: 0, low: 1).bytes, port: 5300)
        return socket
      }
      for round in 0..<2 {
        for (index, peer) in peers.enumerated() {
          Peer.wait(peer.raw, seconds: 10)
          // what is sent again is answered again
          var answer = try Peer.exchange(peer) { try Sys.writeAll(peer.raw, "\(index)-\(round)") }
          while answer == "\(index)-\(round - 1)" { answer = try Peer.receive(peer) }
          #expect(answer == "\(index)-\(round)")
        }
      }
      try Sys.writeAll(peers[0].raw, "end")
      #expect(try echo.value())
      _ = try await host.networks.connect(containerID: Host.id(1), EndpointRequest(network: "red"))
      _ = try await host.networks.disconnect(containerID: Host.id(1), network: "bridge")
      let server = try host.serve(one, 80, "moved")
      #expect(try Peer.ask6("::1", 8080) == "moved")
      _ = try server.value()
    }
  }

  @Test("the next daemon listens again; with --userland-proxy=false nobody does")
  func adopted() async throws {
    try await Host.run { host in
      let one = try await host.attach(1, [PortBinding(80, on: "8080")])
      await host.networks.abandon()
      #expect(throws: SyscallError.self) { try Peer.ask6("::1", 8080) }
      let next = try host.successor()
      try await next.reconcile(live: [one])
      let server = try host.serve(one, 80, "again")
      #expect(try Peer.ask6("::1", 8080) == "again")
      _ = try server.value()
      next.release(containerID: one.containerID)
      await next.close()
    }
    try await Host.run({ $0.carries = false }) { host in
      let one = try await host.attach(1, [PortBinding(80, on: "8080")])
      #expect(one.ports.map(\.hostIP) == ["0.0.0.0"])
      #expect(throws: SyscallError.self) { try Peer.ask6("::1", 8080) }
    }
  }

  @Test("a program that listens on [::] alone keeps the port, in Docker's words")
  func conflict() async throws {
    try await Host.run { host in
      let socket = try Sys.socket(AF_INET6, Sys.sockStream)
      try Sys.setOption(socket.raw, level: Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1)
      try Sys.bind(socket.raw, address: [UInt8](repeating: 0, count: 16), port: 8080)
      try Sys.listen(socket.raw)
      let error = await #expect(throws: (any Error).self) { try await host.attach(1, [PortBinding(80, on: "8080")]) }
      #expect("\(try #require(error))".contains("failed to bind host port for [::]:8080:172.17.0."))
      // a free one is free on both
      let two = try await host.attach(2, [PortBinding(80, on: "8080-8081")])
      #expect(two.ports.map(\.hostPort) == [8081, 8081])
    }
  }
}

@Suite("The default bridge as the daemon's flags have it") struct DefaultBridgeTests {
  @Test("IPv6 of a chosen subnet, of its own, and kept over the next start")
  func ipv6() async throws {
    try await Host.run({
      $0.enablesV6 = true
      $0.addressRange6 = "2001:db8:77::/64"
    }) { host in
      let one = try await host.attach(1, [PortBinding(80, on: "8080")])
      let two = try await host.attach(2)
      let address = try #require(one.interfaces.first?.ipv6Address)
      #expect(address.hasPrefix("2001:db8:77::"))
      #expect(one.interfaces.first?.ipv6Gateway == "2001:db8:77::1")
      let listener = try host.inside(one) { try Peer.listen6(80) }
      for (asker, place) in [(Optional(two), address), (nil, "::1"), (nil, address)] {
        let server = try Background(try host.open(one)) { try Peer.serve6(listener, "six") }
        if let asker {
          #expect(try host.inside(asker) { try Peer.ask6(place, 80) } == "six")
        } else {
          #expect(try Peer.ask6(place, place == "::1" ? 8080 : 80) == "six")
        }
        _ = try server.value()
      }
      #expect(try host.networks.inspect("bridge").enableIPv6)
    }
    try await Host.run({ $0.enablesV6 = true }) { host in
      let one = try await host.attach(1)
      let own = try #require(one.interfaces.first?.ipv6Gateway)
      #expect(own.hasPrefix("fd") && own.hasSuffix("::1"))
      host.release(1)
      await host.networks.close()
      let next = try host.successor { $0.enablesV6 = true }
      try await next.reconcile(live: [])
      #expect(try next.inspect("bridge").pools.last?.gateway == own)
      await next.close()
    }
  }

  @Test("fixed-cidr, icc=false and default address pools")
  func others() async throws {
    try await Host.run({
      $0.bridgeAddress = "10.60.0.1/16"
      $0.addressRange = "10.60.7.0/24"
      $0.reachesPeers = false
    }) { host in
      let one = try await host.attach(1)
      let two = try await host.attach(2)
      #expect(one.ipAddress.hasPrefix("10.60.7.") && one.prefixLength == 16)
      _ = try host.inside(one) { try Peer.listen(80) }
      #expect(throws: SyscallError.self) { try host.ask(from: two, one.ipAddress, 80) }
    }
    let pools = [
      try AddressPoolBase(base: "10.70.0.0/16", size: 28), try AddressPoolBase(base: "fd70::/56", size: 64),
    ]
    try await Host.run({ $0.addressPools = pools }) { host in
      #expect(try host.networks.inspect("bridge").pools.first?.subnet == "10.70.0.0/28")
      let red = try await host.create("red") { $0.enableIPv6 = true }
      let blue = try await host.create("blue") { $0.enableIPv6 = true }
      #expect(red.pools.map(\.subnet) == ["10.70.0.16/28", "fd70::/64"])
      #expect(blue.pools.map(\.subnet) == ["10.70.0.32/28", "fd70:0:0:1::/64"])
    }
    for (base, size) in [("10.70.0.1/16", 24), ("10.70.0.0/16", 8), ("fd70::/56", 48), ("x", 24)] {
      #expect(throws: (any Error).self) { try AddressPoolBase(base: base, size: size) }
    }
  }
}

import CLinux
import Errdefs
import Kernel
import Netlink
import Testing

@testable import Networks

@Suite("Ports") struct PortTests {
  private func failure(_ body: () async throws -> Endpoint) async -> EngineError? {
    do {
      _ = try await body()
      return nil
    } catch { return error as? EngineError }
  }

  @Test("a port that another container has is refused in Docker's words, and the refused one leaves nothing")
  func conflict() async throws {
    try await Host.run { host in
      _ = try await host.attach(1, [PortBinding(80, on: "8080")])
      for (address, binding) in [("0.0.0.0", ""), ("127.0.0.1", "127.0.0.1")] {
        let error = try #require(
          await failure {
            try await host.attach(2, [PortBinding(81, on: "9090"), PortBinding(80, on: "8080", binding)])
          })
        #expect(error.kind == .system)
        #expect(error.message.hasPrefix("driver failed programming external connectivity on endpoint c2 ("))
        #expect(error.message.hasSuffix("): Bind for \(address):8080 failed: port is already allocated"))
      }
      // 9090 was given back
      _ = try await host.attach(3, [PortBinding(81, on: "9090")])
      #expect(try host.networks.inspect("bridge").members.map(\.name) == ["c1", "c3"])
      host.release(1)
      _ = try await host.attach(2, [PortBinding(80, on: "8080")])
    }
  }

  @Test("a port that a process of the host listens on is refused, and a published one can't be listened on")
  func reservation() async throws {
    try await Host.run { host in
      let listener = try Peer.listen(8080)
      let error = try #require(await failure { try await host.attach(1, [PortBinding(80, on: "8080")]) })
      #expect(error.message.contains("): failed to bind host port for 0.0.0.0:8080:172.17.0."))
      #expect(error.message.hasSuffix(":80/tcp: address already in use"))
      _ = listener
      _ = try await host.attach(2, [PortBinding(80, on: "8081"), PortBinding(53, on: "5300", "", .udp)])
      #expect(throws: SyscallError.self) { try Peer.listen(8081) }
      #expect(throws: SyscallError.self) { try Peer.bindUDP(5300) }
      host.release(2)
      _ = try Peer.listen(8081)
    }
  }

  @Test("ranges and any port: the next free one, past what the host itself uses")
  func ranges() async throws {
    try await Host.run { host in
      let listener = try Peer.listen(8001)
      let one = try await host.attach(1, [PortBinding(80, on: "8000-8003"), PortBinding(81, on: "8000-8003")])
      #expect(one.ports.filter { $0.hostIP == "0.0.0.0" }.map(\.hostPort) == [8000, 8002])
      let two = try await host.attach(2, [PortBinding(80, on: "8000-8003")])
      #expect(two.ports.map(\.hostPort) == [8003, 8003])
      let error = try #require(await failure { try await host.attach(3, [PortBinding(80, on: "8000-8003")]) })
      #expect(error.message.hasSuffix("Bind for 0.0.0.0:8000-8003 failed: all ports are allocated"))
      _ = listener
      let four = try await host.attach(
        4, [PortBinding(80, on: "0")], exposed: [ContainerPort(80), ContainerPort(443), ContainerPort(53, .udp)],
        publishAll: true)
      #expect(four.ports.filter { $0.hostIP == "::" }.map(\.port.description) == ["53/udp", "80/tcp", "443/tcp"])
      #expect(four.ports.allSatisfy { $0.hostPort >= 32768 })
      let five = try await host.attach(5, [PortBinding(80, on: "")], exposed: [ContainerPort(443)])
      #expect(five.unpublished == [ContainerPort(443)])
    }
  }

  @Test("a thousand ports are one transaction")
  func many() async throws {
    try await Host.run { host in
      let bindings = (20000..<21000).map { PortBinding(UInt16($0), on: "\($0)", "0.0.0.0") }
      let one = try await host.attach(1, bindings)
      #expect(one.ports.count == 1000)
      let server = try host.serve(one, 20999, "last")
      #expect(try Peer.ask("127.0.0.1", 20999) == "last")
      _ = try server.value()
      host.release(1)
      var socket = try NetlinkSocket(.netfilter)
      #expect(try socket.elements(.inet, table: host.networks.core.names.table, map: "published").isEmpty)
    }
  }

  @Test(
    "what is no port or address is refused before anything is taken",
    arguments: [
      ("80a", "", "invalid port specification: \"80a\""), ("70000", "", "invalid port specification: \"70000\""),
      ("90-80", "", "invalid port specification: \"90-80\""), ("80", "zz", "invalid IP address in port mapping: zz"),
    ])
  func invalid(port: String, address: String, message: String) throws {
    let error = #expect(throws: EngineError.self) {
      try PortDemand(PortBinding(80, on: port, address), defaultAddress: "0.0.0.0")
    }
    #expect(error?.kind == .invalidParameter && error?.message == message)
  }

  @Test(
    "keys of ExposedPorts",
    arguments: [("80", "80/tcp"), ("53/udp", "53/udp"), ("80/TCP", "80/tcp"), ("9/sctp", "9/sctp")])
  func keys(text: String, canonical: String) throws {
    #expect(try ContainerPort(text).description == canonical)
  }
}

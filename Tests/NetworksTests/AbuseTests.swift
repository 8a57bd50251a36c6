import CLinux
import Kernel
import Netlink
import Testing

@testable import Networks

@Suite("Containers that send what they shouldn't") struct AbuseTests {
  @Test("a datagram with a source that isn't the network's goes nowhere, with its own it does")
  func spoofed() async throws {
    try await Host.run { host in
      let neighbour = try host.neighbour()
      try await host.create("red")
      let one = try await host.attach(1)
      let two = try await host.attach(2, on: [EndpointRequest(network: "red")], [PortBinding(53, on: "5300", "", .udp)])
      let outside = try within(neighbour) { try Peer.bindUDP(7000) }
      let other = try host.inside(two) { try Peer.bindUDP(53) }
      let own = try Peer.bindUDP(7000)
      let hop = HardwareAddress(for: try #require(IPv4Address("172.17.0.1")))
      try host.inside(one) {
        for source in [two.ipAddress, "198.51.100.2", "203.0.113.9", "172.18.0.1", "10.1.2.3"] {
          try Frame.send("forged", to: "198.51.100.2", 7000, from: source, via: hop)
          try Frame.send("forged", to: "198.51.100.1", 7000, from: source, via: hop)
          try Frame.send("forged", to: "198.51.100.1", 5300, from: source, via: hop)
          try Frame.send("forged", to: two.ipAddress, 53, from: source, via: hop)
        }
        // in order behind the forged ones
        try Frame.send("true", to: "198.51.100.2", 7000, from: one.ipAddress, via: hop)
        try Frame.send("true", to: "198.51.100.1", 7000, from: one.ipAddress, via: hop)
        try Frame.send("true", to: "198.51.100.1", 5300, from: one.ipAddress, via: hop)
      }
      #expect(try Peer.receive(outside) == "true")
      #expect(try Peer.receive(own) == "true")
      #expect(try Peer.receive(other) == "true")
    }
  }

  @Test("a container that plays the router is believed by nobody")
  func routerAdvertisement() async throws {
    try await Host.run { host in
      try await host.create("six") { $0.enableIPv6 = true }
      let endpoints = [EndpointRequest(network: "six")]
      let one = try await host.attach(1, on: endpoints)
      let two = try await host.attach(2, on: endpoints)
      let gullible = try await host.attach(3, on: endpoints)
      func routes(_ endpoint: Endpoint?) throws -> [String] {
        // destination, prefix, source, prefix, gateway, metric …
        let list = { @Sendable () throws -> [String] in
          String(decoding: try Sys.readFile("/proc/thread-self/net/ipv6_route"), as: UTF8.self).split(separator: "\n")
            .filter { $0.hasPrefix(String(repeating: "0", count: 32) + " 00 ") }
            .map { $0.split(separator: " ")[4] + " " + $0.split(separator: " ")[9] }.sorted()
        }
        return try endpoint.map { try host.inside($0, list) } ?? list()
      }
      try host.inside(gullible) { try Sysctl.write("net/ipv6/conf/eth0/accept_ra", "2") }
      let before = try (routes(two), routes(nil), routes(gullible))
      // the one that listens to it shows that it came
      let deadline = Sys.monotonicNanoseconds() + 20_000_000_000
      while try routes(gullible) == before.2 {
        try host.inside(one) { try Frame.advertise() }
        _ = poll(nil, 0, 100)
        try #require(Sys.monotonicNanoseconds() < deadline, "the advertisement never came")
      }
      #expect(try routes(two) == before.0)
      #expect(try routes(nil) == before.1)
    }
  }
}

extension Frame {
  /// A router advertisement (RFC 4861, 4.2) to all nodes, of a router that never was.
  static func advertise() throws {
    var links = try NetlinkSocket(.route)
    guard let link = try links.link(named: "eth0"), let own = link.hardwareAddress,
      let source = IPv6Address("fe80::dead"), let all = IPv6Address("ff02::1")
    else { throw SyscallError("send frame", "eth0", .invalidArgument) }
    var message: [UInt8] = [134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1] + own.bytes
    let pseudo = source.bytes + all.bytes + [0, 0, 0, UInt8(message.count), 0, 0, 0, 58] + message
    var sum = stride(from: 0, to: pseudo.count, by: 2).reduce(0) { $0 + Int(pseudo[$1]) << 8 + Int(pseudo[$1 + 1]) }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    message[2] = UInt8(~sum >> 8 & 255)
    message[3] = UInt8(~sum & 255)
    let header: [UInt8] = [0x60, 0, 0, 0, 0, UInt8(message.count), 58, 255] + source.bytes + all.bytes
    let frame = [0x33, 0x33, 0, 0, 0, 1] + own.bytes + [0x86, 0xdd] + header + message
    let socket = try Sys.socket(AF_PACKET, Sys.sockRaw, 0)
    var place = sockaddr_ll()
    place.sll_family = UInt16(AF_PACKET)
    place.sll_ifindex = link.index
    place.sll_halen = 6
    try Sys.retrying("sendto", "ff02::1") {
      withUnsafePointer(to: &place) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(
            socket.raw, frame, frame.count, 0, __CONST_SOCKADDR_ARG(__sockaddr__: $0),
            socklen_t(MemoryLayout<sockaddr_ll>.size))
        }
      }
    }
  }
}

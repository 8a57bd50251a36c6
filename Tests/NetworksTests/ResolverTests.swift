import CLinux
import Kernel
import Netlink
import Synchronization
import Testing

@testable import Networks

@Suite("Names") struct ResolverTests {
  @Test("a name, an alias, ids and links are answered on the container's networks alone; aliases take turns")
  func names() async throws {
    try await Host.run { host in
      try await host.create("red")
      try await host.create("blue")
      var web = EndpointRequest(network: "red")
      web.aliases = ["www"]
      let one = try await host.attach(1, on: [web])
      let two = try await host.attach(2, on: [web])
      var asker = EndpointRequest(network: "red")
      asker.links = ["c1:first"]
      let three = try await host.attach(3, on: [asker])
      let four = try await host.attach(4, on: [EndpointRequest(network: "blue")])
      func ask(_ endpoint: Endpoint, _ name: String, tcp: Bool = false) throws -> [String] {
        try host.inside(endpoint) { try Asker.addresses(name, tcp: tcp) }
      }
      for name in ["c1", "C1", "c1.red", "first", "host1", String(Host.id(1).prefix(12))] where name != "first" {
        // short ids of the test's containers are alike
        if name.hasPrefix("0000") { continue }
        #expect(try ask(three, name) == [one.ipAddress], "\(name)")
      }
      #expect(try ask(three, "first") == [one.ipAddress] && ask(three, "c1", tcp: true) == [one.ipAddress])
      #expect(try ask(two, "first") == [], "a link is the asker's own")
      #expect(try ask(four, "c1") == [])
      let turns = try (0..<4).map { _ in try ask(three, "www") }
      #expect(turns.allSatisfy { Set($0) == [one.ipAddress, two.ipAddress] })
      #expect(Set(turns.map { $0[0] }) == [one.ipAddress, two.ipAddress])
      #expect(try host.inside(three) { try Asker.reverse(one.ipAddress) } == "c1.red")
      host.networks.rename(containerID: Host.id(1), to: "renamed")
      #expect(try ask(three, "renamed") == [one.ipAddress] && ask(three, "c1") == [])
      host.release(2)
      #expect(try ask(three, "www") == [one.ipAddress])
      // on the default bridge too
      let five = try await host.attach(5)
      let six = try await host.attach(6)
      #expect(try ask(five, "c6") == [six.ipAddress] && ask(five, "renamed") == [])
      // port 53 is the container's own to serve on
      _ = try host.inside(five) { try Peer.bindUDP(53) }
      _ = try host.inside(five) { try Peer.listen(53) }
      #expect(try ask(five, "c6") == [six.ipAddress])
    }
  }

  @Test(
    "other names are asked of a name server on the host's loopback, over UDP and TCP, and kept for as long as they are good"
  )
  func forwarding() async throws {
    try await Host.run({ $0.dns = ["127.0.0.2", "127.0.0.1"] }) { host in
      let server = try NameServer(address: "127.0.0.1")
      let one = try await host.attach(1)
      func ask(_ name: String, tcp: Bool = false) throws -> [String] {
        try host.inside(one) { try Asker.addresses(name, tcp: tcp) }
      }
      #expect(try ask("example.org") == ["192.0.2.7"], "the first name server isn't there: the second answers")
      #expect(try ask("EXAMPLE.org") == ["192.0.2.7"])
      #expect(server.count() == 1, "the second question is answered from the cache")
      #expect(try ask("other.org", tcp: true) == ["192.0.2.7"])
      server.stop()
      #expect(try ask("example.org") == ["192.0.2.7"])
      #expect(try ask("gone.org") == [])
    }
  }

  @Test("malformed, hostile and many questions harm nobody")
  func hostile() async throws {
    try await Host.run { host in
      try await host.create("red")
      let one = try await host.attach(1, on: [EndpointRequest(network: "red")])
      try host.inside(one) {
        let socket = try Asker.socket(Sys.sockDatagram)
        var generator = SplitMix(state: 7)
        let good = Asker.query("c1", type: 1)
        for round in 0..<2000 {
          var bytes = good
          for _ in 0..<Int.random(in: 1...6, using: &generator) {
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0 ... .max, using: &generator)
          }
          if round % 3 == 0 { bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator))) }
          if round % 50 == 0 { bytes += [UInt8](repeating: 0xc0, count: 5000) }
          _ = bytes.withUnsafeBytes { send(socket.raw, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) }
        }
        // a stream that never says its length, and one that lies about it
        for start in [[UInt8(0)], [0xff, 0xff, 0], [0, 2, 1, 1]] {
          let stream = try Asker.socket(Sys.sockStream)
          try Sys.writeAll(stream.raw, start)
        }
      }
      #expect(try host.inside(one) { try Asker.addresses("c1") } == [one.ipAddress])
    }
  }

  @Test("no bytes make the parsers go past their end")
  func fuzz() {
    var generator = SplitMix(state: 42)
    var understood = 0
    let answer = DNSMessage.answer(
      DNSMessage.Query(Asker.query("a.example.org", type: 1)[...])!, .success,  // SAFETY: the query is well formed
      [.init(type: 1, data: [1, 2, 3, 4])], limit: 512)
    for base in [Asker.query("a.example.org", type: 28), answer] {
      for _ in 0..<50_000 {
        var bytes = base
        for _ in 0..<Int.random(in: 0...4, using: &generator) {
          bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0 ... .max, using: &generator)
        }
        bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
        // a slice that doesn't begin at 0
        let slice = ([9, 9, 9] + bytes)[3...]
        if DNSMessage.Query(slice) != nil { understood += 1 }
        if let (offsets, _) = DNSMessage.lifetimes(slice) { #expect(offsets.allSatisfy { $0 + 4 <= bytes.count }) }
        _ = DNSMessage.complaint(slice)
      }
    }
    #expect(understood > 100)
  }

  @Test(
    "IPv6 addresses are read and written as RFC 5952 says",
    arguments: [
      ("fd00::1", "fd00::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("::", "::"), ("::1", "::1"),
      ("::ffff:1.2.3.4", "::ffff:102:304"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1::", "1::"),
      ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("1:::2", nil), ("12345::", nil), ("1:2", nil), ("fe80::1%eth0", nil),
      ("1:2:3:4:5:6:7:8:9", nil), ("", nil), ("::1::", nil), (":1:2:3:4:5:6:7", nil),
    ])
  func addresses(text: String, canonical: String?) {
    #expect(IPv6Address(text)?.description == canonical)
  }
}

struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}

/// Asks 127.0.0.11, in the namespace of the calling thread.
enum Asker {
  static func query(_ name: String, type: UInt16) -> [UInt8] {
    [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0] + (DNSMessage.encode(name) ?? [0]) + DNSMessage.word(type) + [0, 1]
  }

  static func socket(_ type: Int32) throws -> Descriptor {
    let socket = try Sys.socket(AF_INET, type)
    var limit = timeval(tv_sec: 8, tv_usec: 0)
    setsockopt(socket.raw, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    try Sys.connect(socket.raw, address: [127, 0, 0, 11], port: 53)
    return socket
  }

  static func ask(_ name: String, type: UInt16, tcp: Bool = false) throws -> [UInt8] {
    let socket = try socket(tcp ? Sys.sockStream : Sys.sockDatagram)
    let query = query(name, type: type)
    if !tcp {
      // datagrams may be lost, so askers ask again
      for _ in 0..<20 {
        try Sys.writeAll(socket.raw, query)
        guard try Sys.poll(socket.raw, Int16(POLLIN), timeout: 3500) != 0 else { continue }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = try bytes.withUnsafeMutableBytes { try Sys.read(socket.raw, $0) }
        return Array(bytes[..<count])
      }
    }
    try Sys.writeAll(socket.raw, (tcp ? DNSMessage.word(UInt16(query.count)) : []) + query)
    var answer: [UInt8] = []
    var bytes = [UInt8](repeating: 0, count: 4096)
    repeat {
      let count = try bytes.withUnsafeMutableBytes { try Sys.read(socket.raw, $0) }
      if count == 0 { break }
      answer += bytes[..<count]
    } while tcp && (answer.count < 2 || answer.count < Int(answer[0]) << 8 + Int(answer[1]) + 2)
    return tcp ? Array(answer.dropFirst(2)) : answer
  }

  static func addresses(_ name: String, tcp: Bool = false) throws -> [String] {
    try records(try ask(name, type: 1, tcp: tcp)).map { $0.map { "\($0)" }.joined(separator: ".") }
  }

  static func reverse(_ address: String) throws -> String {
    let name = address.split(separator: ".").reversed().joined(separator: ".") + ".in-addr.arpa"
    let data = try records(try ask(name, type: 12)).first ?? []
    var reader = DNSMessage.Reader(data[...], at: 0)
    return reader.name() ?? ""
  }

  private static func records(_ answer: [UInt8]) throws -> [[UInt8]] {
    guard let header = DNSMessage.Header(answer[...]), header.id == 0x1234 else { return [] }
    var reader = DNSMessage.Reader(answer[...], at: 12)
    guard reader.skipName(), reader.skip(4) else { return [] }
    var result: [[UInt8]] = []
    for _ in 0..<header.answers {
      guard reader.skipName(), reader.skip(8), let length = reader.word() else { return result }
      let start = reader.offset
      guard reader.skip(Int(length)) else { return result }
      result.append(Array(answer[start..<(start + Int(length))]))
    }
    return result
  }
}

/// A name server that says 192.0.2.7 to everything, for a minute, in the namespace of the thread that made it.
final class NameServer: Sendable {
  private let asked = Box(0)
  private let udp: SharedDescriptor
  private let tcp: SharedDescriptor

  init(address: String) throws {
    let bits = IPv4Address(address)?.bits ?? 0
    let udp = SharedDescriptor(try Sys.socket(AF_INET, Sys.sockDatagram))
    try Sys.bind(udp.raw, address: bits, port: 53)
    let tcp = SharedDescriptor(try Sys.socket(AF_INET, Sys.sockStream))
    try Sys.bind(tcp.raw, address: bits, port: 53)
    try Sys.listen(tcp.raw)
    self.udp = udp
    self.tcp = tcp
    let asked = asked
    _ = try Thread(name: "names-udp") {
      var bytes = [UInt8](repeating: 0, count: 4096)
      while true {
        var peer = [UInt8](repeating: 0, count: 28)
        var length = socklen_t(28)
        let count = peer.withUnsafeMutableBytes { peer in
          recvfrom(
            udp.raw, &bytes, 4096, 0,
            __SOCKADDR_ARG(__sockaddr__: peer.baseAddress?.assumingMemoryBound(to: sockaddr.self)), &length)
        }
        guard count > 0, let query = DNSMessage.Query(bytes[..<count]) else { return }
        asked.value.withLock { $0 += 1 }
        let answer = DNSMessage.answer(query, .success, [.init(type: 1, data: [192, 0, 2, 7])], limit: 512)
        _ = answer.withUnsafeBytes { cl_send_to(udp.raw, $0.baseAddress, $0.count, peer, length) }
      }
    }
    _ = try Thread(name: "names-tcp") {
      while let client = try? Sys.accept(tcp.raw) {
        var bytes = [UInt8](repeating: 0, count: 4096)
        guard let count = try? bytes.withUnsafeMutableBytes({ try Sys.read(client.raw, $0) }), count > 2,
          let query = DNSMessage.Query(bytes[2..<count])
        else { continue }
        let answer = DNSMessage.answer(query, .success, [.init(type: 1, data: [192, 0, 2, 7])], limit: 512)
        try? Sys.writeAll(client.raw, DNSMessage.word(UInt16(answer.count)) + answer)
      }
    }
  }

  func count() -> Int { asked.value.withLock { $0 } }

  /// Its threads end.
  func stop() {
    _ = shutdown(udp.raw, Int32(SHUT_RDWR))
    _ = shutdown(tcp.raw, Int32(SHUT_RDWR))
  }
}

import CLinux
import Errdefs
import Kernel
import Netlink
import OCI
import Synchronization
import Testing

@testable import Networks

@Suite("Life and death") struct LifeTests {
  @Test("two hundred containers leave everything as it was")
  func cycles() async throws {
    try await Host.run { host in
      try await host.settle()
      let before = try Inventory(host)
      for round in 0..<50 {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for number in 0..<4 {
            group.addTask {
              let endpoint = try await host.attach(number, [PortBinding(80, on: "\(9000 + number)")])
              #expect(!endpoint.ipAddress.isEmpty)
              if round == 0 || round == 49 {
                let server = try host.serve(endpoint, 80, "hello")
                #expect(try host.ask(from: host.namespace, "127.0.0.1", UInt16(9000 + number)) == "hello")
                _ = try server.value()
              }
              host.release(number)
            }
          }
          try await group.waitForAll()
        }
      }
      try await host.settle()
      #expect(try Inventory(host) == before)
      #expect(
        host.networks.core.state.withLock { $0.defaultSegment?.addresses?.count }
          == host.networks.configuration.poolSize)
    }
  }

  private struct Inventory: Equatable {
    let veths: Int
    let namespaces: Int
    let mounts: Int
    let chains: [NftChain]
    let elements: Int
    let descriptors: Int

    init(_ host: Host) throws {
      veths = try host.veths().count
      let directory = try Sys.open("\(host.folder)/run/netns", O_RDONLY | O_DIRECTORY)
      namespaces = try Sys.entries(directory.raw).count
      mounts =
        String(decoding: try Sys.readFile("/proc/self/mounts"), as: UTF8.self).split(separator: "\n")
        .filter { $0.contains(host.folder) }.count
      var socket = try NetlinkSocket(.netfilter)
      chains = try socket.chains()
      elements = try socket.elements(.inet, table: host.networks.core.names.table, map: "published").count
      // other suites open and close their own at the same time: only ours are looked at
      descriptors = host.networks.core.state.withLock { $0.attachments.values.reduce(0) { $0 + $1.reservations.count } }
    }
  }

  @Test("the next daemon adopts who lives and sweeps who doesn't")
  func restart() async throws {
    try await Host.run { host in
      let one = try await host.attach(1, [PortBinding(80, on: "8080")])
      _ = try await host.attach(2, [PortBinding(80, on: "8081")])
      let none = try await host.attach(3, mode: NetworkMode.none)
      let joined = try await host.attach(4, mode: .container(Host.id(1)))
      let networkID = try host.networks.inspect("bridge").id
      try await host.settle()
      await host.networks.abandon()

      // the record went through the database
      let records = try [one, none, joined].map { try Endpoint(json: try JSON.parse($0.json.encoded())) }
      #expect(records == [one, none, joined])
      let next = try host.successor()
      try await next.reconcile(live: records)
      #expect(try next.inspect("bridge").id == networkID)
      #expect(try next.inspect("bridge").members.map(\.name) == ["c1"])

      var server = try host.serve(one, 80, "one")
      #expect(try Peer.ask("127.0.0.1", 8080) == "one")
      _ = try server.value()
      #expect(throws: SyscallError.self) { try Peer.ask("127.0.0.1", 8081) }
      await #expect(throws: EngineError.self) {
        try await next.attach(
          AttachRequest(
            containerID: Host.id(7), containerName: "c7", mode: .bridge, bindings: [PortBinding(80, on: "8080")]))
      }
      // new ones get other addresses and other names
      let five = try await next.attach(AttachRequest(containerID: Host.id(5), containerName: "c5", mode: .bridge))
      #expect(five.ipAddress != one.ipAddress && five.namespacePath != one.namespacePath)
      server = try host.serve(one, 80, "one")
      #expect(try host.ask(from: five, one.ipAddress, 80) == "one")
      _ = try server.value()
      #expect(try next.statistics(containerID: Host.id(1)).first?.counters.sentBytes ?? 0 > 0)

      for number in [1, 3, 4, 5] { next.release(containerID: Host.id(number)) }
      await next.close()
      #expect(try Self.goes(host))
      var socket = try NetlinkSocket(.netfilter)
      #expect(try socket.tables(.inet).isEmpty)
    }
  }

  /// Veths go some milliseconds after their namespace.
  private static func goes(_ host: Host) throws -> Bool {
    var notices = try NetlinkSocket(.route)
    try notices.join(1)
    let deadline = Sys.monotonicNanoseconds() + 60_000_000_000
    while Sys.monotonicNanoseconds() < deadline {
      if try host.veths().isEmpty { return true }
      var polled = pollfd(fd: notices.raw, events: Int16(POLLIN), revents: 0)
      _ = poll(&polled, 1, 100)
      _ = try notices.notices()
    }
    return false
  }

  @Test("a table that others flush is there again by itself, ports included")
  func flushed() async throws {
    try await Host.run { host in
      let one = try await host.attach(1, [PortBinding(80, on: "8080")])
      let table = host.networks.core.names.table
      var notices = try NetlinkSocket(.netfilter)
      try notices.join(7)
      var socket = try NetlinkSocket(.netfilter)
      var transaction = NftTransaction()
      transaction.deleteTable(.inet, table)
      try socket.commit(transaction)
      let deadline = Sys.monotonicNanoseconds() + 60_000_000_000
      while try !socket.tables(.inet).contains(table), Sys.monotonicNanoseconds() < deadline {
        var polled = pollfd(fd: notices.raw, events: Int16(POLLIN), revents: 0)
        _ = poll(&polled, 1, 500)
        _ = try notices.notices()
      }
      let server = try host.serve(one, 80, "one")
      #expect(try Peer.ask("127.0.0.1", 8080) == "one")
      _ = try server.value()
    }
  }

  @Test("who joined a container that ends keeps no address that others may get")
  func joiner() async throws {
    try await Host.run { host in
      let one = try await host.attach(1)
      let two = try await host.attach(2, mode: .container(Host.id(1)))
      // the joiner lives on in the namespace
      let held = try host.open(two)
      host.release(1)
      try await host.settle()
      let links = try within(held) {
        var socket = try NetlinkSocket(.route)
        return try socket.links().map(\.name)
      }
      #expect(links == ["lo"])
      let remaining = try host.veths()
      #expect(!remaining.contains(one.hostInterface ?? ""))
    }
  }

  @Test("a veth whose namespace a stray process holds is swept by the next daemon, after its time")
  func stray() async throws {
    try await Host.run { host in
      let one = try await host.attach(1)
      let held = try host.open(one)
      await host.networks.abandon()
      let next = try host.successor()
      try await next.reconcile(live: [])
      #expect(try Self.goes(host, one.hostInterface))
      _ = held
      await next.close()
    }
  }

  private static func goes(_ host: Host, _ name: String?) throws -> Bool {
    var notices = try NetlinkSocket(.route)
    try notices.join(1)
    let deadline = Sys.monotonicNanoseconds() + 60_000_000_000
    while Sys.monotonicNanoseconds() < deadline {
      if try !host.veths().contains(name ?? "") { return true }
      var polled = pollfd(fd: notices.raw, events: Int16(POLLIN), revents: 0)
      _ = poll(&polled, 1, 100)
      _ = try notices.notices()
    }
    return false
  }

  @Test("the subnet keeps away from the host's routes, and stays what it was at the next start")
  func subnet() async throws {
    try await Host.run(prepare: {
      var links = try NetlinkSocket(.route)
      var batch = NetlinkBatch()
      batch.addBridge("other", address: try #require(HardwareAddress("02:42:00:00:00:01")), mtu: 1500)
      try links.execute(batch)
      let index = try #require(try links.link(named: "other")).index
      batch = NetlinkBatch()
      batch.addAddress(try #require(IPv4Subnet("172.17.3.4/24")), link: index)
      batch.setLink(index, up: true)
      try links.execute(batch)
    }) { host in
      let pools = try host.networks.inspect("bridge").pools
      #expect(pools == [.init(subnet: "172.18.0.0/16", gateway: "172.18.0.1")])
    }
    let previous = try #require(IPv4Subnet("172.20.0.1/16"))
    let taken = try ["172.17.3.0/24", "172.16.0.0/14", "192.0.2.0/24"].map { try #require(IPv4Subnet($0)) }
    #expect(try SubnetChoice.choose(previous: previous, occupied: taken) == previous)
    #expect(try SubnetChoice.choose(previous: nil, occupied: taken).description == "172.20.0.1/16")
    #expect(throws: EngineError.self) {
      try SubnetChoice.choose(
        previous: nil, occupied: [try #require(IPv4Subnet("128.0.0.0/1")), try #require(IPv4Subnet("0.0.0.0/1"))])
    }
  }

  @Test("--bip decides, and an address that can't be is refused")
  func bip() async throws {
    try await Host.run({ $0.bridgeAddress = "10.77.0.1/29" }) { host in
      // .1 is the bridge; five are left, four of them in the pool
      var addresses: Set<String> = []
      for number in 1...5 { addresses.insert(try await host.attach(number).ipAddress) }
      #expect(addresses == ["10.77.0.2", "10.77.0.3", "10.77.0.4", "10.77.0.5", "10.77.0.6"])
      do {
        _ = try await host.attach(6)
        Issue.record("there were addresses left")
      } catch { #expect("\(error)".hasPrefix("no available IPv4 addresses on this network's address pools: bridge (")) }
      host.release(3)
      try await Self.freed(host)
      #expect(try await host.attach(6).ipAddress == "10.77.0.4")
    }
    for wrong in ["10.0.0.0/24", "10.0.0.255/24", "10.0.0.1/31", "10.0.0.1", "x"] {
      #expect(throws: EngineError.self) { try SubnetChoice.parse(wrong) }
    }
  }

  private static func freed(_ host: Host) async throws {
    var notices = try NetlinkSocket(.route)
    try notices.join(1)
    let deadline = Sys.monotonicNanoseconds() + 60_000_000_000
    while Sys.monotonicNanoseconds() < deadline {
      if host.networks.core.state.withLock({ $0.leaving.isEmpty && $0.drops.isEmpty }) { return }
      var polled = pollfd(fd: notices.raw, events: Int16(POLLIN), revents: 0)
      _ = poll(&polled, 1, 100)
      _ = try notices.notices()
    }
  }

  @Test("ids and the file of identities survive; a damaged file is set aside")
  func identities() throws {
    var template = Array("/tmp/berth-networks-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    let folder = String(cString: made)
    let path = "\(folder)/networks.json"
    let (first, _) = try NetworkIdentities.load(path)
    #expect(first.bridge.id.utf8.count == 64)
    #expect(try NetworkIdentities.load(path).0 == first)
    try Sys.replaceFile(path, with: Array("{\"bridge\":".utf8), durable: false)
    let (second, damaged) = try NetworkIdentities.load(path)
    #expect(damaged == path + ".damaged" && Sys.exists(path + ".damaged"))
    #expect(second.bridge.id != first.bridge.id)
    try Sys.removeTree(folder)
  }
}

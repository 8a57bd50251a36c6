import CLinux
import Kernel
import Netlink
import Testing

@Suite("Links, addresses and routes") struct LinkTests {
  @Test("a veth is made with its end up in another namespace, addressed there through a socket opened there")
  func veth() throws {
    try inNamespace {
      let home = try currentNamespace()
      var host = try NetlinkSocket(.route)
      var batch = NetlinkBatch()
      let bridgeAddress = try #require(HardwareAddress("02:42:0a:00:00:01"))
      batch.addBridge("br-test", address: bridgeAddress, mtu: 1400)
      try host.execute(batch)
      let bridge = try #require(try host.link(named: "br-test"))
      #expect(bridge.kind == "bridge")
      #expect(bridge.hardwareAddress == bridgeAddress)
      #expect(bridge.mtu == 1400)
      #expect(!bridge.isUp)

      try Sys.unshare(CLONE_NEWNET)
      let other = try currentNamespace()
      var inside = try NetlinkSocket(.route)
      try Sys.setns(home.raw, CLONE_NEWNET)

      let gateway = try #require(IPv4Subnet("10.9.0.1/24"))
      batch = NetlinkBatch()
      batch.addAddress(gateway, link: bridge.index)
      batch.setLink(bridge.index, up: true)
      let peerAddress = try #require(HardwareAddress("02:42:0a:09:00:02"))
      batch.addVeth(
        "vtest0", master: bridge.index, mtu: 1400, peer: "eth0", peerAddress: peerAddress, peerNamespace: other.raw)
      try host.execute(batch)

      let outer = try #require(try host.link(named: "vtest0"))
      #expect(outer.master == bridge.index)
      #expect(outer.kind == "veth")
      #expect(try host.link(named: "eth0") == nil)
      let inner = try #require(try inside.link(named: "eth0"))
      #expect(!inner.isUp)
      #expect(inner.hardwareAddress == peerAddress)
      #expect(inner.mtu == 1400)

      batch = NetlinkBatch()
      batch.addAddress(try #require(IPv4Subnet("10.9.0.2/24")), link: inner.index)
      batch.setLink(1, up: true)
      batch.setLink(inner.index, up: true)
      batch.addRoute(gateway: gateway.address, link: inner.index)
      try inside.execute(batch)
      let addresses = try inside.addresses().map(\.subnet.description)
      #expect(addresses.contains("10.9.0.2/24"))
      let routes = try inside.routes()
      #expect(routes.contains { $0.destination.prefix == 0 && $0.gateway == gateway.address && $0.link == inner.index })
      #expect(try host.links().map(\.name).contains("vtest0"))
    }
  }

  @Test("a refusal names the operation, the object and the kernel's reason")
  func refusal() throws {
    try inNamespace {
      var socket = try NetlinkSocket(.route)
      var batch = NetlinkBatch()
      let address = try #require(HardwareAddress("02:42:0a:00:00:01"))
      batch.addBridge("br-test", address: address, mtu: 1500)
      try socket.execute(batch)
      let error = try #require(throws: NetlinkError.self) { try socket.execute(batch) }
      #expect(error.operation == "create bridge")
      #expect(error.object == "br-test")
      #expect(error.errno == .fileExists)
      // the socket is usable afterwards
      #expect(try socket.link(named: "br-test")?.kind == "bridge")

      batch = NetlinkBatch()
      batch.addRoute(gateway: try #require(IPv4Address("203.0.113.1")), link: 1)
      let unreachable = try #require(throws: NetlinkError.self) { try socket.execute(batch) }
      #expect(!unreachable.detail.isEmpty)
      #expect(unreachable.description.contains("add route \"default\""))
    }
  }

  @Test("a notice tells that a link went, from whichever socket")
  func notice() throws {
    try inNamespace {
      var monitor = try NetlinkSocket(.route)
      try monitor.join(1)  // RTNLGRP_LINK
      var socket = try NetlinkSocket(.route)
      var batch = NetlinkBatch()
      batch.addBridge("br-test", address: try #require(HardwareAddress("02:42:0a:00:00:01")), mtu: 1500)
      try socket.execute(batch)
      let index = try #require(try socket.link(named: "br-test")).index
      batch = NetlinkBatch()
      batch.deleteLink(index)
      try socket.execute(batch)
      let gone = try #require(try monitor.notices()).contains { message in
        Int(message.type) == RTM_DELLINK && (try? Link(message))?.name == "br-test"
      }
      #expect(gone)
    }
  }
}

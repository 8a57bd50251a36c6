import CLinux
import Kernel
import Netlink
import Testing

@Suite("nf_tables") struct NftTests {
  let map = NftMap("ports", key: [.transport, .port], value: [.ipv4Address, .port])

  func element(_ port: UInt16) -> NftMap.Element {
    NftMap.Element(
      key: NftMap.transport(6) + NftMap.port(port),
      value: NftMap.address(IPv4Address(bits: 0x0a00_0002)) + NftMap.port(80))
  }

  func table() -> NftTransaction {
    var transaction = NftTransaction()
    transaction.addTable(.ip, "test")
    transaction.addMap(.ip, table: "test", map, id: 1)
    transaction.addChain(.ip, table: "test", "forward", hook: .init(.filter, .forward, priority: 0))
    transaction.addRule(
      .ip, table: "test", chain: "forward",
      NftExpression.output("lo") + NftExpression.isEstablished + [.verdict(.accept)])
    return transaction
  }

  @Test("elements come back as they were put, and thousands fit one transaction")
  func elements() throws {
    try inNamespace {
      var socket = try NetlinkSocket(.netfilter)
      try socket.commit(table())
      let elements = (1...3000).map { element(UInt16($0)) }
      var transaction = NftTransaction()
      transaction.addElements(.ip, table: "test", map: "ports", elements)
      try socket.commit(transaction)
      #expect(Set(try socket.elements(.ip, table: "test", map: "ports")) == Set(elements))
      transaction = NftTransaction()
      transaction.deleteElements(.ip, table: "test", map: "ports", Array(elements.dropFirst()))
      try socket.commit(transaction)
      #expect(try socket.elements(.ip, table: "test", map: "ports") == [element(1)])
    }
  }

  @Test("a transaction with one wrong message changes nothing and says which was wrong")
  func atomic() throws {
    try inNamespace {
      var socket = try NetlinkSocket(.netfilter)
      try socket.commit(table())
      var transaction = NftTransaction()
      transaction.addElements(.ip, table: "test", map: "ports", [element(1)])
      transaction.addElements(.ip, table: "test", map: "absent", [element(2)])
      transaction.addElements(.ip, table: "test", map: "ports", [element(3)])
      let error = try #require(throws: NetlinkError.self) { try socket.commit(transaction) }
      #expect(error.object == "test absent")
      #expect(error.errno == .noSuchFile)
      #expect(try socket.elements(.ip, table: "test", map: "ports").isEmpty)
    }
  }

  @Test("chains are listed with their policy, and a removal by another socket is noticed")
  func notices() throws {
    try inNamespace {
      var monitor = try NetlinkSocket(.netfilter)
      try monitor.join(7)  // NFNLGRP_NFTABLES
      var socket = try NetlinkSocket(.netfilter)
      try socket.commit(table())
      let chain = try #require(try socket.chains().first { $0.table == "test" })
      #expect(chain.name == "forward" && chain.hook == 2 && chain.policy == 1)
      var transaction = NftTransaction()
      transaction.deleteTable(.ip, "test")
      try socket.commit(transaction)
      let port = socket.port
      let removed = try #require(try monitor.notices()).contains { message in
        message.port == port && (try? NftNotice(message)) == .removed(family: 2, table: "test")
      }
      #expect(removed)
      #expect(try socket.tables(.ip).isEmpty)
    }
  }
}

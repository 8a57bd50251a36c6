import CLinux
import Kernel
import Netlink

/// Where a namespace asks for names: 127.0.0.11, port 53, UDP and TCP.
///
/// The sockets are bound to other ports, so that a name server in the container can have 53 on all addresses. A table in the
/// namespace, `inet berth-resolver`, writes the ports over as packets leave, without connection tracking:
/// ```
/// chain output { type filter hook output priority -150
///   oifname "lo" ip daddr 127.0.0.11 udp dport 53 udp dport set U      (and tcp, T)
///   oifname "lo" ip saddr 127.0.0.11 udp sport U udp sport set 53      (and tcp, T)
/// }
/// ```
final class ResolverSockets: Sendable {
  static let address = IPv4Address(bits: 0x7f00_000b)
  static let table = "berth-resolver"

  let udp: SharedDescriptor
  let tcp: SharedDescriptor

  /// In the calling thread's namespace, whose loopback is up; what an earlier daemon left there is replaced.
  init() throws {
    let udp = try Sys.socket(AF_INET, Sys.sockDatagram | Sys.sockNonBlock)
    try Sys.bind(udp.raw, address: Self.address.bytes, port: 0)
    let tcp = try Sys.socket(AF_INET, Sys.sockStream | Sys.sockNonBlock)
    try Sys.bind(tcp.raw, address: Self.address.bytes, port: 0)
    try Sys.listen(tcp.raw, backlog: 16)
    try Self.redirect(udp: try Sys.localPort(udp.raw), tcp: try Sys.localPort(tcp.raw))
    self.udp = SharedDescriptor(udp)
    self.tcp = SharedDescriptor(tcp)
  }

  private static func redirect(udp: UInt16, tcp: UInt16) throws(NetlinkError) {
    var transaction = NftTransaction()
    transaction.addTable(.inet, table)
    transaction.deleteTable(.inet, table)
    transaction.addTable(.inet, table)
    transaction.addChain(.inet, table: table, "output", hook: .init(.filter, .output, priority: -150))
    transaction.addRule(
      .inet, table: table, chain: "output", NftExpression.output("lo", equal: false) + [.verdict(.accept)])
    func bytes(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255)] }
    for (transport, port, checksum) in [(ContainerPort.Transport.udp, udp, UInt32(6)), (.tcp, tcp, 16)] {
      for (addressOffset, portOffset, from, to) in [
        (UInt32(16), UInt32(2), UInt16(53), port), (12, 0, port, 53),
      ] {
        transaction.addRule(
          .inet, table: table, chain: "output",
          NftExpression.family(.ip) + [
            .payload(.network, offset: addressOffset, length: 4, to: 0), .compare(0, equal: true, address.bytes),
            .meta(.transport, to: 0), .compare(0, equal: true, [transport.number]),
            .payload(.transport, offset: portOffset, length: 2, to: 0), .compare(0, equal: true, bytes(from)),
            .immediate(bytes(to), to: 0), .write(offset: portOffset, length: 2, from: 0, checksum: checksum),
            .verdict(.accept),
          ])
      }
    }
    var socket = try NetlinkSocket(.netfilter)
    try socket.commit(transaction)
  }
}

import CLinux
import Kernel

/// A tracked connection, as much of it as is needed to find and forget it.
public struct TrackedConnection: Sendable, Equatable {
  /// IPPROTO_…
  public let transport: UInt8
  /// Who answers: of a connection to a published port, the container.
  public let replySource: IPAddress
  /// 0 for transports without ports.
  public let replySourcePort: UInt16
  /// The tuple of the first packet, as the kernel encoded it, which names the connection.
  let original: [UInt8]
  let zone: [UInt8]?

  init?(_ message: NetlinkMessage) throws(NetlinkError) {
    let attributes = try message.attributes(after: 4)
    guard let original = attributes[Int(CTA_TUPLE_ORIG.rawValue)],
      let reply = try attributes.nested(Int(CTA_TUPLE_REPLY.rawValue)),
      let addresses = try reply.nested(Int(CTA_TUPLE_IP.rawValue)),
      let address = addresses[Int(CTA_IP_V4_SRC.rawValue)].flatMap({ IPv4Address(network: $0) }).map(IPAddress.v4)
        ?? addresses[Int(CTA_IP_V6_SRC.rawValue)].flatMap({ IPv6Address(network: $0) }).map(IPAddress.v6),
      let ports = try reply.nested(Int(CTA_TUPLE_PROTO.rawValue)),
      let transport: UInt8 = ports.host(Int(CTA_PROTO_NUM.rawValue))
    else { return nil }
    replySourcePort = ports.network(Int(CTA_PROTO_SRC_PORT.rawValue)) ?? 0
    self.transport = transport
    replySource = address
    self.original = Array(original)
    zone = attributes[Int(CTA_ZONE.rawValue)].map { Array($0) }
  }
}

extension NetlinkSocket {
  /// The connections of one family in this socket's namespace. For a netfilter socket.
  public mutating func connections(v6: Bool = false) throws(NetlinkError) -> [TrackedConnection] {
    var batch = NetlinkBatch()
    batch.message(
      1 << 8 | Int(IPCTNL_MSG_CT_GET.rawValue), flags: dumpFlags,
      header: NftTransaction.header(UInt8(v6 ? AF_INET6 : AF_INET)), "list",
      "connections")
    var result: [TrackedConnection] = []
    for message in try query(batch) {
      if let connection = try TrackedConnection(message) { result.append(connection) }
    }
    return result
  }

  /// Forgets a connection; its next packet is a new one's first. One that has gone meanwhile is no error.
  public mutating func forget(_ connection: TrackedConnection) throws(NetlinkError) {
    var batch = NetlinkBatch()
    batch.message(
      1 << 8 | Int(IPCTNL_MSG_CT_DELETE.rawValue), flags: 0,
      header: NftTransaction.header(UInt8(connection.replySource.isV6 ? AF_INET6 : AF_INET)),
      "forget connection",
      "to \(connection.replySource)"
    ) { batch in
      batch.attribute(Int(CTA_TUPLE_ORIG.rawValue) | Int(NLA_F_NESTED), connection.original)
      if let zone = connection.zone { batch.attribute(Int(CTA_ZONE.rawValue), zone) }
    }
    do throws(NetlinkError) { try execute(batch) } catch {
      if error.errno.rawValue != ENOENT { throw error }
    }
  }
}

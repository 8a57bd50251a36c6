import CLinux
import Kernel

/// A tracked connection, as much of it as is needed to find and forget it.
public struct TrackedConnection: Sendable, Equatable {
  /// IPPROTO_…
  public let transport: UInt8
  /// Who answers: of a connection to a published port, the container.
  public let replySource: IPv4Address
  /// The tuple of the first packet, as the kernel encoded it, which names the connection.
  let original: [UInt8]
  let zone: [UInt8]?

  init?(_ message: NetlinkMessage) throws(NetlinkError) {
    let attributes = try message.attributes(after: 4)
    guard let original = attributes[Int(CTA_TUPLE_ORIG.rawValue)],
      let reply = try attributes.nested(Int(CTA_TUPLE_REPLY.rawValue)),
      let address = try reply.nested(Int(CTA_TUPLE_IP.rawValue))?[Int(CTA_IP_V4_SRC.rawValue)].flatMap({
        IPv4Address(network: $0)
      }),
      let transport: UInt8 = try reply.nested(Int(CTA_TUPLE_PROTO.rawValue))?.host(Int(CTA_PROTO_NUM.rawValue))
    else { return nil }
    self.transport = transport
    replySource = address
    self.original = Array(original)
    zone = attributes[Int(CTA_ZONE.rawValue)].map { Array($0) }
  }
}

extension NetlinkSocket {
  /// The IPv4 connections of this socket's namespace. For a netfilter socket.
  public mutating func connections() throws(NetlinkError) -> [TrackedConnection] {
    var batch = NetlinkBatch()
    batch.message(
      1 << 8 | Int(IPCTNL_MSG_CT_GET.rawValue), flags: dumpFlags, header: NftTransaction.header(UInt8(AF_INET)), "list",
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
      1 << 8 | Int(IPCTNL_MSG_CT_DELETE.rawValue), flags: 0, header: NftTransaction.header(UInt8(AF_INET)),
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

import CLinux

/// A chain as the kernel tells of it.
public struct NftChain: Sendable, Equatable {
  public let family: UInt8
  public let table: String
  public let name: String
  /// Of a base chain: NF_INET_…; nil for others.
  public let hook: UInt32?
  /// Of a base chain: 0 drop, 1 accept.
  public let policy: UInt32?
  /// Its rules, and the jumps to it.
  public let uses: UInt32
}

/// What a notice of the group NFNLGRP_NFTABLES tells.
public enum NftNotice: Sendable, Equatable {
  /// Something was taken out of a table, or the table itself.
  case removed(family: UInt8, table: String)
  case other

  public init(_ message: NetlinkMessage) throws(NetlinkError) {
    self = .other
    let removals = [NFT_MSG_DELTABLE, NFT_MSG_DELCHAIN, NFT_MSG_DELRULE, NFT_MSG_DELSET, NFT_MSG_DELSETELEM]
    guard removals.contains(where: { NftTransaction.type($0) == Int(message.type) }) else { return }
    guard let family = message.payload.first else { throw .malformed("nf_tables notice") }
    // the table's name is attribute 1 in all five
    guard let table = try message.attributes(after: 4).string(1) else { return }
    self = .removed(family: family, table: table)
  }
}

extension NetlinkSocket {
  /// The chains of all tables of all families.
  public mutating func chains() throws(NetlinkError) -> [NftChain] {
    var batch = NetlinkBatch()
    batch.message(
      NftTransaction.type(NFT_MSG_GETCHAIN), flags: dumpFlags, header: NftTransaction.header(0), "list", "chains")
    var result: [NftChain] = []
    for message in try query(batch) where Int(message.type) == NftTransaction.type(NFT_MSG_NEWCHAIN) {
      let attributes = try message.attributes(after: 4)
      guard let family = message.payload.first, let table = attributes.string(Int(NFTA_CHAIN_TABLE.rawValue)),
        let name = attributes.string(Int(NFTA_CHAIN_NAME.rawValue))
      else { throw .malformed("chain") }
      let hook = try attributes.nested(Int(NFTA_CHAIN_HOOK.rawValue))
      result.append(
        NftChain(
          family: family, table: table, name: name, hook: hook?.network(Int(NFTA_HOOK_HOOKNUM.rawValue)),
          policy: attributes.network(Int(NFTA_CHAIN_POLICY.rawValue)),
          uses: attributes.network(Int(NFTA_CHAIN_USE.rawValue)) ?? 0))
    }
    return result
  }

  /// The names of the tables of a family.
  public mutating func tables(_ family: NftTransaction.Family) throws(NetlinkError) -> [String] {
    var batch = NetlinkBatch()
    batch.message(
      NftTransaction.type(NFT_MSG_GETTABLE), flags: dumpFlags, header: NftTransaction.header(family.rawValue), "list",
      "tables")
    var result: [String] = []
    for message in try query(batch) where Int(message.type) == NftTransaction.type(NFT_MSG_NEWTABLE) {
      if let name = try message.attributes(after: 4).string(Int(NFTA_TABLE_NAME.rawValue)) { result.append(name) }
    }
    return result
  }
}

import CLinux

/// Changes to nf_tables that take effect together or not at all (nfnetlink batch, Linux 3.18).
public struct NftTransaction: Sendable {
  /// NFPROTO_…
  public enum Family: UInt8, Sendable {
    /// IPv4 and IPv6.
    case inet = 1
    case ip = 2
    case ip6 = 10
  }

  static let frame = "nf_tables transaction"
  private var batch = NetlinkBatch()

  public init() {
    batch.message(0x10, flags: 0, header: Self.header(0, resource: 10), Self.frame, "")  // NFNL_MSG_BATCH_BEGIN
  }

  /// Nothing was added yet.
  public var isEmpty: Bool { batch.messages.count <= 1 }

  /// The batch with its closing frame.
  func closed() -> NetlinkBatch {
    var result = batch
    result.message(0x11, flags: 0, header: Self.header(0, resource: 10), Self.frame, "")  // NFNL_MSG_BATCH_END
    return result
  }

  /// struct nfgenmsg: family, version, resource in network order.
  static func header(_ family: UInt8, resource: UInt16 = 0) -> nfgenmsg {
    nfgenmsg(nfgen_family: family, version: 0, res_id: resource.bigEndian)
  }

  /// The message's type: subsystem 10 (NFNL_SUBSYS_NFTABLES) in the upper byte.
  static func type(_ message: nf_tables_msg_types) -> Int { 10 << 8 | Int(message.rawValue) }

  mutating func add(
    _ type: nf_tables_msg_types, flags: Int32, _ family: Family, _ operation: String, _ object: String,
    _ body: (inout NetlinkBatch) -> Void
  ) {
    batch.message(Self.type(type), flags: flags, header: Self.header(family.rawValue), operation, object, body)
  }

  /// A table; one of that name that exists is left as it is.
  public mutating func addTable(_ family: Family, _ name: String) {
    add(NFT_MSG_NEWTABLE, flags: NLM_F_CREATE, family, "add table", name) { batch in
      batch.attribute(Int(NFTA_TABLE_NAME.rawValue), string: name)
    }
  }

  /// A table with all that is in it. ENOENT when there is none.
  public mutating func deleteTable(_ family: Family, _ name: String) {
    add(NFT_MSG_DELTABLE, flags: 0, family, "delete table", name) { batch in
      batch.attribute(Int(NFTA_TABLE_NAME.rawValue), string: name)
    }
  }

  /// Where a base chain hangs, and when (`priority`, lower first).
  public struct Hook: Sendable {
    /// NF_INET_…
    public enum Place: UInt32, Sendable {
      case prerouting = 0
      case input = 1
      case forward = 2
      case output = 3
      case postrouting = 4
    }
    public enum Kind: String, Sendable {
      case filter
      case nat
    }
    public var kind: Kind
    public var place: Place
    public var priority: Int32

    public init(_ kind: Kind, _ place: Place, priority: Int32) {
      self.kind = kind
      self.place = place
      self.priority = priority
    }
  }

  /// A chain: a base chain with policy accept when it has a hook, else one to jump to.
  public mutating func addChain(_ family: Family, table: String, _ name: String, hook: Hook? = nil) {
    add(NFT_MSG_NEWCHAIN, flags: NLM_F_CREATE, family, "add chain", "\(table) \(name)") { batch in
      batch.attribute(Int(NFTA_CHAIN_TABLE.rawValue), string: table)
      batch.attribute(Int(NFTA_CHAIN_NAME.rawValue), string: name)
      guard let hook else { return }
      batch.attribute(Int(NFTA_CHAIN_TYPE.rawValue), string: hook.kind.rawValue)
      batch.attribute(Int(NFTA_CHAIN_POLICY.rawValue), network: UInt32(NF_ACCEPT))
      batch.nested(Int(NFTA_CHAIN_HOOK.rawValue), flagged: true) { place in
        place.attribute(Int(NFTA_HOOK_HOOKNUM.rawValue), network: hook.place.rawValue)
        place.attribute(Int(NFTA_HOOK_PRIORITY.rawValue), network: hook.priority)
      }
    }
  }

  /// Appends a rule.
  public mutating func addRule(_ family: Family, table: String, chain: String, _ expressions: [NftExpression]) {
    add(NFT_MSG_NEWRULE, flags: NLM_F_CREATE | Int32(NLM_F_APPEND), family, "add rule", "\(table) \(chain)") { batch in
      batch.attribute(Int(NFTA_RULE_TABLE.rawValue), string: table)
      batch.attribute(Int(NFTA_RULE_CHAIN.rawValue), string: chain)
      batch.nested(Int(NFTA_RULE_EXPRESSIONS.rawValue), flagged: true) { list in
        for expression in expressions {
          list.nested(Int(NFTA_LIST_ELEM.rawValue), flagged: true) { expression.encode(into: &$0) }
        }
      }
    }
  }
}

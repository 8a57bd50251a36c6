import CLinux

/// An instruction of a rule. Registers are of 32 bits, numbered from 0 here; a field shorter than that fills its first bytes.
public enum NftExpression: Sendable {
  public enum Meta: UInt32, Sendable {
    /// NFPROTO_…, one byte: in tables of the family inet.
    case family = 15
    /// Names, 16 bytes.
    case inputName = 6
    case outputName = 7
    /// One byte.
    case transport = 16
  }
  public enum Header: UInt32, Sendable {
    case network = 1
    case transport = 2
  }
  public enum Verdict: Sendable {
    case accept
    case drop
    case returns
    case jump(String)
  }
  public enum Conntrack: UInt32, Sendable {
    /// 4 bytes, machine's order: bit 1 established, bit 2 related.
    case state = 0
    /// 4 bytes, machine's order: bit 5 DNAT (IPS_DST_NAT).
    case status = 2
  }

  case meta(Meta, to: UInt32)
  case payload(Header, offset: UInt32, length: UInt32, to: UInt32)
  case compare(UInt32, equal: Bool, [UInt8])
  /// `register & mask`, both of the mask's length.
  case mask(UInt32, [UInt8])
  case conntrack(Conntrack, to: UInt32)
  /// What the destination address is (`fib daddr type`): RTN_LOCAL is 2; 4 bytes, machine's order.
  case destinationType(to: UInt32)
  /// The interface by which an answer to the packet's source would leave, if that's the one it came in by, else 0 (`fib saddr . iif
  /// oif`); 4 bytes, machine's order. What IPv6 asks its neighbours is never 0.
  case wayBack(to: UInt32)
  /// Looks the key up in a map; the rule ends when it isn't there.
  case lookup(map: String, key: UInt32, data: UInt32)
  /// The rule ends unless the key is in the set, or with `inverted` if it is.
  case contains(set: String, key: UInt32, inverted: Bool)
  case destinationNAT(NftTransaction.Family, address: UInt32, port: UInt32)
  /// Writes a register into the transport header, with its checksum (of 16 bits, at `checksum`) kept right.
  case write(offset: UInt32, length: UInt32, from: UInt32, checksum: UInt32)
  case immediate([UInt8], to: UInt32)
  case masquerade
  case verdict(Verdict)
  case counter

  private static func register(_ index: UInt32) -> UInt32 { 8 + index }  // NFT_REG32_00

  var name: String {
    switch self {
    case .meta: "meta"
    case .payload: "payload"
    case .compare: "cmp"
    case .mask: "bitwise"
    case .conntrack: "ct"
    case .destinationType, .wayBack: "fib"
    case .lookup, .contains: "lookup"
    case .write: "payload"
    case .immediate: "immediate"
    case .destinationNAT: "nat"
    case .masquerade: "masq"
    case .verdict: "immediate"
    case .counter: "counter"
    }
  }

  func encode(into batch: inout NetlinkBatch) {
    batch.attribute(Int(NFTA_EXPR_NAME.rawValue), string: name)
    batch.nested(Int(NFTA_EXPR_DATA.rawValue), flagged: true) { encodeData(into: &$0) }
  }

  private func encodeData(into data: inout NetlinkBatch) {
    switch self {
    case .meta(let key, let register):
      data.attribute(Int(NFTA_META_KEY.rawValue), network: key.rawValue)
      data.attribute(Int(NFTA_META_DREG.rawValue), network: Self.register(register))
    case .payload(let header, let offset, let length, let register):
      data.attribute(Int(NFTA_PAYLOAD_DREG.rawValue), network: Self.register(register))
      data.attribute(Int(NFTA_PAYLOAD_BASE.rawValue), network: header.rawValue)
      data.attribute(Int(NFTA_PAYLOAD_OFFSET.rawValue), network: offset)
      data.attribute(Int(NFTA_PAYLOAD_LEN.rawValue), network: length)
    case .compare(let register, let equal, let value):
      data.attribute(Int(NFTA_CMP_SREG.rawValue), network: Self.register(register))
      data.attribute(Int(NFTA_CMP_OP.rawValue), network: UInt32(equal ? NFT_CMP_EQ.rawValue : NFT_CMP_NEQ.rawValue))
      data.nested(Int(NFTA_CMP_DATA.rawValue), flagged: true) { $0.attribute(Int(NFTA_DATA_VALUE.rawValue), value) }
    case .mask(let register, let mask):
      data.attribute(Int(NFTA_BITWISE_SREG.rawValue), network: Self.register(register))
      data.attribute(Int(NFTA_BITWISE_DREG.rawValue), network: Self.register(register))
      data.attribute(Int(NFTA_BITWISE_LEN.rawValue), network: UInt32(mask.count))
      data.nested(Int(NFTA_BITWISE_MASK.rawValue), flagged: true) { $0.attribute(Int(NFTA_DATA_VALUE.rawValue), mask) }
      data.nested(Int(NFTA_BITWISE_XOR.rawValue), flagged: true) {
        $0.attribute(Int(NFTA_DATA_VALUE.rawValue), [UInt8](repeating: 0, count: mask.count))
      }
    case .conntrack(let key, let register):
      data.attribute(Int(NFTA_CT_DREG.rawValue), network: Self.register(register))
      data.attribute(Int(NFTA_CT_KEY.rawValue), network: key.rawValue)
    case .destinationType(let register):
      data.attribute(Int(NFTA_FIB_DREG.rawValue), network: Self.register(register))
      data.attribute(Int(NFTA_FIB_RESULT.rawValue), network: NFT_FIB_RESULT_ADDRTYPE.rawValue)
      data.attribute(Int(NFTA_FIB_FLAGS.rawValue), network: NFTA_FIB_F_DADDR.rawValue)
    case .wayBack(let register):
      data.attribute(Int(NFTA_FIB_DREG.rawValue), network: Self.register(register))
      data.attribute(Int(NFTA_FIB_RESULT.rawValue), network: NFT_FIB_RESULT_OIF.rawValue)
      data.attribute(Int(NFTA_FIB_FLAGS.rawValue), network: NFTA_FIB_F_SADDR.rawValue | NFTA_FIB_F_IIF.rawValue)
    case .lookup(let map, let key, let value):
      data.attribute(Int(NFTA_LOOKUP_SET.rawValue), string: map)
      data.attribute(Int(NFTA_LOOKUP_SREG.rawValue), network: Self.register(key))
      data.attribute(Int(NFTA_LOOKUP_DREG.rawValue), network: Self.register(value))
    case .contains(let set, let key, let inverted):
      data.attribute(Int(NFTA_LOOKUP_SET.rawValue), string: set)
      data.attribute(Int(NFTA_LOOKUP_SREG.rawValue), network: Self.register(key))
      if inverted { data.attribute(Int(NFTA_LOOKUP_FLAGS.rawValue), network: UInt32(NFT_LOOKUP_F_INV.rawValue)) }
    case .write(let offset, let length, let register, let checksum):
      data.attribute(Int(NFTA_PAYLOAD_SREG.rawValue), network: Self.register(register))
      data.attribute(Int(NFTA_PAYLOAD_BASE.rawValue), network: Header.transport.rawValue)
      data.attribute(Int(NFTA_PAYLOAD_OFFSET.rawValue), network: offset)
      data.attribute(Int(NFTA_PAYLOAD_LEN.rawValue), network: length)
      data.attribute(Int(NFTA_PAYLOAD_CSUM_TYPE.rawValue), network: NFT_PAYLOAD_CSUM_INET.rawValue)
      data.attribute(Int(NFTA_PAYLOAD_CSUM_OFFSET.rawValue), network: checksum)
    case .immediate(let value, let register):
      data.attribute(Int(NFTA_IMMEDIATE_DREG.rawValue), network: Self.register(register))
      data.nested(Int(NFTA_IMMEDIATE_DATA.rawValue), flagged: true) {
        $0.attribute(Int(NFTA_DATA_VALUE.rawValue), value)
      }
    case .destinationNAT(let family, let address, let port):
      data.attribute(Int(NFTA_NAT_TYPE.rawValue), network: NFT_NAT_DNAT.rawValue)
      data.attribute(Int(NFTA_NAT_FAMILY.rawValue), network: UInt32(family.rawValue))
      data.attribute(Int(NFTA_NAT_REG_ADDR_MIN.rawValue), network: Self.register(address))
      data.attribute(Int(NFTA_NAT_REG_PROTO_MIN.rawValue), network: Self.register(port))
    case .masquerade, .counter: break
    case .verdict(let verdict):
      data.attribute(Int(NFTA_IMMEDIATE_DREG.rawValue), network: NFT_REG_VERDICT.rawValue)
      data.nested(Int(NFTA_IMMEDIATE_DATA.rawValue), flagged: true) { value in
        value.nested(Int(NFTA_DATA_VERDICT.rawValue), flagged: true) { code in
          switch verdict {
          case .accept: code.attribute(Int(NFTA_VERDICT_CODE.rawValue), network: Int32(NF_ACCEPT))
          case .drop: code.attribute(Int(NFTA_VERDICT_CODE.rawValue), network: Int32(NF_DROP))
          case .returns: code.attribute(Int(NFTA_VERDICT_CODE.rawValue), network: NFT_RETURN.rawValue)
          case .jump(let chain):
            code.attribute(Int(NFTA_VERDICT_CODE.rawValue), network: NFT_JUMP.rawValue)
            code.attribute(Int(NFTA_VERDICT_CHAIN.rawValue), string: chain)
          }
        }
      }
    }
  }
}

extension NftExpression {
  /// An interface's name as the kernel compares it: 16 bytes.
  public static func name(_ name: String) -> [UInt8] {
    let bytes = Array(name.utf8.prefix(Netlink.nameLimit))
    return bytes + [UInt8](repeating: 0, count: 16 - bytes.count)
  }

  /// `iifname name` or `!=`.
  public static func input(_ name: String, equal: Bool = true) -> [NftExpression] {
    [.meta(.inputName, to: 0), .compare(0, equal: equal, Self.name(name))]
  }
  /// `oifname name` or `!=`.
  public static func output(_ name: String, equal: Bool = true) -> [NftExpression] {
    [.meta(.outputName, to: 0), .compare(0, equal: equal, Self.name(name))]
  }

  /// `ip saddr subnet`.
  public static func source(_ subnet: IPv4Subnet) -> [NftExpression] { address(offset: 12, subnet) }
  /// `ip daddr subnet`.
  public static func destination(_ subnet: IPv4Subnet) -> [NftExpression] { address(offset: 16, subnet) }

  private static func address(offset: UInt32, _ subnet: IPv4Subnet) -> [NftExpression] {
    [
      .payload(.network, offset: offset, length: 4, to: 0), .mask(0, IPv4Address(bits: subnet.mask).bytes),
      .compare(0, equal: true, subnet.network.bytes),
    ]
  }

  /// `ip6 saddr subnet`.
  public static func source(_ subnet: IPv6Subnet) -> [NftExpression] { address(offset: 8, subnet) }
  /// `ip6 daddr subnet`.
  public static func destination(_ subnet: IPv6Subnet) -> [NftExpression] { address(offset: 24, subnet) }

  private static func address(offset: UInt32, _ subnet: IPv6Subnet) -> [NftExpression] {
    [
      .payload(.network, offset: offset, length: 16, to: 0), .mask(0, subnet.mask.bytes),
      .compare(0, equal: true, subnet.network.bytes),
    ]
  }

  /// `meta nfproto`: in tables of the family inet, before anything of the network header is read.
  public static func family(_ family: NftTransaction.Family) -> [NftExpression] {
    [.meta(.family, to: 0), .compare(0, equal: true, [family.rawValue])]
  }

  /// `iifname @set`, `oifname @set`, or not in it.
  public static func input(in set: String, inverted: Bool = false) -> [NftExpression] {
    [.meta(.inputName, to: 0), .contains(set: set, key: 0, inverted: inverted)]
  }
  public static func output(in set: String, inverted: Bool = false) -> [NftExpression] {
    [.meta(.outputName, to: 0), .contains(set: set, key: 0, inverted: inverted)]
  }
  /// `iifname . oifname @set`.
  public static func path(in set: String) -> [NftExpression] {
    [.meta(.inputName, to: 0), .meta(.outputName, to: 4), .contains(set: set, key: 0, inverted: false)]
  }

  /// `fib saddr . iif oif missing`: the source can't be where the packet came from.
  public static let isSpoofed: [NftExpression] = [.wayBack(to: 0), .compare(0, equal: true, [0, 0, 0, 0])]

  /// `ct status dnat`: the packet's connection goes to an address that a rule put there.
  public static let isDestinationNATed: [NftExpression] = bits(.status, 0x20)
  /// `ct state established,related`.
  public static let isEstablished: [NftExpression] = bits(.state, 0x06)

  private static func bits(_ key: Conntrack, _ bits: UInt32) -> [NftExpression] {
    [
      .conntrack(key, to: 0), .mask(0, withUnsafeBytes(of: bits) { Array($0) }),
      .compare(0, equal: false, [0, 0, 0, 0]),
    ]
  }
}

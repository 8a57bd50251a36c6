import CLinux

/// A map of nf_tables, or with no value a set: keys and values are concatenations of fields, each padded to a multiple of four bytes.
public struct NftMap: Sendable {
  /// nft's numbers of types, which only `nft list` reads, with the bytes of each.
  public enum Field: UInt32, Sendable {
    case ipv4Address = 7
    case ipv6Address = 8
    case transport = 12
    case port = 13
    case interface = 41

    var length: UInt32 {
      switch self {
      case .ipv4Address: 4
      case .ipv6Address, .interface: 16
      case .transport: 1
      case .port: 2
      }
    }
    /// Its place in a concatenation.
    var padded: UInt32 { (length + 3) & ~3 }
  }

  public var name: String
  public var key: [Field]
  public var value: [Field]

  public init(_ name: String, key: [Field], value: [Field]) {
    self.name = name
    self.key = key
    self.value = value
  }

  static func type(_ fields: [Field]) -> UInt32 { fields.reduce(0) { $0 << 6 | $1.rawValue } }
  static func length(_ fields: [Field]) -> UInt32 {
    fields.count == 1 ? fields[0].length : fields.reduce(0) { $0 + $1.padded }
  }

  public struct Element: Sendable, Hashable {
    public var key: [UInt8]
    public var value: [UInt8]

    public init(key: [UInt8], value: [UInt8]) {
      self.key = key
      self.value = value
    }
  }

  /// Bytes of a field for a key or a value.
  public static func address(_ address: IPv4Address) -> [UInt8] { address.bytes }
  public static func address(_ address: IPv6Address) -> [UInt8] { address.bytes }
  public static func port(_ port: UInt16) -> [UInt8] { [UInt8(port >> 8), UInt8(port & 255), 0, 0] }
  public static func transport(_ number: UInt8) -> [UInt8] { [number, 0, 0, 0] }
}

extension NftTransaction {
  /// `id`: any number of this transaction's own.
  public mutating func addMap(_ family: Family, table: String, _ map: NftMap, id: UInt32) {
    add(NFT_MSG_NEWSET, flags: NLM_F_CREATE, family, "add map", "\(table) \(map.name)") { batch in
      batch.attribute(Int(NFTA_SET_TABLE.rawValue), string: table)
      batch.attribute(Int(NFTA_SET_NAME.rawValue), string: map.name)
      let isMap = !map.value.isEmpty
      batch.attribute(Int(NFTA_SET_FLAGS.rawValue), network: isMap ? NFT_SET_MAP.rawValue : 0)
      batch.attribute(Int(NFTA_SET_KEY_TYPE.rawValue), network: NftMap.type(map.key))
      batch.attribute(Int(NFTA_SET_KEY_LEN.rawValue), network: NftMap.length(map.key))
      if isMap {
        batch.attribute(Int(NFTA_SET_DATA_TYPE.rawValue), network: NftMap.type(map.value))
        batch.attribute(Int(NFTA_SET_DATA_LEN.rawValue), network: NftMap.length(map.value))
      }
      batch.attribute(Int(NFTA_SET_ID.rawValue), network: id)
      // for `nft list` alone: names are in the machine's order (NFTNL_UDATA_SET_KEYBYTEORDER, 4 bytes, host)
      if map.key == [.interface] { batch.attribute(Int(NFTA_SET_USERDATA.rawValue), [0, 4, 1, 0, 0, 0] as [UInt8]) }
    }
  }

  /// EEXIST when a key is there with another value.
  public mutating func addElements(_ family: Family, table: String, map: String, _ elements: [NftMap.Element]) {
    change(
      NFT_MSG_NEWSETELEM, flags: NLM_F_CREATE | NLM_F_EXCL, "add elements", family, table: table, map: map, elements)
  }

  /// ENOENT when a key isn't there.
  public mutating func deleteElements(_ family: Family, table: String, map: String, _ elements: [NftMap.Element]) {
    change(NFT_MSG_DELSETELEM, flags: 0, "delete elements", family, table: table, map: map, elements)
  }

  private mutating func change(
    _ type: nf_tables_msg_types, flags: Int32, _ operation: String, _ family: Family, table: String, map: String,
    _ elements: [NftMap.Element]
  ) {
    // the list's length has 16 bits; an element takes some 60 bytes
    var rest = elements[...]
    while !rest.isEmpty {
      let part = rest.prefix(500)
      rest = rest.dropFirst(500)
      add(type, flags: flags, family, operation, "\(table) \(map)") { batch in
        batch.attribute(Int(NFTA_SET_ELEM_LIST_TABLE.rawValue), string: table)
        batch.attribute(Int(NFTA_SET_ELEM_LIST_SET.rawValue), string: map)
        batch.nested(Int(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue), flagged: true) { list in
          for element in part {
            list.nested(Int(NFTA_LIST_ELEM.rawValue), flagged: true) { entry in
              entry.nested(Int(NFTA_SET_ELEM_KEY.rawValue), flagged: true) {
                $0.attribute(Int(NFTA_DATA_VALUE.rawValue), element.key)
              }
              if !element.value.isEmpty {
                entry.nested(Int(NFTA_SET_ELEM_DATA.rawValue), flagged: true) {
                  $0.attribute(Int(NFTA_DATA_VALUE.rawValue), element.value)
                }
              }
            }
          }
        }
      }
    }
  }
}

extension NetlinkSocket {
  /// All elements of a map. ENOENT when table or map aren't there.
  public mutating func elements(_ family: NftTransaction.Family, table: String, map: String) throws(NetlinkError)
    -> [NftMap.Element]
  {
    var batch = NetlinkBatch()
    batch.message(
      NftTransaction.type(NFT_MSG_GETSETELEM), flags: dumpFlags, header: NftTransaction.header(family.rawValue),
      "list elements",
      "\(table) \(map)"
    ) { batch in
      batch.attribute(Int(NFTA_SET_ELEM_LIST_TABLE.rawValue), string: table)
      batch.attribute(Int(NFTA_SET_ELEM_LIST_SET.rawValue), string: map)
    }
    var result: [NftMap.Element] = []
    for message in try query(batch) where Int(message.type) == NftTransaction.type(NFT_MSG_NEWSETELEM) {
      let attributes = try message.attributes(after: 4)
      guard let list = try attributes.nested(Int(NFTA_SET_ELEM_LIST_ELEMENTS.rawValue)) else { continue }
      for entry in list.entries {
        let fields = try NetlinkAttributes(entry.payload)
        guard let key = try fields.nested(Int(NFTA_SET_ELEM_KEY.rawValue))?[Int(NFTA_DATA_VALUE.rawValue)]
        else { throw .malformed("set element") }
        // a set's elements have no value
        let value = try fields.nested(Int(NFTA_SET_ELEM_DATA.rawValue))?[Int(NFTA_DATA_VALUE.rawValue)] ?? []
        result.append(NftMap.Element(key: Array(key), value: Array(value)))
      }
    }
    return result
  }
}

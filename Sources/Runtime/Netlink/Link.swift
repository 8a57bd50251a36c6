import CLinux
import Kernel

/// An interface as RTM_GETLINK tells of it.
public struct Link: Sendable, Equatable {
  public let index: Int32
  public let name: String
  /// IFF_UP, …
  public let flags: UInt32
  public let mtu: UInt32
  public let hardwareAddress: HardwareAddress?
  /// Index of the bridge that it is a port of; 0: none.
  public let master: Int32
  /// Of a veth, in its own namespace: the other end's index. Of a macvlan: its parent's. 0: none.
  public let peer: Int32
  /// `bridge`, `veth`, … (IFLA_INFO_KIND); empty for plain devices.
  public let kind: String
  /// A number that whoever made it gave it (IFLA_GROUP); 0 by default.
  public let group: UInt32
  public let counters: LinkCounters

  /// A notice of the bridge about its port (AF_BRIDGE), not of the link itself.
  public let isBridgePortNotice: Bool

  public var isUp: Bool { flags & 1 != 0 }

  /// From RTM_NEWLINK and RTM_DELLINK; nil for other messages.
  public init?(_ message: NetlinkMessage) throws(NetlinkError) {
    guard Int(message.type) == RTM_NEWLINK || Int(message.type) == RTM_DELLINK else { return nil }
    let attributes = try message.attributes(after: MemoryLayout<ifinfomsg>.size)
    guard let index = message.payload.integer(Int32.self, at: 4),
      let flags = message.payload.integer(UInt32.self, at: 8),
      let name = attributes.string(Int(IFLA_IFNAME))
    else { throw .malformed("link") }
    isBridgePortNotice = message.payload.first == UInt8(AF_BRIDGE)
    self.index = index
    self.flags = flags
    self.name = name
    mtu = attributes.host(Int(IFLA_MTU)) ?? 0
    hardwareAddress = attributes[Int(IFLA_ADDRESS)].flatMap { HardwareAddress(bytes: $0) }
    master = attributes.host(Int(IFLA_MASTER)) ?? 0
    peer = attributes.host(Int(IFLA_LINK)) ?? 0
    kind = try attributes.nested(Int(IFLA_LINKINFO))?.string(Int(IFLA_INFO_KIND)) ?? ""
    group = attributes.host(Int(IFLA_GROUP)) ?? 0
    counters = attributes[Int(IFLA_STATS64)].map { LinkCounters($0) } ?? LinkCounters([])
  }
}

/// struct rtnl_link_stats64, its first eight members.
public struct LinkCounters: Sendable, Equatable {
  public let receivedPackets, sentPackets, receivedBytes, sentBytes: UInt64
  public let receiveErrors, sendErrors, receiveDropped, sendDropped: UInt64

  init(_ bytes: ArraySlice<UInt8>) {
    func word(_ index: Int) -> UInt64 { bytes.integer(UInt64.self, at: index * 8) ?? 0 }
    receivedPackets = word(0)
    sentPackets = word(1)
    receivedBytes = word(2)
    sentBytes = word(3)
    receiveErrors = word(4)
    sendErrors = word(5)
    receiveDropped = word(6)
    sendDropped = word(7)
  }
}

extension NetlinkBatch {
  private static func ifinfo(index: Int32 = 0, flags: UInt32 = 0, change: UInt32 = 0) -> ifinfomsg {
    var header = ifinfomsg()
    header.ifi_family = UInt8(AF_UNSPEC)
    header.ifi_index = index
    header.ifi_flags = flags
    header.ifi_change = change
    return header
  }

  /// A bridge, down, without spanning tree. EEXIST when the name is taken.
  public mutating func addBridge(_ name: String, address: HardwareAddress, mtu: UInt32, group: UInt32 = 0) {
    message(
      Int(RTM_NEWLINK), flags: NLM_F_CREATE | NLM_F_EXCL, header: Self.ifinfo(), "create bridge", name
    ) { batch in
      batch.attribute(Int(IFLA_IFNAME), string: name)
      batch.attribute(Int(IFLA_MTU), host: mtu)
      batch.attribute(Int(IFLA_ADDRESS), address.bytes)
      batch.nested(Int(IFLA_LINKINFO)) { $0.attribute(Int(IFLA_INFO_KIND), Array("bridge".utf8)) }
      if group != 0 { batch.attribute(Int(IFLA_GROUP), host: group) }
    }
  }

  /// A veth: one end here, a port of `master` (0: none) and up; the other in the namespace of that descriptor,
  /// still down: the kernel opens it before the ends know each other (ENOTCONN).
  public mutating func addVeth(
    _ name: String, master: Int32, mtu: UInt32, peer: String, peerAddress: HardwareAddress, peerNamespace: Int32
  ) {
    let up = UInt32(IFF_UP)
    message(
      Int(RTM_NEWLINK), flags: NLM_F_CREATE | NLM_F_EXCL, header: Self.ifinfo(flags: up, change: up), "create veth",
      name
    ) { batch in
      batch.attribute(Int(IFLA_IFNAME), string: name)
      batch.attribute(Int(IFLA_MTU), host: mtu)
      if master != 0 { batch.attribute(Int(IFLA_MASTER), host: master) }
      batch.nested(Int(IFLA_LINKINFO)) { info in
        info.attribute(Int(IFLA_INFO_KIND), Array("veth".utf8))
        info.nested(Int(IFLA_INFO_DATA)) { data in
          data.nested(Int(VETH_INFO_PEER)) { end in
            end.append(Self.ifinfo())
            end.attribute(Int(IFLA_IFNAME), string: peer)
            end.attribute(Int(IFLA_MTU), host: mtu)
            end.attribute(Int(IFLA_ADDRESS), peerAddress.bytes)
            end.attribute(Int(IFLA_NET_NS_FD), host: peerNamespace)
          }
        }
      }
    }
  }

  /// A macvlan of `parent`, an interface here, in the namespace of that descriptor, still down. `mode`: MACVLAN_MODE_…
  public mutating func addMacvlan(
    _ name: String, parent: Int32, mode: UInt32, mtu: UInt32?, address: HardwareAddress?, namespace: Int32?,
    group: UInt32 = 0
  ) {
    message(Int(RTM_NEWLINK), flags: NLM_F_CREATE | NLM_F_EXCL, header: Self.ifinfo(), "create macvlan", name) {
      batch in
      batch.attribute(Int(IFLA_IFNAME), string: name)
      batch.attribute(Int(IFLA_LINK), host: parent)
      if let mtu { batch.attribute(Int(IFLA_MTU), host: mtu) }
      if let address { batch.attribute(Int(IFLA_ADDRESS), address.bytes) }
      if let namespace { batch.attribute(Int(IFLA_NET_NS_FD), host: namespace) }
      if group != 0 { batch.attribute(Int(IFLA_GROUP), host: group) }
      batch.nested(Int(IFLA_LINKINFO)) { info in
        info.attribute(Int(IFLA_INFO_KIND), Array("macvlan".utf8))
        info.nested(Int(IFLA_INFO_DATA)) { $0.attribute(Int(IFLA_MACVLAN_MODE), host: mode) }
      }
    }
  }

  /// Changes an interface by its index: up, address.
  public mutating func setLink(_ index: Int32, up: Bool? = nil, address: HardwareAddress? = nil, name: String = "") {
    let bit = UInt32(IFF_UP)
    let header = Self.ifinfo(index: index, flags: up == true ? bit : 0, change: up == nil ? 0 : bit)
    message(Int(RTM_NEWLINK), flags: 0, header: header, "set link", name.isEmpty ? "\(index)" : name) { batch in
      if let address { batch.attribute(Int(IFLA_ADDRESS), address.bytes) }
    }
  }

  /// Moves an interface into the namespace of that descriptor, under another name there. Its addresses stay behind, and it goes down.
  /// EEXIST when the name is taken there.
  public mutating func moveLink(_ index: Int32, to name: String, namespace: Int32, from oldName: String) {
    message(Int(RTM_NEWLINK), flags: 0, header: Self.ifinfo(index: index), "move link", oldName) { batch in
      batch.attribute(Int(IFLA_IFNAME), string: name)
      batch.attribute(Int(IFLA_NET_NS_FD), host: namespace)
    }
  }

  /// Lets a bridge send a frame back to the port it came from: a container that reaches itself by its published port, where
  /// br_netfilter translates addresses within the bridge.
  ///
  /// `isolated`: it sends no frame to other ports that are isolated too (Linux 4.18), which is Docker's `icc=false`.
  public mutating func setHairpin(_ index: Int32, isolated: Bool = false, name: String = "") {
    var header = Self.ifinfo(index: index)
    header.ifi_family = UInt8(AF_BRIDGE)
    message(Int(RTM_SETLINK), flags: 0, header: header, "set hairpin mode of", name.isEmpty ? "\(index)" : name) {
      batch in
      batch.nested(Int(IFLA_PROTINFO), flagged: true) {
        $0.attribute(Int(IFLA_BRPORT_MODE), host: UInt8(1))
        if isolated { $0.attribute(33, host: UInt8(1)) }  // IFLA_BRPORT_ISOLATED
      }
    }
  }

  /// Costs 20 ms and more, and holds the RTNL lock that long: only for what no namespace takes along when it goes.
  public mutating func deleteLink(_ index: Int32, name: String = "") {
    message(
      Int(RTM_DELLINK), flags: 0, header: Self.ifinfo(index: index), "delete link", name.isEmpty ? "\(index)" : name)
  }

  /// For `query`: one interface by name. ENODEV when there is none.
  public mutating func getLink(_ name: String) {
    message(Int(RTM_GETLINK), flags: 0, header: Self.ifinfo(), "get link", name) { batch in
      batch.attribute(Int(IFLA_IFNAME), string: name)
    }
  }

  /// For `query`: all interfaces.
  public mutating func getLinks() {
    message(Int(RTM_GETLINK), flags: dumpFlags, header: Self.ifinfo(), "list", "links")
  }
}

/// NLM_F_ROOT | NLM_F_MATCH; the header's NLM_F_DUMP is an expression that isn't imported.
let dumpFlags: Int32 = 0x300

extension NetlinkSocket {
  /// An interface of this socket's namespace by name; nil when there is none.
  public mutating func link(named name: String) throws(NetlinkError) -> Link? {
    var batch = NetlinkBatch()
    batch.getLink(name)
    do throws(NetlinkError) {
      for message in try query(batch) {
        if let link = try Link(message) { return link }
      }
      return nil
    } catch {
      if error.errno == .noSuchDevice { return nil }
      throw error
    }
  }

  public mutating func links() throws(NetlinkError) -> [Link] {
    var batch = NetlinkBatch()
    batch.getLinks()
    var result: [Link] = []
    for message in try query(batch) {
      if let link = try Link(message) { result.append(link) }
    }
    return result
  }
}

import CLinux
import Kernel
import Netlink

/// UDP datagrams put on the wire by hand: what an ordinary socket wouldn't send, a hostile neighbour does.
enum Frame {
  /// Sends from `eth0` of the calling thread's namespace to the next hop's hardware address.
  static func send(_ text: String, to address: String, _ port: UInt16, from source: String, via hop: HardwareAddress)
    throws
  {
    var links = try NetlinkSocket(.route)
    guard let link = try links.link(named: "eth0"), let own = link.hardwareAddress, let target = IPv4Address(address),
      let sender = IPv4Address(source)
    else { throw SyscallError("send frame", address, .invalidArgument) }
    let payload = Array(text.utf8)
    func word(_ value: Int) -> [UInt8] { [UInt8(value >> 8 & 255), UInt8(value & 255)] }
    // a checksum of 0 means none, with UDP over IPv4
    let udp = word(40000) + word(Int(port)) + word(8 + payload.count) + word(0) + payload
    var ip: [UInt8] = [0x45, 0] + word(20 + udp.count) + [0, 1, 0, 0, 64, 17, 0, 0] + sender.bytes + target.bytes
    var sum = stride(from: 0, to: 20, by: 2).reduce(0) { $0 + Int(ip[$1]) << 8 + Int(ip[$1 + 1]) }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    ip.replaceSubrange(10..<12, with: word(~sum & 0xffff))
    let frame = hop.bytes + own.bytes + [0x08, 0x00] + ip + udp

    let socket = try Sys.socket(AF_PACKET, Sys.sockRaw, 0)
    var place = sockaddr_ll()
    place.sll_family = UInt16(AF_PACKET)
    place.sll_ifindex = link.index
    place.sll_halen = 6
    try Sys.retrying("sendto", address) {
      withUnsafePointer(to: &place) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(
            socket.raw, frame, frame.count, 0, __CONST_SOCKADDR_ARG(__sockaddr__: $0),
            socklen_t(MemoryLayout<sockaddr_ll>.size))
        }
      }
    }
  }
}

import CLinux
import Kernel
import Netlink

/// A socket bound to a published port, and listened on by nobody but the forwarder: a process of the host that wants the port gets EADDRINUSE, as with
/// Docker, instead of being shadowed by the rule that forwards it. What rules lead elsewhere never reaches it.
///
/// It lives as long as the daemon: while no daemon runs, the port isn't held. Then a process of the host may take it, and the rule
/// wins; the next daemon says so in its log.
final class PortReservation: Sendable {
  /// For the forwarder, which listens on some.
  let socket: SharedDescriptor
  let transport: ContainerPort.Transport
  let address: IPAddress
  let port: UInt16

  /// - Throws: EADDRINUSE, EADDRNOTAVAIL, EMFILE…
  init(_ transport: ContainerPort.Transport, _ address: IPAddress, _ port: UInt16) throws(SyscallError) {
    let family = address.isV6 ? AF_INET6 : AF_INET
    let socket = try Sys.socket(family, transport == .tcp ? Sys.sockStream : Sys.sockDatagram)
    if address.isV6 { try Sys.setOption(socket.raw, level: Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
    // the kernel may lack SCTP sockets and still forward SCTP: nothing holds its ports
    if transport != .sctp {
      do throws(SyscallError) {
        try Sys.bind(socket.raw, address: address.bytes, port: port)
      } catch  where error.errno == .addressInUse {
        // connections of the host's own past in TIME_WAIT are no conflict; a socket that listens still is
        if transport == .tcp { try Sys.setOption(socket.raw, level: SOL_SOCKET, SO_REUSEADDR, 1) }
        // nor is the port's last reservation, of which a shim that is just being started holds a copy
        try Sys.betweenSpawns { () throws(SyscallError) in try Sys.bind(socket.raw, address: address.bytes, port: port)
        }
      }
    }
    self.socket = SharedDescriptor(socket)
    self.transport = transport
    self.address = address
    self.port = port
  }

  func holds(_ mapping: Firewall.Mapping) -> Bool {
    mapping.hostPort == port && mapping.transport == transport && mapping.hostAddress == address
  }
}

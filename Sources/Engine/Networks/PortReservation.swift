import CLinux
import Kernel
import Netlink

/// A socket bound to a published port and never listened on: a process of the host that wants the port gets EADDRINUSE, as with
/// Docker, instead of being shadowed by the rule that forwards it. Packets never reach it.
///
/// It lives as long as the daemon: while no daemon runs, the port isn't held. Then a process of the host may take it, and the rule
/// wins; the next daemon says so in its log.
final class PortReservation: Sendable {
  private let socket: SharedDescriptor

  /// - Throws: EADDRINUSE, EADDRNOTAVAIL, EMFILE…
  init(_ transport: ContainerPort.Transport, _ address: IPv4Address, _ port: UInt16) throws(SyscallError) {
    let socket: Descriptor
    switch transport {
    case .tcp: socket = try Sys.socket(AF_INET, Sys.sockStream)
    case .udp: socket = try Sys.socket(AF_INET, Sys.sockDatagram)
    case .sctp:
      // a raw socket binds to no port: the kernel may lack SCTP sockets and still forward SCTP
      socket = try Sys.socket(AF_INET, Sys.sockDatagram)
      self.socket = SharedDescriptor(socket)
      return
    }
    do throws(SyscallError) {
      try Sys.bind(socket.raw, address: address.bits, port: port)
    } catch  where error.errno == .addressInUse && transport == .tcp {
      // connections of the host's own past in TIME_WAIT are no conflict; a socket that listens still is
      try Sys.setOption(socket.raw, level: SOL_SOCKET, SO_REUSEADDR, 1)
      try Sys.bind(socket.raw, address: address.bits, port: port)
    }
    self.socket = SharedDescriptor(socket)
  }
}

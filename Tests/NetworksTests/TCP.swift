import CLinux
import Kernel
import Netlink

/// Just enough of sockets to see who reaches whom. Every wait ends after two seconds.
enum Peer {
  private static func address(_ text: String, _ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = UInt16(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = (IPv4Address(text)?.bits ?? 0).bigEndian
    return address
  }

  private static func socket(_ type: Int32) throws -> Descriptor {
    let socket = try Sys.socket(AF_INET, type)
    var limit = timeval(tv_sec: 2, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      try Sys.retrying("setsockopt") {
        setsockopt(socket.raw, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
      }
    }
    return socket
  }

  /// A socket that listens on all addresses of the calling thread's namespace.
  static func listen(_ port: UInt16, address: String = "0.0.0.0") throws -> SharedDescriptor {
    let socket = try socket(Sys.sockStream)
    try Sys.setOption(socket.raw, level: SOL_SOCKET, SO_REUSEADDR, 1)
    try Sys.bind(socket.raw, address: IPv4Address(address)?.bits ?? 0, port: port)
    try Sys.listen(socket.raw)
    return SharedDescriptor(socket)
  }

  /// Takes one connection, tells it `name` and answers with the address it came from.
  static func serve(_ listener: SharedDescriptor, _ name: String) throws -> String {
    var peer = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let connection = try Sys.retrying("accept") {
      withUnsafeMutablePointer(to: &peer) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          CLinux.accept(listener.raw, __SOCKADDR_ARG(__sockaddr__: $0), &length)
        }
      }
    }
    let owned = Descriptor(owning: connection)
    try Sys.writeAll(owned.raw, name)
    return IPv4Address(bits: UInt32(bigEndian: peer.sin_addr.s_addr)).description
  }

  /// Connects and gives what it is told.
  static func ask(_ host: String, _ port: UInt16) throws -> String {
    let socket = try socket(Sys.sockStream)
    var target = address(host, port)
    try Sys.retrying("connect", "\(host):\(port)") {
      withUnsafePointer(to: &target) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          CLinux.connect(
            socket.raw, __CONST_SOCKADDR_ARG(__sockaddr__: $0), socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
    return String(decoding: try Sys.readAll(socket.raw), as: UTF8.self)
  }

  /// Waits that long instead of two seconds, for what a busy machine has to do first.
  static func wait(_ socket: Int32, seconds: Int) {
    var limit = timeval(tv_sec: seconds, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  /// Sends until something comes: the first datagrams to a container that has just been plugged in may be lost, as its port of the bridge
  /// isn't forwarding yet.
  static func exchange(_ receiver: SharedDescriptor, _ send: () throws -> Void) throws -> String {
    let deadline = Sys.monotonicNanoseconds() + 20_000_000_000
    while true {
      try send()
      var polled = pollfd(fd: receiver.raw, events: Int16(POLLIN), revents: 0)
      if poll(&polled, 1, 200) > 0 { return try receive(receiver) }
      if Sys.monotonicNanoseconds() > deadline { throw SyscallError("receive", "datagram", .timedOut) }
    }
  }

  static func bindUDP(_ port: UInt16) throws -> SharedDescriptor {
    let socket = try socket(Sys.sockDatagram)
    try Sys.bind(socket.raw, address: 0, port: port)
    return SharedDescriptor(socket)
  }

  /// Sends a datagram from a fixed port.
  static func send(_ text: String, from socket: SharedDescriptor, to host: String, _ port: UInt16) throws {
    var target = address(host, port)
    let bytes = Array(text.utf8)
    try Sys.retrying("sendto", "\(host):\(port)") {
      withUnsafePointer(to: &target) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          sendto(
            socket.raw, bytes, bytes.count, 0, __CONST_SOCKADDR_ARG(__sockaddr__: $0),
            socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
  }

  static func receive(_ socket: SharedDescriptor) throws -> String {
    var bytes = [UInt8](repeating: 0, count: 2048)
    let count = try bytes.withUnsafeMutableBytes { try Sys.read(socket.raw, $0) }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}

/// The same by IPv6.
extension Peer {
  private static func socket6() throws -> Descriptor {
    let socket = try Sys.socket(AF_INET6, Sys.sockStream)
    var limit = timeval(tv_sec: 2, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(socket.raw, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
    }
    return socket
  }

  static func listen6(_ port: UInt16) throws -> SharedDescriptor {
    let socket = try socket6()
    try Sys.setOption(socket.raw, level: SOL_SOCKET, SO_REUSEADDR, 1)
    try Sys.bind(socket.raw, address: [UInt8](repeating: 0, count: 16), port: port)
    try Sys.listen(socket.raw)
    return SharedDescriptor(socket)
  }

  static func serve6(_ listener: SharedDescriptor, _ name: String) throws -> String {
    let connection = try Sys.accept(listener.raw)
    try Sys.writeAll(connection.raw, name)
    return name
  }

  static func ask6(_ host: String, _ port: UInt16) throws -> String {
    let socket = try socket6()
    try Sys.connect(socket.raw, address: IPv6Address(host)?.bytes ?? [], port: port)
    return String(decoding: try Sys.readAll(socket.raw), as: UTF8.self)
  }
}

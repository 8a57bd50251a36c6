public import CLinux

extension Sys {
  /// socket(2), close-on-exec; `type` is SOCK_STREAM, SOCK_SEQPACKET, …, with SOCK_NONBLOCK added when wanted.
  public static func socket(_ domain: Int32, _ type: Int32, _ proto: Int32 = 0) throws(SyscallError) -> Descriptor {
    Descriptor(owning: try retrying("socket") { CLinux.socket(domain, type | sockCloexec, proto) })
  }

  public static let sockStream: Int32 = 1
  public static let sockDatagram: Int32 = 2
  public static let sockRaw: Int32 = 3
  public static let sockSequencedPacket: Int32 = 5
  public static let sockNonBlock: Int32 = 0o4000
  public static let sockCloexec: Int32 = 0o2000000

  /// socketpair(2) of AF_UNIX.
  public static func socketPair(_ type: Int32) throws(SyscallError) -> (Int32, Int32) {
    var pair: (Int32, Int32) = (-1, -1)
    try withUnsafeMutablePointer(to: &pair) { pointer throws(SyscallError) in
      try pointer.withMemoryRebound(to: Int32.self, capacity: 2) { fds throws(SyscallError) in
        _ = try retrying("socketpair") { CLinux.socketpair(AF_UNIX, type | sockCloexec, 0, fds) }
      }
    }
    return pair
  }

  public static func pipe(nonBlocking: Bool = false) throws(SyscallError) -> (read: Int32, write: Int32) {
    var pair: (Int32, Int32) = (-1, -1)
    try withUnsafeMutablePointer(to: &pair) { pointer throws(SyscallError) in
      try pointer.withMemoryRebound(to: Int32.self, capacity: 2) { fds throws(SyscallError) in
        _ = try retrying("pipe2") { pipe2(fds, O_CLOEXEC | (nonBlocking ? O_NONBLOCK : 0)) }
      }
    }
    return pair
  }

  /// Binds a socket to a path; an existing file there is EADDRINUSE.
  public static func bind(_ fd: Int32, path: String) throws(SyscallError) {
    try retrying("bind", path) { cl_bind_unix(fd, path) }
  }

  public static func connect(_ fd: Int32, path: String) throws(SyscallError) {
    try retrying("connect", path) { cl_connect_unix(fd, path) }
  }

  /// A connection to a numeric IPv4 or IPv6 address; EINVAL when it is none.
  public static func connect(address: String, port: UInt16) throws(SyscallError) -> Descriptor {
    Descriptor(owning: try retrying("connect", "\(address):\(port)") { cl_connect_inet(address, port) })
  }

  public static func listen(_ fd: Int32, backlog: Int32 = 128) throws(SyscallError) {
    try retrying("listen", "fd \(fd)") { CLinux.listen(fd, backlog) }
  }

  public static func accept(_ fd: Int32, nonBlocking: Bool = false) throws(SyscallError) -> Descriptor {
    Descriptor(
      owning: try retrying("accept", "fd \(fd)") {
        cl_accept(fd, sockCloexec | (nonBlocking ? sockNonBlock : 0))
      })
  }

  /// One message with up to 16 descriptors beside it; SIGPIPE is never raised.
  @discardableResult
  public static func send(_ fd: Int32, _ bytes: UnsafeRawBufferPointer, descriptors: [Int32] = [], flags: Int32 = 0)
    throws(SyscallError)
    -> Int
  {
    try retrying("sendmsg", "fd \(fd)") {
      cl_send_fds(fd, bytes.baseAddress, bytes.count, descriptors, Int32(descriptors.count), flags)
    }
  }

  /// One message and the descriptors that came with it, which the caller now owns. 0 bytes: the peer is gone.
  public static func receive(_ fd: Int32, _ buffer: UnsafeMutableRawBufferPointer, flags: Int32 = 0)
    throws(SyscallError)
    -> (count: Int, descriptors: [Int32], truncated: Bool)
  {
    var count: Int32 = 0
    var messageFlags: Int32 = 0
    var fds = [Int32](repeating: -1, count: 16)
    let received = try retrying("recvmsg", "fd \(fd)") {
      cl_recv_fds(fd, buffer.baseAddress, buffer.count, &fds, &count, flags, &messageFlags)
    }
    return (received, Array(fds.prefix(Int(count))), messageFlags & 0x28 != 0)  // MSG_TRUNC | MSG_CTRUNC
  }

  public static func peerCredentials(_ fd: Int32) throws(SyscallError) -> (pid: pid_t, uid: uid_t, gid: gid_t) {
    var result: (pid_t, uid_t, gid_t) = (0, 0, 0)
    try retrying("getsockopt SO_PEERCRED", "fd \(fd)") { cl_peer_credentials(fd, &result.0, &result.1, &result.2) }
    return result
  }

  public static func shutdown(_ fd: Int32, _ how: Int32) throws(SyscallError) {
    try retrying("shutdown", "fd \(fd)") { CLinux.shutdown(fd, how) }
  }
}

extension Sys {
  /// Binds an IPv4 socket; `address` in the machine's order, 0 for all; port 0 for any.
  public static func bind(_ fd: Int32, address: UInt32, port: UInt16) throws(SyscallError) {
    try retrying("bind", "port \(port)") { cl_bind_inet(fd, address, port) }
  }

  /// setsockopt(2) with an integer.
  public static func setOption(_ fd: Int32, level: Int32, _ option: Int32, _ value: Int32) throws(SyscallError) {
    var value = value
    try retrying("setsockopt", "\(level)/\(option)") {
      setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
  }
}

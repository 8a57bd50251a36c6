import CLinux
public import Kernel

extension ShimProtocol {
  /// Sends one message and descriptors beside it, without blocking: EAGAIN when the peer doesn't read.
  public static func send(_ message: [UInt8], descriptors: [Int32] = [], on socket: Int32) throws(SyscallError) {
    if message.count <= packetLimit {
      try sendPacket(message, descriptors, socket)
      return
    }
    guard message.count <= messageLimit else {
      throw SyscallError("sendmsg", "fd \(socket)", Errno(rawValue: EMSGSIZE))
    }
    let file = try Sys.memfd("berth-message")
    try Sys.writeAll(file.raw, message)
    try sendPacket([UInt8(ascii: "@")], [file.raw] + descriptors, socket)
  }

  private static func sendPacket(_ bytes: [UInt8], _ descriptors: [Int32], _ socket: Int32) throws(SyscallError) {
    let failure: SyscallError? = bytes.withUnsafeBytes { buffer in
      do throws(SyscallError) {
        try Sys.send(socket, buffer, descriptors: descriptors, flags: Int32(MSG_DONTWAIT))
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }

  /// One message as it came. The descriptors beside it are closed with this value unless they are taken over.
  public struct Received: Sendable {
    public let message: [UInt8]
    public let descriptors: [SharedDescriptor]
  }

  /// Receives one message without blocking, through a buffer of at least `packetLimit` bytes; nil when the peer is
  /// gone. EAGAIN: there is none; EBADMSG: the packet breaks the protocol.
  public static func receive(_ socket: Int32, through buffer: UnsafeMutableRawBufferPointer) throws(SyscallError)
    -> Received?
  {
    let (count, raw, truncated) = try Sys.receive(socket, buffer, flags: Int32(MSG_DONTWAIT))
    var descriptors = raw.map { SharedDescriptor(owning: $0) }
    let malformed = SyscallError("recvmsg", "fd \(socket)", Errno(rawValue: EBADMSG))
    guard !truncated else { throw malformed }
    if count == 0 { return nil }
    let packet = buffer[..<count]
    guard packet.elementsEqual([UInt8(ascii: "@")]) else {
      return Received(message: Array(packet), descriptors: descriptors)
    }
    guard !descriptors.isEmpty else { throw malformed }
    let file = descriptors.removeFirst()
    // Only a regular file can be read without waiting for anyone.
    let status = try Sys.fstat(file.raw)
    guard status.st_mode & mode_t(S_IFMT) == mode_t(S_IFREG), status.st_size <= messageLimit else { throw malformed }
    try Sys.lseek(file.raw, 0, SEEK_SET)
    return Received(message: try Sys.readAll(file.raw, limit: messageLimit), descriptors: descriptors)
  }
}

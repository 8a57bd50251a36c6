import CLinux
import Kernel

/// A netlink socket of the network namespace in which the calling thread was when it was opened.
///
/// Requests are answered before sendmsg(2) returns, apart from dumps, which go on as they are read; so nothing here waits for long.
/// A deadline of five seconds stands against a kernel that doesn't answer.
public struct NetlinkSocket: ~Copyable, Sendable {
  public enum Family: Int32, Sendable {
    /// NETLINK_ROUTE
    case route = 0
    /// NETLINK_NETFILTER
    case netfilter = 12
  }

  private let descriptor: Descriptor
  private var sequence: UInt32 = 0
  private var buffer: [UInt8]
  /// The socket's own number, which notices caused by it bear.
  public let port: UInt32

  public init(_ family: Family) throws(NetlinkError) {
    buffer = [UInt8](repeating: 0, count: 64 << 10)
    do throws(SyscallError) {
      let descriptor = try Sys.socket(AF_NETLINK, Sys.sockRaw, family.rawValue)
      try Sys.retrying("bind", "netlink") { cl_bind_netlink(descriptor.raw, 0) }
      var number: UInt32 = 0
      try Sys.retrying("getsockname", "netlink") { cl_netlink_port(descriptor.raw, &number) }
      try Self.set(descriptor.raw, SOL_NETLINK, 11, 1)  // NETLINK_EXT_ACK, Linux 4.12
      try Self.set(descriptor.raw, SOL_NETLINK, 10, 1)  // NETLINK_CAP_ACK: no copy of the request in an error
      // large batches of elements; FORCE needs CAP_NET_ADMIN, which all else here needs too
      try Self.set(descriptor.raw, SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
      try Self.set(descriptor.raw, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
      var deadline = timeval(tv_sec: 5, tv_usec: 0)
      try Sys.retrying("setsockopt", "SO_RCVTIMEO") {
        setsockopt(descriptor.raw, SOL_SOCKET, SO_RCVTIMEO, &deadline, socklen_t(MemoryLayout<timeval>.size))
      }
      port = number
      self.descriptor = descriptor
    } catch { throw NetlinkError(error) }
  }

  /// For poll(2).
  public var raw: Int32 { descriptor.raw }

  /// Listens to a multicast group (RTNLGRP_…, NFNLGRP_…).
  public func join(_ group: Int32) throws(NetlinkError) {
    do throws(SyscallError) { try Self.set(descriptor.raw, SOL_NETLINK, 1, group) } catch { throw NetlinkError(error) }
  }

  /// Sends rtnetlink messages and waits for each to be acknowledged. - Throws: the first refusal; the messages after it were acted on.
  public mutating func execute(_ batch: NetlinkBatch) throws(NetlinkError) {
    guard !batch.isEmpty else { return }
    var batch = batch
    for count in 1...batch.messages.count { batch.acknowledgeLast(before: count) }
    let first = try send(&batch)
    try collect(first: first, batch: batch, expected: batch.messages.count)
  }

  /// Sends an nf_tables transaction. - Throws: the first refusal; nothing was changed then.
  public mutating func commit(_ transaction: NftTransaction) throws(NetlinkError) {
    guard !transaction.isEmpty else { return }
    var batch = transaction.closed()
    // Errors come for every message; an acknowledgement of the last one in the frame says that all were read.
    batch.acknowledgeLast(before: 2)
    let first = try send(&batch)
    try collect(first: first, batch: batch, expected: 1)
  }

  /// Sends one request and gives all messages of the answer; a dump that changed underneath is asked for again.
  public mutating func query(_ batch: NetlinkBatch) throws(NetlinkError) -> [NetlinkMessage] {
    var attempts = 0
    while true {
      var batch = batch
      let first = try send(&batch)
      let (answer, interrupted) = try answer(to: first, batch: batch)
      attempts += 1
      if !interrupted || attempts == 16 { return answer }
    }
  }

  /// The notices that are there, without waiting. nil: some were lost (ENOBUFS), so look at everything again.
  public mutating func notices() throws(NetlinkError) -> [NetlinkMessage]? {
    var result: [NetlinkMessage] = []
    while true {
      do throws(NetlinkError) {
        result += try receive(flags: Int32(MSG_DONTWAIT))
      } catch {
        if error.errno == .wouldBlock { return result }
        if error.errno == Errno(rawValue: ENOBUFS) { return nil }
        throw error
      }
    }
  }

  private mutating func send(_ batch: inout NetlinkBatch) throws(NetlinkError) -> UInt32 {
    let name = batch.messages.first
    guard !batch.overflowed else {
      throw NetlinkError(name?.operation ?? "send", name?.object ?? "", Errno(rawValue: EMSGSIZE))
    }
    let first = sequence &+ 1
    batch.number(from: first)
    sequence = sequence &+ UInt32(truncatingIfNeeded: batch.messages.count)
    let bytes = batch.bytes
    do throws(SyscallError) {
      try Sys.retrying("send", name?.operation ?? "") { CLinux.send(descriptor.raw, bytes, bytes.count, 0) }
    } catch { throw NetlinkError(error) }
    return first
  }

  private mutating func receive(flags: Int32 = 0) throws(NetlinkError) -> [NetlinkMessage] {
    let raw = descriptor.raw
    let count: Int
    do throws(SyscallError) {
      count = try Sys.retrying("recv", "netlink") {
        buffer.withUnsafeMutableBytes { recv(raw, $0.baseAddress, $0.count, flags | Int32(MSG_TRUNC)) }
      }
    } catch { throw NetlinkError(error) }
    guard count <= buffer.count else {
      throw NetlinkError("read netlink message", "\(count) bytes", Errno(rawValue: EMSGSIZE))
    }
    return try NetlinkMessage.parse(ArraySlice(buffer[..<count]))
  }

  /// Reads the acknowledgements of a batch. They are all queued before send returns, so after the first nothing is waited for.
  private mutating func collect(first: UInt32, batch: NetlinkBatch, expected: Int) throws(NetlinkError) {
    var acknowledged = 0
    var failure: NetlinkError?
    while true {
      let messages: [NetlinkMessage]
      do throws(NetlinkError) {
        messages = try receive(flags: acknowledged < expected && failure == nil ? 0 : Int32(MSG_DONTWAIT))
      } catch {
        guard error.errno == .wouldBlock else { throw error }
        break
      }
      for message in messages where Int32(message.type) == NLMSG_ERROR {
        let index = Int(message.sequence &- first)
        guard batch.messages.indices.contains(index) else { continue }
        guard let code = message.payload.integer(Int32.self, at: 0) else { throw .malformed("acknowledgement") }
        if code == 0 {
          acknowledged += 1
        } else if failure == nil {
          failure = Self.error(code, message, batch.messages[index])
        } else {
          acknowledged += 1
        }
      }
    }
    if let failure { throw failure }
    // the deadline passed without an answer
    guard acknowledged >= expected else {
      throw NetlinkError(batch.messages.first?.operation ?? "", batch.messages.first?.object ?? "", .timedOut)
    }
  }

  private mutating func answer(to first: UInt32, batch: NetlinkBatch) throws(NetlinkError) -> ([NetlinkMessage], Bool) {
    var result: [NetlinkMessage] = []
    var interrupted = false
    while true {
      for message in try receive() where message.sequence == first {
        if Int32(message.flags) & NLM_F_DUMP_INTR != 0 { interrupted = true }
        switch Int32(message.type) {
        case NLMSG_DONE: return (result, interrupted)
        case NLMSG_ERROR:
          guard let code = message.payload.integer(Int32.self, at: 0) else { throw .malformed("acknowledgement") }
          if code != 0, let request = batch.messages.first { throw Self.error(code, message, request) }
          return (result, interrupted)
        default:
          result.append(message)
          if Int32(message.flags) & NLM_F_MULTI == 0 { return (result, interrupted) }
        }
      }
    }
  }

  private static func error(_ code: Int32, _ message: NetlinkMessage, _ request: NetlinkBatch.Message) -> NetlinkError {
    var detail = ""
    // NLM_F_ACK_TLVS: attributes follow the capped copy of the request's header (20 bytes)
    if message.flags & 0x200 != 0, let attributes = try? message.attributes(after: 20) {
      detail = attributes.string(1) ?? ""  // NLMSGERR_ATTR_MSG
    }
    return NetlinkError(request.operation, request.object, Errno(rawValue: code == .min ? EIO : -code), detail: detail)
  }

  private static func set(_ fd: Int32, _ level: Int32, _ option: Int32, _ value: Int32) throws(SyscallError) {
    var value = value
    try Sys.retrying("setsockopt", "\(level)/\(option)") {
      setsockopt(fd, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }
  }
}

import CLinux
import Kernel
import OCI

/// What the child and the parent say to each other until the program runs: one packet each, a letter and its load.
enum Message {
  /// `U` child: born in a user namespace, write my id maps.
  case needMaps
  /// `M` parent: they are written.
  case mapped
  /// `H` child: everything is mounted, run the hooks that are yours.
  case needHooks
  /// `K` parent: they ran.
  case hooked
  /// `B` the process in between: the child is born; its pidfd is beside the packet.
  case born
  /// `W` child: what was asked for and can't be had.
  case warning(String)
  /// `T` child: the terminal's master, beside the packet.
  case terminal
  /// `L` child: the descriptor of its filter that notifies, beside the packet.
  case listener
  /// `R` child: everything is ready.
  case ready
  /// `G` parent: go.
  case go
  /// `F` child: it failed and ends.
  case failure(LaunchFailure)

  static let limit = 16 << 10
  private static let listenerByte = UInt8(ascii: "L")

  /// Sends a filter's descriptor by the one call sendmsg, and without allocating: every other call may be one that the filter denies, or
  /// waits for a listener to answer.
  static func sendListener(_ filter: Int32, on channel: Int32) throws(SyscallError) {
    var byte = listenerByte
    var filter = filter
    try Sys.retrying("sendmsg") { cl_send_fds(channel, &byte, 1, &filter, 1, 0) }
  }

  var bytes: [UInt8] {
    switch self {
    case .needMaps: [UInt8(ascii: "U")]
    case .mapped: [UInt8(ascii: "M")]
    case .needHooks: [UInt8(ascii: "H")]
    case .hooked: [UInt8(ascii: "K")]
    case .born: [UInt8(ascii: "B")]
    case .warning(let text): [UInt8(ascii: "W")] + text.utf8.prefix(Self.limit - 1)
    case .terminal: [UInt8(ascii: "T")]
    case .listener: [Self.listenerByte]
    case .ready: [UInt8(ascii: "R")]
    case .go: [UInt8(ascii: "G")]
    case .failure(let failure): [UInt8(ascii: "F")] + failure.shortened.json.encoded()
    }
  }

  init?(_ bytes: [UInt8]) {
    switch bytes.first.map({ Unicode.Scalar($0) }) {
    case "U": self = .needMaps
    case "M": self = .mapped
    case "H": self = .needHooks
    case "K": self = .hooked
    case "B": self = .born
    case "W": self = .warning(String(decoding: bytes.dropFirst(), as: UTF8.self))
    case "T": self = .terminal
    case "L": self = .listener
    case "R": self = .ready
    case "G": self = .go
    case "F":
      guard let failure = try? LaunchFailure(JSONFields(JSON.parse(Array(bytes.dropFirst())))) else { return nil }
      self = .failure(failure)
    default: return nil
    }
  }

  /// Sends; a peer that is gone doesn't matter to whoever ends anyway.
  func post(to channel: Int32) { try? send(on: channel) }

  func send(on channel: Int32, descriptors: [Int32] = []) throws(SyscallError) {
    let bytes = self.bytes
    let failure: SyscallError? = bytes.withUnsafeBytes { buffer in
      do throws(SyscallError) {
        try Sys.send(channel, buffer, descriptors: descriptors)
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }

  /// The next packet, and what came with it; `nil` at the end.
  static func receive(from channel: Int32) throws(SyscallError) -> (message: Message, descriptors: [SharedDescriptor])?
  {
    try withUnsafeTemporaryAllocation(byteCount: limit, alignment: 1) { buffer throws(SyscallError) in
      let (count, descriptors, truncated) = try Sys.receive(channel, buffer)
      let owned = descriptors.map { SharedDescriptor(owning: $0) }
      guard count > 0 else { return nil }
      guard !truncated, let message = Message(Array(buffer.prefix(count))) else {
        throw SyscallError("recvmsg", "launch channel", Errno(rawValue: EBADMSG))
      }
      return (message, owned)
    }
  }
}

extension LaunchFailure {
  /// Texts that hold paths of the user's cut to what fits a packet.
  fileprivate var shortened: LaunchFailure {
    LaunchFailure(step: step, errno: errno, object: String(object.prefix(1024)), message: String(message.prefix(4096)))
  }
}

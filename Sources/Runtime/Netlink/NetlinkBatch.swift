import CLinux

/// Messages that are sent at once, each with the words that an error about it is told in.
///
/// rtnetlink acts on them one by one and goes on after a failure; nf_tables takes all or none, between `beginTransaction` and
/// `endTransaction`.
public struct NetlinkBatch: Sendable {
  struct Message: Sendable {
    var offset: Int
    var operation: String
    var object: String
  }

  private(set) var bytes: [UInt8] = []
  private(set) var messages: [Message] = []
  /// An attribute outgrew its 16-bit length: `NetlinkSocket` refuses the batch (EMSGSIZE).
  private(set) var overflowed = false

  public init() {}

  public var isEmpty: Bool { messages.isEmpty }

  /// Appends a message: `type` and `flags` (NLM_F_…, NLM_F_REQUEST is added), the protocol's fixed header, then attributes by `body`.
  mutating func message<Header>(
    _ type: Int, flags: Int32, header: Header, _ operation: String, _ object: String,
    _ body: (inout NetlinkBatch) -> Void = { _ in }
  ) {
    let start = bytes.count
    messages.append(Message(offset: start, operation: operation, object: object))
    append(
      nlmsghdr(
        nlmsg_len: 0, nlmsg_type: UInt16(truncatingIfNeeded: type),
        nlmsg_flags: UInt16(truncatingIfNeeded: flags | NLM_F_REQUEST), nlmsg_seq: 0, nlmsg_pid: 0))
    append(header)
    pad()
    body(&self)
    let length = UInt32(truncatingIfNeeded: bytes.count - start)
    store(length, at: start)
  }

  mutating func attribute(_ type: Int, _ payload: some Collection<UInt8>) {
    header(type, length: payload.count)
    bytes += payload
    pad()
  }

  /// In the machine's order, as rtnetlink has it.
  mutating func attribute<T: FixedWidthInteger>(_ type: Int, host value: T) {
    header(type, length: MemoryLayout<T>.size)
    append(value)
    pad()
  }

  /// Big-endian, as nf_tables has it.
  mutating func attribute<T: FixedWidthInteger>(_ type: Int, network value: T) {
    attribute(type, host: value.bigEndian)
  }

  /// With its closing zero.
  mutating func attribute(_ type: Int, string: String) { attribute(type, Array(string.utf8) + [0]) }

  /// A structure of the kernel's, padding included.
  mutating func attribute<T>(_ type: Int, structure value: T) {
    header(type, length: MemoryLayout<T>.size)
    append(value)
    pad()
  }

  /// Attributes within an attribute. `flagged`: with NLA_F_NESTED, which nf_tables wants and old rtnetlink kinds don't.
  mutating func nested(_ type: Int, flagged: Bool = false, _ body: (inout NetlinkBatch) -> Void) {
    let start = bytes.count
    header(flagged ? type | Int(NLA_F_NESTED) : type, length: 0)
    body(&self)
    let length = bytes.count - start
    if let short = UInt16(exactly: length) { store(short, at: start) } else { overflowed = true }
  }

  /// A fixed header in the midst of attributes (VETH_INFO_PEER carries an ifinfomsg).
  mutating func append<T>(_ value: T) {
    withUnsafeBytes(of: value) { bytes += $0 }
  }

  private mutating func header(_ type: Int, length: Int) {
    let total = length + 4
    if total > Int(UInt16.max) { overflowed = true }
    append(UInt16(truncatingIfNeeded: total))
    append(UInt16(truncatingIfNeeded: type))
  }

  private mutating func pad() {
    while bytes.count & 3 != 0 { bytes.append(0) }
  }

  private mutating func store<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    withUnsafeBytes(of: value) { source in
      for (index, byte) in source.enumerated() { bytes[offset + index] = byte }
    }
  }

  /// Numbers the messages from `first` on.
  mutating func number(from first: UInt32) {
    for (index, message) in messages.enumerated() {
      store(first &+ UInt32(truncatingIfNeeded: index), at: message.offset + 8)
    }
  }

  /// Asks for an acknowledgement of the last message.
  mutating func acknowledgeLast(before count: Int = 1) {
    guard messages.count >= count else { return }
    let offset = messages[messages.count - count].offset + 6
    bytes[offset] |= UInt8(NLM_F_ACK)
  }
}

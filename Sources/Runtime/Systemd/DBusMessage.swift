/// One message (D-Bus specification, "Message Protocol").
public struct DBusMessage: Sendable, Equatable {
  public enum Kind: UInt8, Sendable {
    case call = 1
    case reply = 2
    case error = 3
    case signal = 4
  }

  public var kind: Kind
  public var serial: UInt32 = 0
  public var replySerial: UInt32?
  public var path: String?
  public var interface: String?
  public var member: String?
  public var errorName: String?
  public var destination: String?
  public var sender: String?
  public var body: [DBusValue] = []

  public init(_ kind: Kind) { self.kind = kind }

  /// A call that wants an answer.
  public static func call(
    _ destination: String?, _ path: String, _ interface: String, _ member: String, _ body: [DBusValue] = []
  ) -> DBusMessage {
    var message = DBusMessage(.call)
    message.destination = destination
    message.path = path
    message.interface = interface
    message.member = member
    message.body = body
    return message
  }

  /// The bytes that go over the wire.
  public func encoded() -> [UInt8] {
    var content = DBusWriter()
    for value in body { content.append(value) }
    var fields: [DBusValue] = []
    func add(_ code: UInt8, _ value: DBusValue?) {
      if let value { fields.append(.structure([.byte(code), .variant(value)])) }
    }
    add(1, path.map { .objectPath($0) })
    add(2, interface.map { .string($0) })
    add(3, member.map { .string($0) })
    add(4, errorName.map { .string($0) })
    add(5, replySerial.map { .uint32($0) })
    add(6, destination.map { .string($0) })
    let signature = body.map(\.signature).joined()
    add(8, signature.isEmpty ? nil : .signature(signature))
    var writer = DBusWriter()
    // Endianness, kind, no flags, protocol version.
    writer.append(raw: [DBusWriter.endianness, kind.rawValue, 0, 1])
    writer.append(.uint32(UInt32(truncatingIfNeeded: content.bytes.count)))
    writer.append(.uint32(serial))
    writer.append(.array("(yv)", fields))
    writer.align(8)
    writer.append(raw: content.bytes)
    return writer.bytes
  }

  /// Bytes of the header that must be there to know the whole length.
  static let prefix = 16

  /// The length of the message that begins with these bytes; `nil` when it is none, or longer than a message of systemd's ever is.
  static func length(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= prefix, bytes[0] == UInt8(ascii: "l") || bytes[0] == UInt8(ascii: "B") else { return nil }
    var reader = DBusReader(bytes, endianness: bytes[0], at: 4)
    guard let numbers = reader.values("uuu"), case .uint32(let body) = numbers[0], case .uint32(let fields) = numbers[2]
    else { return nil }
    guard body <= 16 << 20, fields <= 1 << 20 else { return nil }
    return (prefix + Int(fields) + 7) / 8 * 8 + Int(body)
  }

  /// A whole message; `nil` when it isn't one.
  public init?(decoding bytes: [UInt8]) {
    guard let length = Self.length(bytes), length == bytes.count, bytes[3] == 1, let kind = Kind(rawValue: bytes[1])
    else {
      return nil
    }
    self.init(kind)
    var reader = DBusReader(bytes, endianness: bytes[0], at: 8)
    guard let head = reader.values("ua(yv)"), case .uint32(let serial) = head[0], case .array(_, let fields) = head[1],
      reader.align(8)
    else { return nil }
    self.serial = serial
    var signature = ""
    for field in fields {
      guard case .structure(let pair) = field, pair.count == 2, case .byte(let code) = pair[0],
        case .variant(let value) = pair[1]
      else { return nil }
      switch (code, value) {
      case (1, .objectPath(let text)): path = text
      case (2, .string(let text)): interface = text
      case (3, .string(let text)): member = text
      case (4, .string(let text)): errorName = text
      case (5, .uint32(let number)): replySerial = number
      case (6, .string(let text)): destination = text
      case (7, .string(let text)): sender = text
      case (8, .signature(let text)): signature = text
      default: break
      }
    }
    var content = DBusReader(Array(bytes[reader.position...]), endianness: bytes[0])
    guard let body = content.values(signature) else { return nil }
    self.body = body
  }
}

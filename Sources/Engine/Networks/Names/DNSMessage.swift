import Netlink

/// As much of RFC 1035 as a resolver of containers' names needs. Whatever comes over the wire is read through `Reader`, which
/// never goes past its end; nothing here recurses or follows a pointer more than once.
enum DNSMessage {
  static let headerLength = 12
  static let typeA: UInt16 = 1
  static let typePTR: UInt16 = 12
  static let typeAAAA: UInt16 = 28
  static let typeOPT: UInt16 = 41

  enum Code: UInt8 {
    case success = 0
    case malformed = 1
    case failure = 2
    case noSuchName = 3
    case notImplemented = 4
    case refused = 5
  }

  /// What somebody asks: one question, as nearly everybody has it.
  struct Query: Sendable, Equatable {
    let id: UInt16
    let flags: UInt16
    /// Lower case, with dots between the labels, without one at the end; bytes that aren't a name's are kept as they are.
    let name: String
    let type: UInt16
    let classCode: UInt16
    /// The question as it came: name, type, class.
    let question: [UInt8]
    /// How large an answer over UDP may be.
    let limit: Int

    /// nil for what is no query with one question.
    init?(_ bytes: ArraySlice<UInt8>) {
      guard let header = Header(bytes), !header.isResponse, header.operation == 0, header.questions == 1,
        header.answers == 0, header.authorities == 0
      else { return nil }
      var reader = Reader(bytes, at: DNSMessage.headerLength)
      guard let name = reader.name(), let type = reader.word(), let classCode = reader.word() else { return nil }
      id = header.id
      flags = header.flags
      self.name = name
      self.type = type
      self.classCode = classCode
      question = Array(bytes.dropFirst(DNSMessage.headerLength).prefix(reader.offset - DNSMessage.headerLength))
      var limit = 512
      // EDNS (RFC 6891): a record of the type OPT for the root, whose class is the size
      if header.additional > 0, reader.byte() == 0, reader.word() == DNSMessage.typeOPT, let size = reader.word() {
        limit = max(512, min(Int(size), 4096))
      }
      self.limit = limit
    }
  }

  struct Header {
    let id, flags, questions, answers, authorities, additional: UInt16

    init?(_ bytes: ArraySlice<UInt8>) {
      var reader = Reader(bytes, at: 0)
      guard let id = reader.word(), let flags = reader.word(), let questions = reader.word(),
        let answers = reader.word(), let authorities = reader.word(), let additional = reader.word()
      else { return nil }
      self.id = id
      self.flags = flags
      self.questions = questions
      self.answers = answers
      self.authorities = authorities
      self.additional = additional
    }

    var isResponse: Bool { flags & 0x8000 != 0 }
    var operation: UInt16 { flags >> 11 & 15 }
    var isTruncated: Bool { flags & 0x0200 != 0 }
    var code: UInt8 { UInt8(flags & 15) }
  }

  /// A record for the name that was asked for.
  struct Record: Sendable, Equatable {
    let type: UInt16
    let data: [UInt8]
  }

  /// Seconds that an answer of ours is good for, as Docker's.
  static let lifetime: UInt32 = 600

  /// Our own answer; over UDP what doesn't fit is left out and said so (TC).
  static func answer(_ query: Query, _ code: Code, _ records: [Record] = [], limit: Int) -> [UInt8] {
    var body: [UInt8] = []
    var count: UInt16 = 0
    var truncated = false
    let room = limit - headerLength - query.question.count
    for record in records {
      // the name is a pointer to the question's
      let bytes =
        [0xc0, UInt8(headerLength)] + word(record.type) + word(1) + word(UInt16(lifetime >> 16))
        + word(UInt16(lifetime & 0xffff)) + word(UInt16(clamping: record.data.count)) + record.data
      guard body.count + bytes.count <= room else {
        truncated = true
        break
      }
      body += bytes
      count += 1
    }
    // QR, AA, RA; RD as it was asked
    let flags = 0x8480 | (query.flags & 0x0100) | (truncated ? 0x0200 : 0) | UInt16(code.rawValue)
    return word(query.id) + word(flags) + word(1) + word(count) + word(0) + word(0) + query.question + body
  }

  /// For what can't be read as a query but has an id; nil for a response: answering those would make loops.
  static func complaint(_ bytes: ArraySlice<UInt8>) -> [UInt8]? {
    guard let header = Header(bytes), !header.isResponse else { return nil }
    let code = header.operation == 0 ? Code.malformed : .notImplemented
    return word(header.id) + word(0x8080 | (header.flags & 0x7900) | UInt16(code.rawValue))
      + [UInt8](repeating: 0, count: 8)
  }

  static func word(_ value: UInt16) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }

  /// A name in its labels; nil when it can't be one.
  static func encode(_ name: String) -> [UInt8]? {
    var result: [UInt8] = []
    for label in name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
      guard (1...63).contains(label.count) else { return nil }
      result.append(UInt8(label.count))
      result += label
    }
    return result.count < 255 ? result + [0] : nil
  }

  /// The address that a reverse name stands for: `2.0.17.172.in-addr.arpa`, or 32 nibbles before `ip6.arpa`.
  static func address(ofReverse name: String) -> IPAddress? {
    let labels = name.split(separator: ".")
    if name.hasSuffix(".in-addr.arpa"), labels.count == 6 {
      return IPv4Address(labels[..<4].reversed().joined(separator: ".")).map(IPAddress.v4)
    }
    guard name.hasSuffix(".ip6.arpa"), labels.count == 34 else { return nil }
    var bytes: [UInt8] = []
    let nibbles = labels[..<32].reversed().compactMap { $0.utf8.count == 1 ? UInt8($0, radix: 16) : nil }
    guard nibbles.count == 32 else { return nil }
    for index in stride(from: 0, to: 32, by: 2) { bytes.append(nibbles[index] << 4 | nibbles[index + 1]) }
    return IPv6Address(network: bytes[...]).map(IPAddress.v6)
  }

  /// Where the lifetimes of an answer's records stand, and the shortest of them; nil for what can't be read to its end.
  static func lifetimes(_ bytes: ArraySlice<UInt8>) -> (offsets: [Int], shortest: UInt32)? {
    guard let header = Header(bytes), header.questions <= 1 else { return nil }
    var reader = Reader(bytes, at: headerLength)
    if header.questions == 1 { guard reader.skipName(), reader.word() != nil, reader.word() != nil else { return nil } }
    var offsets: [Int] = []
    var shortest = UInt32.max
    for _ in 0..<(Int(header.answers) + Int(header.authorities) + Int(header.additional)) {
      guard reader.skipName(), let type = reader.word(), reader.word() != nil else { return nil }
      let offset = reader.offset
      guard let high = reader.word(), let low = reader.word(), let length = reader.word(), reader.skip(Int(length))
      else { return nil }
      // an OPT record has flags in that place
      if type == typeOPT { continue }
      offsets.append(offset)
      shortest = min(shortest, UInt32(high) << 16 | UInt32(low))
    }
    return (offsets, offsets.isEmpty ? 0 : shortest)
  }

  /// A place in a message.
  struct Reader {
    private let bytes: ArraySlice<UInt8>
    private(set) var offset: Int

    init(_ bytes: ArraySlice<UInt8>, at offset: Int) {
      self.bytes = bytes
      self.offset = offset
    }

    mutating func byte() -> UInt8? {
      guard offset < bytes.count else { return nil }
      defer { offset += 1 }
      return bytes[bytes.startIndex + offset]
    }

    mutating func word() -> UInt16? {
      guard let high = byte(), let low = byte() else { return nil }
      return UInt16(high) << 8 | UInt16(low)
    }

    mutating func skip(_ count: Int) -> Bool {
      guard count >= 0, bytes.count - offset >= count else { return false }
      offset += count
      return true
    }

    /// A name written out, in lower case. Pointers have no place in a question.
    mutating func name() -> String? {
      var result: [UInt8] = []
      var length = 0
      while let size = byte() {
        if size == 0 { return String(decoding: result, as: UTF8.self) }
        length += Int(size) + 1
        guard size <= 63, length < 255 else { return nil }
        if !result.isEmpty { result.append(UInt8(ascii: ".")) }
        for _ in 0..<size {
          guard let character = byte() else { return nil }
          result.append((65...90).contains(character) ? character + 32 : character)
        }
      }
      return nil
    }

    /// Past a name, which may end in a pointer.
    mutating func skipName() -> Bool {
      while let size = byte() {
        if size == 0 { return true }
        if size >= 0xc0 { return skip(1) }
        guard size <= 63, skip(Int(size)) else { return false }
      }
      return false
    }
  }
}

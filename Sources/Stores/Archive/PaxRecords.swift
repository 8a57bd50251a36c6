import OCI

/// The records of one PAX header: `length key=value\n`, the length that of the whole record (POSIX pax, "Extended Header").
struct PaxRecords {
  var path: [UInt8]?
  var linkPath: [UInt8]?
  var size: Int64?
  var uid: Int64?
  var gid: Int64?
  var modified: Timestamp?
  var attributes: [(name: [UInt8], value: [UInt8])] = []
  /// `GNU.sparse.…`
  var sparseMajor: Int64?
  var sparseMinor: Int64?
  var sparseName: [UInt8]?
  var sparseRealSize: Int64?
  var sparseSize: Int64?
  /// Version 0.0's records in order, or version 0.1's list.
  var sparseNumbers: [Int64] = []
  var isEmpty = true

  init() {}

  init(parsing bytes: [UInt8], member: String) throws {
    func refuse(_ reason: String) -> ArchiveError {
      ArchiveError(member: member, "its PAX header is invalid: \(reason)")
    }
    isEmpty = false
    var rest = bytes[...]
    while !rest.isEmpty {
      guard let space = rest.prefix(20).firstIndex(of: UInt8(ascii: " ")), space > rest.startIndex,
        let length = Self.number(rest[..<space]), length > 0, let count = Int(exactly: length), count <= rest.count
      else { throw refuse("a record's length") }
      let record = rest[rest.startIndex..<rest.startIndex + count]
      guard space + 1 < record.endIndex, record.last == UInt8(ascii: "\n") else { throw refuse("a record's end") }
      let text = record[(space + 1)..<(record.endIndex - 1)]
      guard let equals = text.firstIndex(of: UInt8(ascii: "=")), equals > text.startIndex else {
        throw refuse("a record without '='")
      }
      let key = text[..<equals]
      let value = text[(equals + 1)...]
      rest = rest[record.endIndex...]
      try take(String(decoding: key, as: UTF8.self), key, value, refuse)
    }
    attributes.sort { $0.name.lexicographicallyPrecedes($1.name) }
  }

  private mutating func take(
    _ name: String, _ key: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>, _ refuse: (String) -> ArchiveError
  ) throws {
    func text() throws -> [UInt8]? {
      guard !value.contains(0) else { throw refuse("\(name) holds NUL") }
      // An empty value takes an earlier header's away.
      return value.isEmpty ? nil : Array(value)
    }
    func number() throws -> Int64? {
      if value.isEmpty { return nil }
      guard let number = Self.number(value), number >= 0 else { throw refuse("\(name) isn't a number") }
      return number
    }
    switch name {
    case "path": path = try text()
    case "linkpath": linkPath = try text()
    case "size": size = try number()
    case "uid": uid = try number()
    case "gid": gid = try number()
    case "mtime":
      guard let time = Self.time(value) else { throw refuse("mtime isn't a time") }
      modified = time
    case "GNU.sparse.major": sparseMajor = try number()
    case "GNU.sparse.minor": sparseMinor = try number()
    case "GNU.sparse.name": sparseName = try text()
    case "GNU.sparse.realsize": sparseRealSize = try number()
    case "GNU.sparse.size": sparseSize = try number()
    case "GNU.sparse.offset", "GNU.sparse.numbytes":
      guard let number = try number(), sparseNumbers.count.isMultiple(of: 2) == (name == "GNU.sparse.offset") else {
        throw refuse("its sparse map")
      }
      sparseNumbers.append(number)
    case "GNU.sparse.map":
      sparseNumbers = []
      for part in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) where !value.isEmpty {
        guard let number = Self.number(part), number >= 0 else { throw refuse("its sparse map") }
        sparseNumbers.append(number)
      }
    default:
      let prefix = "SCHILY.xattr."
      guard name.hasPrefix(prefix) else { return }
      let attribute = Array(key.dropFirst(prefix.utf8.count))
      guard !attribute.isEmpty, attribute.count <= 255, !attribute.contains(0), value.count <= 65_536 else {
        throw refuse("an extended attribute")
      }
      attributes.removeAll { $0.name == attribute }
      guard attributes.count < 4096 else { throw refuse("too many extended attributes") }
      attributes.append((attribute, Array(value)))
    }
  }

  /// Decimal digits, with a sign before them; `nil` for anything else and for what 64 bits don't hold.
  static func number(_ text: ArraySlice<UInt8>) -> Int64? {
    var digits = text
    let isNegative = digits.first == UInt8(ascii: "-")
    if isNegative { digits = digits.dropFirst() }
    guard !digits.isEmpty, digits.count <= 20 else { return nil }
    var value: Int64 = 0
    for byte in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflowSum) = product.addingReportingOverflow(Int64(byte - UInt8(ascii: "0")))
      guard !overflow, !overflowSum else { return nil }
      value = sum
    }
    return isNegative ? -value : value
  }

  /// Seconds with a fraction of any length, perhaps negative.
  static func time(_ text: ArraySlice<UInt8>) -> Timestamp? {
    let isNegative = text.first == UInt8(ascii: "-")
    let parts = text.split(separator: UInt8(ascii: "."), maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = parts.first, let seconds = number(whole) else { return nil }
    guard parts.count == 2 else { return Timestamp(seconds: seconds) }
    let fraction = parts[1]
    guard fraction.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
    var nanoseconds: Int32 = 0
    for index in 0..<9 {
      let digit = index < fraction.count ? Int32(fraction[fraction.startIndex + index] - UInt8(ascii: "0")) : 0
      nanoseconds = nanoseconds * 10 + digit
    }
    guard isNegative, nanoseconds > 0 else { return Timestamp(seconds: seconds, nanoseconds: nanoseconds) }
    return Timestamp(seconds: seconds &- 1, nanoseconds: 1_000_000_000 - nanoseconds)
  }
}

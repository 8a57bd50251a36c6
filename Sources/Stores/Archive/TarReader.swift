import OCI

/// Reads a tar archive in one pass: ustar and its star and v7 kin, PAX (POSIX.1-2001) and GNU, with long names, extended attributes, large
/// numbers and sparse files of every make. What Go's archive/tar reads this reads, and refuses what that refuses.
///
/// `next` gives the members one by one; `nextData` the bytes of the latest. What isn't taken is skipped.
/// The end is two blocks of zeros, one, or the end of the source between two members; the source isn't read further.
public final class TarReader {
  static let block = 512
  let input: BufferedSource
  let limits: ArchiveLimits
  private var members = 0
  /// Bytes of the current member's data that weren't taken yet, and of the padding behind them.
  var dataLeft: Int64 = 0
  var paddingLeft: Int64 = 0
  private var current = ""

  public init(_ source: any ByteSource, limits: ArchiveLimits = ArchiveLimits()) {
    input = BufferedSource(source, capacity: 1 << 20)
    self.limits = limits
  }

  /// Bytes of the archive that were taken: when `next` has just answered, where that member's data begin.
  public var position: Int64 { input.position }

  /// The next member; `nil` at the end.
  public func next() throws -> TarEntry? {
    try skipData()
    var extended = PaxRecords()
    var longName: [UInt8]?
    var longLink: [UInt8]?
    while true {
      guard let header = try nextHeader() else {
        guard extended.isEmpty, longName == nil, longLink == nil else {
          throw ArchiveError("it ends after an extended header without its member")
        }
        return nil
      }
      switch header.typeFlag {
      case UInt8(ascii: "x"):
        extended = try PaxRecords(parsing: try extendedData(header, "PAX header"), member: current)
      case UInt8(ascii: "g"):
        // Comments and defaults for what follows: read over, as Docker does.
        _ = try extendedData(header, "global PAX header")
      case UInt8(ascii: "L"): longName = try longText(header, "long name")
      case UInt8(ascii: "K"): longLink = try longText(header, "long link name")
      default:
        members += 1
        guard members <= limits.members else { throw ArchiveError("more than \(limits.members) members") }
        return try entry(header, extended: extended, longName: longName, longLink: longLink)
      }
    }
  }

  /// The next bytes of the current member's data, in place: valid until the next call. Empty at their end.
  public func nextData(atMost limit: Int = 1 << 20) throws -> UnsafeRawBufferPointer {
    let bytes = try input.next(atMost: Int(min(dataLeft, Int64(limit))))
    if bytes.isEmpty, dataLeft > 0 { throw ArchiveError(member: current, "the archive is cut short in its data") }
    dataLeft -= Int64(bytes.count)
    return bytes
  }

  /// All of the current member's data; more than `limit` bytes is an error.
  public func allData(limit: Int) throws -> [UInt8] {
    guard dataLeft <= Int64(limit) else { throw ArchiveError(member: current, "more than \(limit) bytes") }
    var data: [UInt8] = []
    data.reserveCapacity(Int(dataLeft))
    while true {
      let bytes = try nextData()
      if bytes.isEmpty { return data }
      data.append(contentsOf: bytes)
    }
  }

  private func skipData() throws {
    while try !nextData().isEmpty {}
    while paddingLeft > 0 {
      let bytes = try input.next(atMost: Int(paddingLeft))
      if bytes.isEmpty { throw ArchiveError(member: current, "the archive is cut short behind its data") }
      paddingLeft -= Int64(bytes.count)
    }
  }

  private func nextHeader() throws -> TarHeader? {
    try skipData()
    guard input.position <= limits.totalBytes else { throw ArchiveError("more than \(limits.totalBytes) bytes") }
    let bytes = try input.peek(Self.block)
    if bytes.isEmpty { return nil }
    guard bytes.count == Self.block else { throw ArchiveError("it is cut short after member \"\(current)\"") }
    if bytes.allSatisfy({ $0 == 0 }) {
      input.skip(Self.block)
      let second = try input.peek(Self.block)
      guard second.count < Self.block || second.allSatisfy({ $0 == 0 }) else {
        throw ArchiveError("a block of zeros after member \"\(current)\" isn't its end")
      }
      input.skip(second.count)
      return nil
    }
    let header = try TarHeader(bytes, after: current)
    input.skip(Self.block)
    current = TarEntry.printable(header.name)
    setData(header.hasData ? header.size : 0)
    return header
  }

  private func setData(_ size: Int64) {
    dataLeft = size
    paddingLeft = (512 - size % 512) % 512
  }

  private func extendedData(_ header: TarHeader, _ what: String) throws -> [UInt8] {
    guard header.size <= Int64(limits.extendedHeader) else {
      throw ArchiveError(
        member: current, "its \(what) has \(header.size) bytes, at most \(limits.extendedHeader) are taken")
    }
    return try allData(limit: limits.extendedHeader)
  }

  private func longText(_ header: TarHeader, _ what: String) throws -> [UInt8] {
    let data = try extendedData(header, what)
    return Array(data.prefix { $0 != 0 })
  }

  private func entry(_ header: TarHeader, extended: PaxRecords, longName: [UInt8]?, longLink: [UInt8]?) throws
    -> TarEntry
  {
    var entry = TarEntry()
    entry.name = extended.path ?? longName ?? header.name
    entry.linkName = extended.linkPath ?? longLink ?? header.linkName
    current = entry.printableName
    var size = header.size
    if let value = extended.size {
      size = value
      setData(header.hasData ? size : 0)
    }
    entry.kind = try kind(header, name: entry.name)
    entry.mode = UInt32(truncatingIfNeeded: header.mode) & 0o7777
    entry.uid = try identifier(extended.uid ?? header.uid, "user")
    entry.gid = try identifier(extended.gid ?? header.gid, "group")
    entry.modified = extended.modified ?? .init(seconds: header.modified)
    entry.deviceMajor = UInt32(truncatingIfNeeded: header.deviceMajor)
    entry.deviceMinor = UInt32(truncatingIfNeeded: header.deviceMinor)
    entry.attributes = extended.attributes
    entry.size = entry.kind == .file ? size : 0
    if entry.kind == .file { try readSparseMap(header, extended, &entry) }
    // A member that isn't a file but says that it has data: the data are read over.
    entry.dataSize = entry.kind == .file ? dataLeft : 0
    return entry
  }

  private func kind(_ header: TarHeader, name: [UInt8]) throws -> TarEntry.Kind {
    switch header.typeFlag {
    case UInt8(ascii: "0"), UInt8(ascii: "7"), UInt8(ascii: "S"): return .file
    // In the oldest archives a directory is a file whose name ends in a slash.
    case 0: return name.last == UInt8(ascii: "/") ? .directory : .file
    case UInt8(ascii: "1"): return .hardLink
    case UInt8(ascii: "2"): return .symbolicLink
    case UInt8(ascii: "3"): return .characterDevice
    case UInt8(ascii: "4"): return .blockDevice
    case UInt8(ascii: "5"): return .directory
    case UInt8(ascii: "6"): return .fifo
    default: throw ArchiveError(member: current, "its type \(header.typeFlag) is unknown")
    }
  }

  private func identifier(_ value: Int64, _ what: String) throws -> UInt32 {
    guard let id = UInt32(exactly: value), id != UInt32.max else {
      throw ArchiveError(member: current, "its \(what) \(value) doesn't fit 32 bits")
    }
    return id
  }

  /// Takes one more block of an extended header's chain.
  func takeBlock() throws -> [UInt8] {
    let bytes = try input.peek(Self.block)
    guard bytes.count == Self.block else {
      throw ArchiveError(member: current, "the archive is cut short in its sparse map")
    }
    let copy = Array(bytes)
    input.skip(Self.block)
    return copy
  }

  func refuse(_ reason: String) -> ArchiveError { ArchiveError(member: current, reason) }
}

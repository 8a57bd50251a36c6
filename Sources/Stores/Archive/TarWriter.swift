import OCI

/// Writes a tar archive in order: ustar headers, with a PAX header before a member that ustar can't hold (long names, large numbers,
/// fractions of seconds, extended attributes). The same members make the same bytes.
///
/// A sparse file is written whole: `TarEntry.segments` is ignored.
public final class TarWriter {
  private let sink: (UnsafeRawBufferPointer) throws -> Void
  private var dataLeft: Int64 = 0
  private var padding = 0

  /// `sink` takes the archive's bytes in order.
  public init(_ sink: @escaping (UnsafeRawBufferPointer) throws -> Void) { self.sink = sink }

  /// Begins a member; exactly `entry.size` bytes of data must follow for a file, none for anything else.
  public func add(_ entry: TarEntry) throws {
    try endMember()
    var records: [(key: [UInt8], value: [UInt8])] = []
    func record(_ key: String, _ value: some Sequence<UInt8>) { records.append((Array(key.utf8), Array(value))) }
    var header = HeaderBlock()
    if entry.name.count > 100 || !entry.name.allSatisfy({ $0 < 0x80 }) { record("path", entry.name) }
    if entry.linkName.count > 100 || !entry.linkName.allSatisfy({ $0 < 0x80 }) { record("linkpath", entry.linkName) }
    let size = entry.kind == .file ? entry.size : 0
    if size > 0o77777777777 { record("size", "\(size)".utf8) }
    if entry.uid > 0o7777777 { record("uid", "\(entry.uid)".utf8) }
    if entry.gid > 0o7777777 { record("gid", "\(entry.gid)".utf8) }
    let seconds = entry.modified.seconds
    if entry.modified.nanoseconds != 0 || !(0...0o77777777777).contains(seconds) {
      record("mtime", Self.decimal(entry).utf8)
    }
    for (name, value) in entry.attributes { records.append((Array("SCHILY.xattr.".utf8) + name, value)) }
    if !records.isEmpty {
      let body = records.sorted { $0.key.lexicographicallyPrecedes($1.key) }.flatMap { Self.record($0.key, $0.value) }
      var extended = HeaderBlock()
      extended.set(name: Array("PaxHeaders.0/".utf8) + entry.name.suffix(80), type: UInt8(ascii: "x"))
      extended.set(mode: 0o644, uid: 0, gid: 0, size: Int64(body.count), seconds: 0)
      try write(extended.finished())
      try write(body)
      try write([UInt8](repeating: 0, count: (512 - body.count % 512) % 512))
    }
    header.set(name: entry.name, type: Self.typeFlag(entry.kind), linkName: entry.linkName)
    header.set(mode: entry.mode & 0o7777, uid: entry.uid, gid: entry.gid, size: size, seconds: seconds)
    if entry.kind == .characterDevice || entry.kind == .blockDevice {
      header.setDevice(entry.deviceMajor, entry.deviceMinor)
    }
    try write(header.finished())
    dataLeft = size
    padding = Int((512 - size % 512) % 512)
  }

  /// More of the current member's data.
  public func data(_ bytes: UnsafeRawBufferPointer) throws {
    guard Int64(bytes.count) <= dataLeft else { throw ArchiveError("more data than the member's size") }
    dataLeft -= Int64(bytes.count)
    try sink(bytes)
  }

  /// A whole file from memory.
  public func add(_ entry: TarEntry, data bytes: [UInt8]) throws {
    var entry = entry
    entry.size = Int64(bytes.count)
    try add(entry)
    try bytes.withUnsafeBytes { try data($0) }
  }

  /// The end: two blocks of zeros.
  public func finish() throws {
    try endMember()
    try write([UInt8](repeating: 0, count: 1024))
  }

  private func endMember() throws {
    guard dataLeft == 0 else { throw ArchiveError("\(dataLeft) bytes of the member's data are missing") }
    if padding > 0 { try write([UInt8](repeating: 0, count: padding)) }
    padding = 0
  }

  private func write(_ bytes: [UInt8]) throws {
    guard !bytes.isEmpty else { return }
    try bytes.withUnsafeBytes { try sink($0) }
  }

  private static func typeFlag(_ kind: TarEntry.Kind) -> UInt8 {
    switch kind {
    case .file: UInt8(ascii: "0")
    case .hardLink: UInt8(ascii: "1")
    case .symbolicLink: UInt8(ascii: "2")
    case .characterDevice: UInt8(ascii: "3")
    case .blockDevice: UInt8(ascii: "4")
    case .directory: UInt8(ascii: "5")
    case .fifo: UInt8(ascii: "6")
    }
  }

  /// Seconds with their fraction, as PAX writes them.
  private static func decimal(_ entry: TarEntry) -> String {
    let (seconds, nanoseconds) = (entry.modified.seconds, entry.modified.nanoseconds)
    if nanoseconds == 0 { return "\(seconds)" }
    let isNegative = seconds < 0
    let whole = isNegative ? -(seconds + 1) : seconds
    let fraction = isNegative ? 1_000_000_000 - nanoseconds : nanoseconds
    let digits = String(fraction)
    return "\(isNegative ? "-" : "")\(whole)." + String(repeating: "0", count: 9 - digits.utf8.count) + digits
  }

  /// `length key=value\n`, where the length counts its own digits.
  private static func record(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
    let rest = [UInt8(ascii: " ")] + key + [UInt8(ascii: "=")] + value + [UInt8(ascii: "\n")]
    var length = rest.count + 1
    while "\(length)".utf8.count + rest.count != length { length = "\(length)".utf8.count + rest.count }
    return Array("\(length)".utf8) + rest
  }
}

/// One ustar header under construction.
private struct HeaderBlock {
  private var bytes = [UInt8](repeating: 0, count: 512)

  init() {
    put(Array("ustar\u{0}00".utf8), at: 257, limit: 8)
  }

  private mutating func put(_ text: some Collection<UInt8>, at offset: Int, limit: Int) {
    var index = offset
    for byte in text.prefix(limit) {
      bytes[index] = byte
      index += 1
    }
  }

  private mutating func octal(_ value: UInt64, at offset: Int, width: Int) {
    // What doesn't fit stands in a PAX record; the field is zero then.
    let digits = String(value, radix: 8)
    let text = digits.utf8.count < width ? digits : "0"
    put((String(repeating: "0", count: width - 1 - text.utf8.count) + text).utf8, at: offset, limit: width)
  }

  mutating func set(name: [UInt8], type: UInt8, linkName: [UInt8] = []) {
    put(name, at: 0, limit: 100)
    bytes[156] = type
    put(linkName, at: 157, limit: 100)
  }

  mutating func set(mode: UInt32, uid: UInt32, gid: UInt32, size: Int64, seconds: Int64) {
    octal(UInt64(mode), at: 100, width: 8)
    octal(UInt64(uid), at: 108, width: 8)
    octal(UInt64(gid), at: 116, width: 8)
    octal(UInt64(max(0, size)), at: 124, width: 12)
    octal(UInt64(max(0, seconds)), at: 136, width: 12)
  }

  mutating func setDevice(_ major: UInt32, _ minor: UInt32) {
    octal(UInt64(major), at: 329, width: 8)
    octal(UInt64(minor), at: 337, width: 8)
  }

  func finished() -> [UInt8] {
    var result = bytes
    for index in 148..<156 { result[index] = UInt8(ascii: " ") }
    let sum = result.reduce(UInt64(0)) { $0 + UInt64($1) }
    let digits = String(sum, radix: 8)
    let text = Array((String(repeating: "0", count: 6 - digits.utf8.count) + digits).utf8) + [0, UInt8(ascii: " ")]
    result.replaceSubrange(148..<156, with: text)
    return result
  }
}

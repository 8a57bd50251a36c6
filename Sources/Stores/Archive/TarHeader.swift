/// A header block, decoded and its checksum verified.
struct TarHeader {
  enum Format { case v7, ustar, star, gnu }

  let format: Format
  let name: [UInt8]
  let linkName: [UInt8]
  let mode: Int64
  let uid: Int64
  let gid: Int64
  let size: Int64
  let modified: Int64
  let typeFlag: UInt8
  let deviceMajor: Int64
  let deviceMinor: Int64
  /// GNU's old sparse files: the first four runs, whether more blocks follow, and the file's real size.
  let gnuSparse: (runs: [TarEntry.Segment], isExtended: Bool, realSize: Int64)?

  /// Links, devices, directories and fifos have none, whatever their size says (as Go reads them).
  var hasData: Bool { !(UInt8(ascii: "1")...UInt8(ascii: "6")).contains(typeFlag) }

  init(_ block: UnsafeRawBufferPointer, after previous: String) throws {
    let name = Self.text(block, 0, 100)
    let member = TarEntry.printable(name)
    let stored = try? Self.number(block, 148, 8, member)
    // The sum counts the checksum's own field as spaces; old programs summed signed bytes.
    var unsigned: Int64 = 8 * 32
    var signed: Int64 = 8 * 32
    for index in 0..<512 where !(148..<156).contains(index) {
      unsigned += Int64(block[index])
      signed += Int64(Int8(bitPattern: block[index]))
    }
    guard stored == unsigned || stored == signed else {
      throw ArchiveError(
        member: member,
        previous.isEmpty ? "the header's checksum is wrong: not a tar archive" : "the header's checksum is wrong")
    }
    func matches(_ offset: Int, _ text: StaticString) -> Bool {
      for index in 0..<text.utf8CodeUnitCount where block[offset + index] != text.utf8Start[index] { return false }
      return true
    }
    format =
      if matches(257, "ustar\u{0}") { matches(508, "tar\u{0}") ? .star : .ustar } else if matches(257, "ustar  \u{0}") {
        .gnu
      } else { .v7 }
    mode = try Self.number(block, 100, 8, member)
    uid = try Self.number(block, 108, 8, member)
    gid = try Self.number(block, 116, 8, member)
    size = try Self.number(block, 124, 12, member)
    guard size >= 0 else { throw ArchiveError(member: member, "its size is negative") }
    modified = try Self.number(block, 136, 12, member)
    typeFlag = block[156]
    linkName = Self.text(block, 157, 100)
    let hasDevice = format != .v7 && (typeFlag == UInt8(ascii: "3") || typeFlag == UInt8(ascii: "4"))
    deviceMajor = hasDevice ? try Self.number(block, 329, 8, member) : 0
    deviceMinor = hasDevice ? try Self.number(block, 337, 8, member) : 0
    guard UInt32(exactly: deviceMajor) != nil, UInt32(exactly: deviceMinor) != nil else {
      throw ArchiveError(member: member, "its device number doesn't fit 32 bits")
    }
    let prefix =
      switch format {
      case .ustar: Self.text(block, 345, 155)
      case .star: Self.text(block, 345, 131)
      default: [UInt8]()
      }
    self.name = prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name
    if format == .gnu, typeFlag == UInt8(ascii: "S") {
      gnuSparse = (
        try Self.runs(block, at: 386, count: 4, member), block[482] != 0, try Self.number(block, 483, 12, member)
      )
    } else {
      gnuSparse = nil
    }
  }

  /// Up to NUL or the field's end.
  static func text(_ block: UnsafeRawBufferPointer, _ offset: Int, _ length: Int) -> [UInt8] {
    Array(block[offset..<offset + length].prefix { $0 != 0 })
  }

  /// Runs of GNU's old format, each two numbers of 12 bytes; an empty one ends the list.
  static func runs(_ block: UnsafeRawBufferPointer, at start: Int, count: Int, _ member: String) throws -> [TarEntry
    .Segment]
  {
    var runs: [TarEntry.Segment] = []
    for index in 0..<count {
      let offset = start + index * 24
      if block[offset] == 0 { break }
      runs.append(
        TarEntry.Segment(
          offset: try number(block, offset, 12, member), length: try number(block, offset + 12, 12, member)))
    }
    return runs
  }

  /// Octal digits between spaces and NULs, or, with the first bit set, a big-endian number in two's complement (GNU's base-256).
  static func number(_ block: UnsafeRawBufferPointer, _ offset: Int, _ length: Int, _ member: String) throws -> Int64 {
    let first = block[offset]
    if first & 0x80 != 0 {
      let isNegative = first & 0x40 != 0
      // The marker bit is no part of the number.
      var value: Int64 = isNegative ? -1 : 0
      for index in 0..<length {
        let byte = index == 0 ? (isNegative ? first | 0x80 : first & 0x7F) : block[offset + index]
        let (shifted, overflow) = value.multipliedReportingOverflow(by: 256)
        guard !overflow else { throw ArchiveError(member: member, "a number in its header doesn't fit 64 bits") }
        value = shifted | Int64(byte)
      }
      return value
    }
    var value: Int64 = 0
    var index = offset
    let end = offset + length
    while index < end, block[index] == UInt8(ascii: " ") || block[index] == 0 { index += 1 }
    while index < end, (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(block[index]) {
      value = value << 3 | Int64(block[index] - UInt8(ascii: "0"))
      index += 1
    }
    while index < end, block[index] == UInt8(ascii: " ") || block[index] == 0 { index += 1 }
    guard index == end else { throw ArchiveError(member: member, "a number in its header isn't one") }
    return value
  }
}

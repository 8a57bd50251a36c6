import Archive
import Testing

@Suite struct DecompressorTests {
  /// A gzip member of stored blocks.
  static func gzip(_ data: [UInt8], brokenChecksum: Bool = false) -> [UInt8] {
    var bytes: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]
    var rest = data[...]
    repeat {
      let block = rest.prefix(0xFFFF)
      rest = rest.dropFirst(0xFFFF)
      let count = UInt16(block.count)
      bytes.append(rest.isEmpty ? 1 : 0)
      bytes += [UInt8(count & 255), UInt8(count >> 8), UInt8(~count & 255), UInt8(~count >> 8)]
      bytes += block
    } while !rest.isEmpty
    func little(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) } }
    return bytes + little(crc32(data) ^ (brokenChecksum ? 1 : 0)) + little(UInt32(data.count))
  }

  static func crc32(_ data: [UInt8]) -> UInt32 {
    var crc: UInt32 = 0xFFFF_FFFF
    for byte in data {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 != 0 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
  }

  /// A zstd frame of raw blocks (RFC 8878); `repeated`: of blocks that stand for 128 KiB of one byte each.
  static func zstd(_ data: [UInt8] = [], repeated: Int = 0) -> [UInt8] {
    // No content size, no checksum, a window of 128 KiB.
    var bytes: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38]
    func block(_ size: Int, type: Int, isLast: Bool) -> [UInt8] {
      let header = size << 3 | type << 1 | (isLast ? 1 : 0)
      return [UInt8(header & 255), UInt8(header >> 8 & 255), UInt8(header >> 16 & 255)]
    }
    for index in 0..<repeated { bytes += block(128 << 10, type: 1, isLast: index == repeated - 1) + [0] }
    if repeated == 0 {
      var rest = data[...]
      repeat {
        let part = rest.prefix(100_000)
        rest = rest.dropFirst(100_000)
        bytes += block(part.count, type: 0, isLast: rest.isEmpty) + part
      } while !rest.isEmpty
    }
    return bytes
  }

  static func inflate(_ bytes: [UInt8], limits: ArchiveLimits = ArchiveLimits()) throws -> [UInt8] {
    try Decompressor(MemorySource(bytes), limits: limits).readAll(limit: 1 << 30)
  }

  static let sample = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 7) }

  @Test func plainPasses() throws {
    for data in [[], [1], [0x1F, 0x8B], Self.sample] { #expect(try Self.inflate(data) == data) }
    #expect(try Decompressor(MemorySource([])).format == .plain)
  }

  @Test func gzipInflates() throws {
    let source = try Decompressor(MemorySource(Self.gzip(Self.sample)))
    #expect(source.format == .gzip)
    #expect(try source.readAll(limit: 1 << 30) == Self.sample)
    #expect(try Self.inflate(Self.gzip([])) == [])
  }

  @Test func gzipMembersFollowOneAnother() throws {
    #expect(try Self.inflate(Self.gzip([1, 2]) + Self.gzip([]) + Self.gzip([3])) == [1, 2, 3])
    #expect(try Self.inflate(Self.gzip([1, 2]) + [0, 0, 0]) == [1, 2])
  }

  @Test func zstdInflates() throws {
    let source = try Decompressor(MemorySource(Self.zstd(Self.sample)))
    #expect(source.format == .zstd)
    #expect(try source.readAll(limit: 1 << 30) == Self.sample)
    // A skippable frame before, a second frame behind.
    let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 9]
    #expect(try Self.inflate(skippable + Self.zstd([1]) + Self.zstd([2])) == [1, 2])
  }

  static func refuses(_ reason: String, _ bytes: [UInt8], limits: ArchiveLimits = ArchiveLimits()) {
    do {
      _ = try inflate(bytes, limits: limits)
      Issue.record("not refused: \(reason)")
    } catch { #expect("\(error)".contains(reason)) }
  }

  @Test func refusesWhatIsCutShortOrDamaged() {
    let gzip = Self.gzip(Self.sample)
    Self.refuses("gzip: the stream is cut short", gzip.dropLast())
    Self.refuses("gzip: the stream is cut short", Array(gzip.prefix(5)))
    Self.refuses("gzip: incorrect data check", Self.gzip(Self.sample, brokenChecksum: true))
    Self.refuses("gzip: incorrect header check", gzip + [1, 2, 3])
    let zstd = Self.zstd(Self.sample)
    Self.refuses("zstd: the stream is cut short", zstd.dropLast())
    Self.refuses("zstd:", zstd + [1, 2, 3, 4, 5])
    Self.refuses("xz compression isn't supported", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00, 1])
    Self.refuses("bzip2 compression isn't supported", Array("BZh91AY".utf8))
    // A window of 2 GiB.
    Self.refuses("zstd:", [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xA8, 1, 0, 0])
  }

  @Test func refusesBombs() {
    var limits = ArchiveLimits()
    limits.ratioGrace = 16 << 20
    // 32 MiB of zeros in 1 KiB.
    Self.refuses("decompression bomb", Self.zstd(repeated: 256), limits: limits)
    #expect(throws: Never.self) { try Self.inflate(Self.zstd(repeated: 128), limits: limits) }
    limits.totalBytes = 1 << 20
    Self.refuses("more than 1048576 bytes", Self.zstd(repeated: 16), limits: limits)
    Self.refuses("more than 1048576 bytes", [UInt8](repeating: 1, count: 2 << 20), limits: limits)
  }
}

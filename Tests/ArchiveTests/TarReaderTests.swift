import Archive
import OCI
import Testing

@Suite struct TarReaderTests {
  /// All members with their data.
  static func read(_ bytes: [UInt8], limits: ArchiveLimits = ArchiveLimits()) throws -> [(
    entry: TarEntry, data: [UInt8]
  )] {
    let reader = TarReader(MemorySource(bytes), limits: limits)
    var result: [(TarEntry, [UInt8])] = []
    while let entry = try reader.next() { result.append((entry, try reader.allData(limit: 1 << 20))) }
    return result
  }

  static func one(_ build: (inout RawTar) -> Void) throws -> (entry: TarEntry, data: [UInt8]) {
    var tar = RawTar()
    build(&tar)
    return try #require(try read(tar.finished()).first)
  }

  static func refuses(_ reason: String, _ build: (inout RawTar) -> Void) {
    var tar = RawTar()
    build(&tar)
    refuses(reason, tar.finished())
  }

  static func refuses(_ reason: String, _ bytes: [UInt8], limits: ArchiveLimits = ArchiveLimits()) {
    do {
      _ = try read(bytes, limits: limits)
      Issue.record("not refused: \(reason)")
    } catch { #expect("\(error)".contains(reason)) }
  }

  @Test func ustarWithPrefix() throws {
    let (entry, data) = try Self.one { tar in
      var header = RawTar.Header("file", size: 3)
      header.prefix = "a/long/way"
      header.uid = "0001750"
      header.gid = " 12 \0\0"
      header.mode = "0104755"
      header.time = "00000000017"
      tar.header(header)
      tar.data([1, 2, 3])
    }
    #expect(entry.name == Array("a/long/way/file".utf8))
    #expect(entry.uid == 1000)
    #expect(entry.gid == 10)
    #expect(entry.mode == 0o4755)
    #expect(entry.modified.seconds == 15)
    #expect(data == [1, 2, 3])
  }

  @Test func oldestFormatsAndDirectoriesBySlash() throws {
    let (entry, _) = try Self.one { tar in
      var header = RawTar.Header("dir/", type: "\0")
      header.magic = ""
      tar.header(header)
    }
    #expect(entry.kind == .directory)
  }

  @Test func numbersInBase256() throws {
    let (entry, _) = try Self.one { tar in
      var header = RawTar.Header("x", type: "5")
      header.more = [(136, RawTar.base256(-1)), (108, Array(RawTar.base256(3_000_000_000).suffix(8)))]
      header.more[1].bytes[0] = 0x80
      tar.header(header)
    }
    #expect(entry.modified.seconds == -1)
    #expect(entry.uid == 3_000_000_000)
  }

  @Test func longNamesOfGNUAndPAX() throws {
    let long = String(repeating: "directory/", count: 40) + "file"
    let gnu = try Self.one { tar in
      tar.header(RawTar.Header("././@LongLink", type: "L", size: long.utf8.count + 1))
      tar.data(Array(long.utf8) + [0])
      tar.header(RawTar.Header("././@LongLink", type: "K", size: long.utf8.count))
      tar.data(Array(long.utf8))
      tar.header(RawTar.Header("short", type: "2"))
    }
    #expect(gnu.entry.name == Array(long.utf8))
    #expect(gnu.entry.linkName == Array(long.utf8))
    let pax = try Self.one { tar in
      tar.pax([
        ("path", long), ("linkpath", "target"), ("uid", "4000000000"), ("mtime", "-1.25"), ("comment", "ignored"),
      ])
      tar.header(RawTar.Header("short", type: "1", size: 5))
    }
    #expect(pax.entry.name == Array(long.utf8))
    #expect(pax.entry.linkName == Array("target".utf8))
    #expect(pax.entry.uid == 4_000_000_000)
    #expect(pax.entry.modified == Timestamp(seconds: -2, nanoseconds: 750_000_000))
    #expect(pax.data.isEmpty)
  }

  @Test func sizesAndAttributesOfPAX() throws {
    let (entry, data) = try Self.one { tar in
      tar.paxBody(
        RawTar.record("size", Array("3".utf8)) + RawTar.record("SCHILY.xattr.user.b", [0, 10, 61])
          + RawTar.record("SCHILY.xattr.user.a", Array("1".utf8)))
      tar.header(RawTar.Header("x"))
      tar.data([7, 8, 9])
    }
    #expect(data == [7, 8, 9])
    #expect(entry.attributes.map(\.name) == [Array("user.a".utf8), Array("user.b".utf8)])
    #expect(entry.attributes.last?.value == [0, 10, 61])
  }

  @Test func globalHeadersAreReadOver() throws {
    let (entry, _) = try Self.one { tar in
      tar.pax([("comment", "abc"), ("path", "wrong")], type: "g")
      tar.file("right")
    }
    #expect(entry.name == Array("right".utf8))
  }

  @Test func sparseFilesOfEveryMake() throws {
    let data = [UInt8](repeating: 1, count: 512) + [2, 2]
    let expected = [TarEntry.Segment(offset: 1024, length: 512), TarEntry.Segment(offset: 4096, length: 2)]
    let run: (Int, Int) -> [UInt8] = { Array((RawTar.octal($0, 12) + "\0" + RawTar.octal($1, 12) + "\0").utf8) }
    let old = try Self.one { tar in
      var header = RawTar.Header("s", type: "S", size: data.count)
      header.magic = "ustar  \0"
      header.more = [(386, run(1024, 512)), (482, [1]), (483, Array(RawTar.octal(8192, 12).utf8))]
      tar.header(header)
      var block = run(4096, 2)
      block += [UInt8](repeating: 0, count: 512 - block.count)
      tar.data(block)
      tar.data(data)
    }
    let zero = try Self.one { tar in
      tar.pax([
        ("GNU.sparse.size", "8192"), ("GNU.sparse.numblocks", "2"), ("GNU.sparse.offset", "1024"),
        ("GNU.sparse.numbytes", "512"),
        ("GNU.sparse.offset", "4096"), ("GNU.sparse.numbytes", "2"),
      ])
      tar.file("s", data)
    }
    let one = try Self.one { tar in
      tar.pax([("GNU.sparse.size", "8192"), ("GNU.sparse.name", "s"), ("GNU.sparse.map", "1024,512,4096,2")])
      tar.file("GNUSparseFile.1/s", data)
    }
    let last = try Self.one { tar in
      tar.pax([
        ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "s"), ("GNU.sparse.realsize", "8192"),
      ])
      let map = Array("2\n1024\n512\n4096\n2\n".utf8)
      tar.file("GNUSparseFile.1/s", map + [UInt8](repeating: 0, count: 512 - map.count) + data)
    }
    for (entry, bytes) in [old, zero, one, last] {
      #expect(entry.name == Array("s".utf8))
      #expect(entry.size == 8192)
      #expect(entry.segments == expected)
      #expect(bytes == data)
    }
  }

  @Test func endsAtZerosOrBetweenMembers() throws {
    var tar = RawTar()
    tar.file("a", [1])
    #expect(try Self.read(tar.bytes).count == 1)
    #expect(try Self.read(tar.bytes + [UInt8](repeating: 0, count: 512)).count == 1)
    #expect(try Self.read(tar.finished() + [1, 2, 3]).count == 1)
    #expect(try Self.read([]).isEmpty)
  }

  @Test func refusesWhatIsCutShort() {
    var tar = RawTar()
    tar.file("a-name", [UInt8](repeating: 7, count: 600))
    Self.refuses("\"a-name\": the archive is cut short", Array(tar.bytes.prefix(700)))
    Self.refuses("cut short", Array(tar.bytes.prefix(100)))
    tar.header(RawTar.Header("b", size: 1_000_000))
    Self.refuses("\"b\": the archive is cut short", tar.finished())
  }

  @Test func refusesWrongHeaders() {
    Self.refuses("checksum") { tar in
      var header = RawTar.Header("x")
      header.breaksChecksum = true
      tar.header(header)
    }
    Self.refuses("checksum", [UInt8](repeating: 0x41, count: 1024))
    Self.refuses("isn't its end") { tar in
      tar.file("a")
      tar.data([0])
      tar.file("b")
    }
    Self.refuses("type") { $0.header(RawTar.Header("x", type: "V")) }
    Self.refuses("negative") { tar in
      var header = RawTar.Header("x")
      header.size = RawTar.base256(-5)
      tar.header(header)
    }
    Self.refuses("64 bits") { tar in
      var header = RawTar.Header("x")
      header.size = [0x80, 1] + [UInt8](repeating: 0xFF, count: 10)
      tar.header(header)
    }
    Self.refuses("isn't one") { tar in
      var header = RawTar.Header("x")
      header.size = Array("9".utf8)
      tar.header(header)
    }
  }

  @Test func refusesWrongExtendedHeaders() {
    for body in [
      "x", "0 a=b\n", "99 a=b\n", "6 a=b", "5 ab\n", "7 =abc\n", "-6 a=b\n", "6 a=bx", "99999999999999999999999 a=b\n",
    ] {
      Self.refuses("PAX header is invalid") { tar in
        tar.paxBody(Array(body.utf8))
        tar.file("x")
      }
    }
    for (key, value) in [("size", "-1"), ("size", "x"), ("uid", "1.5"), ("mtime", "soon"), ("path", "a\0b")] {
      Self.refuses(key) { tar in
        tar.pax([(key, value)])
        tar.file("x")
      }
    }
    Self.refuses("doesn't fit 32 bits") { tar in
      tar.pax([("uid", "4294967296")])
      tar.file("x")
    }
    Self.refuses("without its member") { $0.pax([("path", "x")]) }
    Self.refuses("at most") { tar in tar.header(RawTar.Header("x", type: "x", size: 1 << 30)) }
    Self.refuses("at most") { tar in tar.header(RawTar.Header("x", type: "L", size: 1 << 30)) }
  }

  @Test func refusesSparseMapsThatLie() {
    for map in ["0,512,256,2", "4096,2,0,512", "8191,514", "0,9223372036854775807", "1024,512", "1"] {
      Self.refuses("sparse map") { tar in
        tar.pax([("GNU.sparse.size", "8192"), ("GNU.sparse.map", map)])
        tar.file("s", [UInt8](repeating: 1, count: 514))
      }
    }
    Self.refuses("sparse map") { tar in
      tar.pax([("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "1")])
      tar.file("s", Array("99999999999\n".utf8) + [UInt8](repeating: 0x31, count: 500))
    }
  }

  @Test func refusesMoreThanItsLimits() {
    var limits = ArchiveLimits()
    limits.members = 2
    limits.totalBytes = 4096
    var tar = RawTar()
    for name in ["a", "b", "c"] { tar.file(name) }
    Self.refuses("more than 2 members", tar.finished(), limits: limits)
    var big = RawTar()
    big.file("a", [UInt8](repeating: 0, count: 8192))
    big.file("b")
    Self.refuses("more than 4096 bytes", big.finished(), limits: limits)
  }

  @Test func writerAndReaderAgree() throws {
    var entry = TarEntry()
    entry.name = Array("päth/".utf8) + [UInt8](repeating: 0x61, count: 200) + [0xFF]
    entry.mode = 0o6755
    entry.uid = 4_000_000_000
    entry.gid = 7
    entry.modified = Timestamp(seconds: -3, nanoseconds: 500_000_000)
    entry.attributes = [(Array("security.capability".utf8), [1, 0, 0, 2, 0xFF])]
    var bytes: [UInt8] = []
    let writer = TarWriter { bytes.append(contentsOf: $0) }
    try writer.add(entry, data: [9, 8, 7])
    var device = TarEntry()
    device.kind = .characterDevice
    device.name = Array("null".utf8)
    (device.deviceMajor, device.deviceMinor) = (1, 3)
    try writer.add(device)
    try writer.finish()
    let read = try Self.read(bytes)
    #expect(read.count == 2)
    #expect(read[0].entry.name == entry.name)
    #expect(read[0].entry.mode == 0o6755)
    #expect(read[0].entry.uid == entry.uid)
    #expect(read[0].entry.modified == entry.modified)
    #expect(read[0].entry.attributes.map(\.value) == entry.attributes.map(\.value))
    #expect(read[0].data == [9, 8, 7])
    #expect(read[1].entry.kind == .characterDevice)
    #expect(read[1].entry.deviceMinor == 3)
  }

  @Test func noCutOfAValidArchiveIsTakenForAnother() throws {
    var tar = RawTar()
    tar.pax([("path", "long"), ("SCHILY.xattr.user.a", "b")])
    tar.file("x", [UInt8](repeating: 3, count: 700))
    tar.file("y", [1])
    let whole = tar.finished()
    // Any prefix is either a shorter archive that ends between members, or refused; nothing traps.
    for length in stride(from: 0, to: whole.count, by: 37) {
      if let members = try? Self.read(Array(whole.prefix(length))) {
        for (index, member) in members.enumerated() { #expect(member.data.count == (index == 0 ? 700 : 1)) }
      }
    }
    // One byte wrong anywhere: no trap either.
    for index in stride(from: 0, to: whole.count, by: 11) {
      var broken = whole
      broken[index] ^= 0x55
      _ = try? Self.read(broken)
    }
  }
}

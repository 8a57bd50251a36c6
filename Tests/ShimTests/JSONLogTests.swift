import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

@testable import Shim

@Suite struct JSONLogTests {
  let directory = Scratch()
  var path: String { directory.path + "/log" }

  private func makeLog(maximumSize: Int64? = nil, maximumFiles: Int = 1) throws -> JSONLog {
    try JSONLog(LaunchPlan.Log(path: path, maximumSize: maximumSize, maximumFiles: maximumFiles))
  }

  private func append(_ log: JSONLog, _ stream: JSONLog.Stream, _ bytes: [UInt8]) {
    bytes.withUnsafeBytes { log.append(stream, $0) }
  }

  private func append(_ log: JSONLog, _ stream: JSONLog.Stream, _ text: String) {
    append(log, stream, Array(text.utf8))
  }

  private func lines(_ path: String) throws -> [String] {
    let text = String(decoding: try Sys.readFile(path), as: UTF8.self)
    #expect(text.isEmpty || text.hasSuffix("\n"))
    return text.split(separator: "\n").map(String.init)
  }

  private func records(_ path: String) throws -> [JSON] { try lines(path).map { try JSON.parse($0) } }

  @Test func writesWhatDockersDriverWrites() throws {
    let log = try makeLog()
    // As docker 26 logged the same output, but for the time.
    append(log, .stdout, Array("a\tb<>&\"\\\r".utf8) + [1, 0x7F, 0xFF, 0xE2, 0x80, 0xA8] + Array("é\n".utf8))
    append(log, .stderr, "oops\n")
    let written = try lines(path)
    let start =
      #"{"log":"a\u0009b\u003c\u003e\u0026\"\\\r\u0001"# + "\u{7F}" + #"\ufffd\u2028é\n","stream":"stdout","time":""#
    #expect(written[0].hasPrefix(start))
    #expect(written[1].hasPrefix(#"{"log":"oops\n","stream":"stderr","time":""#))
    #expect(written.allSatisfy { $0.hasSuffix("Z\"}") })
    let text = try #require(try records(path)[0]["time"]?.stringValue)
    let time = try #require(Timestamp(text))
    #expect(abs(time.nanosecondsSinceEpoch - Sys.realtimeNanoseconds()) < 10_000_000_000)
  }

  @Test(
    arguments: [
      (0, "1970-01-01T00:00:00Z"), (1_500_000_000, "1970-01-01T00:00:01.5Z"),
      (1_000_000_001, "1970-01-01T00:00:01.000000001Z"),
      (1_767_225_599_999_999_999, "2025-12-31T23:59:59.999999999Z"),
    ] as [(Int64, String)])
  func writesTimesAsGosRFC3339Nano(nanoseconds: Int64, text: String) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 1)
    defer { buffer.deallocate() }
    var writer = LogWriter(buffer)
    var clock = LogClock()
    clock.write(nanoseconds, &writer)
    #expect(String(decoding: buffer[..<writer.count], as: UTF8.self) == text)
    #expect(Timestamp(nanosecondsSinceEpoch: nanoseconds).description == text)
  }

  @Test func keepsALineTogetherHoweverItComes() throws {
    let log = try makeLog()
    for piece in ["he", "l", "lo\nwor", "ld\n", "\n"] { append(log, .stdout, piece) }
    #expect(try records(path).map { $0["log"]?.stringValue } == ["hello\n", "world\n", "\n"])
  }

  @Test func keepsTheStreamsApart() throws {
    let log = try makeLog()
    append(log, .stdout, "out")
    append(log, .stderr, "err\n")
    append(log, .stdout, "put\n")
    #expect(try records(path).map { $0["log"]?.stringValue } == ["err\n", "output\n"])
  }

  @Test func logsALineWithoutEndWhenItsStreamEnds() throws {
    let log = try makeLog()
    append(log, .stdout, "no newline")
    #expect(try lines(path).isEmpty)
    log.end(.stdout)
    log.end(.stderr)
    #expect(try records(path).map { $0["log"]?.stringValue } == ["no newline"])
  }

  @Test(arguments: [1, 7, 4096, 16384, 65536])
  func splitsLongLinesAsDockerDoes(chunk: Int) throws {
    let log = try makeLog()
    let input = [UInt8](repeating: 0x78, count: 40000) + [0x0A] + [UInt8](repeating: 0x79, count: 16384) + [0x0A]
    var rest = input[...]
    while !rest.isEmpty {
      append(log, .stdout, Array(rest.prefix(chunk)))
      rest = rest.dropFirst(chunk)
    }
    let written = try records(path)
    #expect(written.map { $0["log"]?.stringValue?.utf8.count } == [16384, 16384, 7233, 16384, 1])
    // the pieces of one line bear its first piece's time
    #expect(written[0]["time"] == written[2]["time"])
    #expect(written[3]["time"] == written[4]["time"])
  }

  @Test func splittingDestroysNoCharacter() throws {
    let log = try makeLog()
    // 16384 isn't a multiple of 3
    let text = String(repeating: "€", count: 20000)
    for byte in stride(from: 0, to: 60000, by: 1000) {
      append(log, .stdout, Array(Array(text.utf8)[byte..<byte + 1000]))
    }
    append(log, .stdout, "\n")
    let pieces = try records(path).compactMap { $0["log"]?.stringValue }
    #expect(pieces.count == 4)
    #expect(pieces.joined() == text + "\n")
    #expect(pieces.allSatisfy { $0.utf8.count <= 16384 })
  }

  @Test func everyByteSurvivesOrIsReplaced() throws {
    let log = try makeLog()
    let all = (0...255).map { UInt8($0) }.filter { $0 != 0x0A } + [0x0A]
    append(log, .stdout, all)
    // an unfinished sequence before the end of a line, overlong forms, surrogates
    append(log, .stdout, [0xE2, 0x82, 0x0A, 0xC0, 0xAF, 0x0A, 0xED, 0xA0, 0x80, 0x0A, 0xF0, 0x9F, 0x98, 0x80, 0x0A])
    let pieces = try records(path).compactMap { $0["log"]?.stringValue }
    #expect(pieces[0].unicodeScalars.count == 256)
    #expect(pieces[1...] == ["\u{FFFD}\u{FFFD}\n", "\u{FFFD}\u{FFFD}\n", "\u{FFFD}\u{FFFD}\u{FFFD}\n", "😀\n"])
  }

  @Test func rotatesBySizeAndKeepsSoManyFiles() throws {
    let log = try makeLog(maximumSize: 1000, maximumFiles: 3)
    for index in 0..<100 { append(log, .stdout, "line \(index)\n") }
    var kept: [String] = []
    for name in [path + ".2", path + ".1", path] {
      let size = try Sys.status(name).st_size
      #expect(size < 1000 + 100)
      kept += try records(name).compactMap { $0["log"]?.stringValue }
    }
    // Each file ends where the next begins: what is there is an unbroken end of what was written.
    #expect(kept == (0..<100).suffix(kept.count).map { "line \($0)\n" })
    #expect(kept.count > 20)
    #expect(!Sys.exists(path + ".3"))
    #expect(!Sys.exists(path + ".new"))
  }

  @Test func withOneFileRotationBeginsAnew() throws {
    let log = try makeLog(maximumSize: 500, maximumFiles: 1)
    for index in 0..<50 { append(log, .stdout, "line \(index)\n") }
    #expect(try records(path).last?["log"]?.stringValue == "line 49\n")
    #expect(try Sys.status(path).st_size < 600)
    #expect(!Sys.exists(path + ".1"))
  }

  @Test func goesOnInAnExistingFileBehindWholeRecords() throws {
    let old = "{\"log\":\"old\\n\",\"stream\":\"stdout\",\"time\":\"x\"}\n{\"log\":\"to"
    try Sys.replaceFile(path, with: Array(old.utf8), durable: false)
    let log = try makeLog()
    append(log, .stdout, "new\n")
    let written = try lines(path)
    #expect(written.count == 3)
    #expect(try JSON.parse(written[2])["log"]?.stringValue == "new\n")
  }

  @Test func aFullDiskLosesWholeRecordsAndNothingElse() throws {
    let small = directory.path + "/small"
    try Sys.mkdir(small)
    let mounted = mount("tmpfs", small, "tmpfs", 0, "size=64k")
    try #require(mounted == 0)
    defer { umount2(small, Int32(MNT_DETACH)) }
    let log = try JSONLog(LaunchPlan.Log(path: small + "/log", maximumSize: nil, maximumFiles: 1))
    for index in 0..<3000 { append(log, .stdout, "line \(index)\n") }
    #expect(log.lost > 0)
    let kept = try records(small + "/log").compactMap { $0["log"]?.stringValue }
    // Whole lines in their order; a shorter one may still have found room behind those that were lost.
    let numbers = kept.compactMap { Int($0.dropFirst(5).dropLast()) }
    #expect(numbers.count == kept.count && zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 })
    #expect(numbers.first == 0 && kept.count > 500)
    #expect(kept.count + Int(log.lost) == 3000)
    // When there is room again, the log goes on.
    let file = try Sys.open(small + "/log", O_RDWR)
    try Sys.ftruncate(file.raw, 0)
    append(log, .stdout, "again\n")
    #expect(try records(small + "/log").last?["log"]?.stringValue == "again\n")
  }
}

@Suite struct ExitRecordTests {
  @Test func readsBackWhatItWrote() throws {
    let directory = Scratch()
    let path = directory.path + "/exit.json"
    #expect(try ExitRecord.read(path) == nil)
    for record in [
      ExitRecord(code: 137, signal: 9, oomKilled: true, startedAt: 1, exitedAt: .max),
      ExitRecord(code: 0, startedAt: 5, exitedAt: 6),
    ] {
      try record.write(to: path, durable: true)
      #expect(try ExitRecord.read(path) == record)
    }
  }

  @Test func refusesWhatIsNoRecord() throws {
    let directory = Scratch()
    let path = directory.path + "/exit.json"
    try Sys.replaceFile(path, with: Array("{\"code\":".utf8), durable: false)
    #expect(throws: SyscallError("read exit record", path, .invalidArgument)) { try ExitRecord.read(path) }
  }
}

import OCI
import Testing

@testable import Commands

@Suite struct TextTests {
  static let durationsAreHumanCases: [(Double, String)] = [
    (0.5, "Less than a second"), (1, "1 second"), (59, "59 seconds"), (60, "About a minute"), (119, "About a minute"),
    (120, "2 minutes"), (3540, "59 minutes"), (3600, "About an hour"), (5399, "About an hour"), (5400, "2 hours"),
    (47 * 3600, "47 hours"), (48 * 3600, "2 days"), (14 * 86400, "2 weeks"), (60 * 86400, "2 months"),
    (730 * 86400, "2 years"),
  ]

  @Test(arguments: durationsAreHumanCases)
  func durationsAreHuman(_ seconds: Double, _ text: String) { #expect(HumanUnits.duration(seconds: seconds) == text) }

  static let sizesAreHumanCases: [(Double, String)] = [
    (0, "0B"), (999, "999B"), (1000, "1kB"), (1_983_776, "1.98MB"), (170_401_280, "170MB"), (1_500_000_000, "1.5GB"),
    (999_999, "1e+03kB"),
  ]

  @Test(arguments: sizesAreHumanCases)
  func sizesAreHuman(_ bytes: Double, _ text: String) { #expect(HumanUnits.size(bytes, precision: 3) == text) }

  @Test func binarySizesAreHuman() {
    #expect(HumanUnits.binarySize(0) == "0B")
    #expect(HumanUnits.binarySize(356_352) == "348KiB")
    #expect(HumanUnits.binarySize(25_276_350_464) == "23.54GiB")
  }

  @Test func sizesAreReadInPowersOf1024() {
    #expect(ByteSize.parse("512m") == 512 << 20)
    #expect(ByteSize.parse("1.5GiB") == 3 << 29)
    #expect(ByteSize.parse("10 kb") == 10240)
    #expect(ByteSize.parse("7") == 7)
    for text in ["", "m", "-1", "5x", "1mm", "99999999999p"] { #expect(ByteSize.parse(text) == nil, "\(text)") }
  }

  @Test func processorsAreCountedInBillionths() {
    #expect(Decimal.nano("1.5") == 1_500_000_000)
    #expect(Decimal.nano("0.000000001") == 1)
    #expect(Decimal.nano(".5") == 500_000_000)
    for text in ["", "x", "1.2.3", "0.0000000001", "99999999999"] { #expect(Decimal.nano(text) == nil, "\(text)") }
  }

  @Test func durationsAreGos() {
    #expect(GoDuration.parse("1h30m") == 5_400_000_000_000)
    #expect(GoDuration.parse("-1.5s") == -1_500_000_000)
    #expect(GoDuration.parse("100ms") == 100_000_000)
    #expect(GoDuration.parse("0") == 0)
    for text in ["", "5", "s", "1x", "1h-2m"] { #expect(GoDuration.parse(text) == nil, "\(text)") }
  }

  @Test func columnsAreAlignedInBlocks() {
    var writer = TabWriter(minimumWidth: 10, padding: 3)
    writer.write("A\tBB\tC\n1234567890123\tx\ty\n\ttail\nalone\nq\tr\n")
    #expect(
      writer.finish()
        == "A               BB        C\n1234567890123   x         y\n                tail\nalone\nq         r\n")
  }

  @Test func wideCharactersTakeTwoColumns() {
    var writer = TabWriter(minimumWidth: 4, padding: 1)
    writer.write("日本\tx\nab\ty\n")
    #expect(writer.finish() == "日本 x\nab   y\n")
    #expect(GoText.ellipsis("日本語です", 5) == "日本…")
    #expect(GoText.ellipsis("sleep 1000000000000000", 20) == "sleep 1000000000000…")
    #expect(GoText.ellipsis("short", 20) == "short")
  }

  @Test func quotesAreGos() {
    #expect(GoText.quote("a\"b\\\n\t\u{1}\u{7F}é") == "\"a\\\"b\\\\\\n\\t\\x01\\x7fé\"")
  }

  @Test func portsAreJoinedToRanges() throws {
    let ports = try JSON.parse(
      """
      [{"IP":"0.0.0.0","PrivatePort":81,"PublicPort":81,"Type":"tcp"},{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":80,"Type":"tcp"},
       {"IP":"::","PrivatePort":80,"PublicPort":80,"Type":"tcp"},{"PrivatePort":53,"Type":"udp"},
       {"IP":"127.0.0.1","PrivatePort":90,"PublicPort":9000,"Type":"tcp"}]
      """)
    #expect(
      DisplayedPorts.text(ports.arrayValue ?? [])
        == "53/udp, 0.0.0.0:80-81->80-81/tcp, [::]:80->80/tcp, 127.0.0.1:9000->90/tcp")
  }

  @Test func timesAreRead() throws {
    #expect(Timestamps.parse("1970-01-02T00:00:01.5Z").map { [$0.seconds, $0.nanoseconds] } == [86401, 500_000_000])
    #expect(Timestamps.parse("1970-01-01T02:00:00+02:00")?.seconds == 0)
    for text in ["", "x", "1970-13-01", "1970-01-01T25:61:61:61Z", "1970-01-01T00:00:00.Z"] {
      #expect(Timestamps.parse(text) == nil, "\(text)")
    }
    #expect(Timestamps.ansic("2026-08-13T05:35:48.000000000+00:00") == "Thu Aug 13 05:35:48 2026")
    #expect(try Timestamps.parameter("1700000000.5") == "1700000000.5")
    #expect(throws: CommandFailure.self) { try Timestamps.parameter("nonsense") }
  }

  @Test func namesOfImagesAreShortened() {
    #expect(ImageName.familiar("busybox") == "busybox:latest")
    #expect(ImageName.familiar("docker.io/library/busybox:1") == "busybox:1")
    #expect(ImageName.familiar("localhost:5000/a/b") == "localhost:5000/a/b:latest")
    #expect(Pull.canonical("a/b:1", all: false) == "docker.io/a/b:1")
    #expect(Pull.canonical("quay.io/a", all: false) == "quay.io/a:latest")
    for text in ["a", "a/b:c", "localhost:5000/a_b/c.d:Tag-1", "a@sha256:" + String(repeating: "0", count: 64)] {
      #expect(ImageName.isReference(text), "\(text)")
    }
    for text in ["", "x y", "A", "a:", "a/", "-a", "a:-b"] { #expect(!ImageName.isReference(text), "\(text)") }
  }

  @Test func numbersInNamesAreInOrder() {
    #expect(NaturalOrder.precedes("80/tcp -> 1", "443/tcp -> 1"))
    #expect(!NaturalOrder.precedes("443/tcp -> 1", "80/tcp -> 1"))
  }

  @Test func JSONKeepsItsOwnText() {
    #expect(
      GoJSON.indent(Array("[{\"a\":1.50,\"b\":[],\"c\":{},\"d\":[1,\"x:,{\"]}]".utf8)) == """
        [
            {
                "a": 1.50,
                "b": [],
                "c": {},
                "d": [
                    1,
                    "x:,{"
                ]
            }
        ]
        """)
    #expect(GoJSON.compact(Array("{ \"a b\" : [ 1 ] }".utf8)) == "{\"a b\":[1]}")
  }
}

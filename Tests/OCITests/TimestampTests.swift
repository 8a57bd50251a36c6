import OCI
import Testing

@Suite struct TimestampTests {
  @Test(arguments: [
    ("1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z"),
    ("2026-11-24T13:50:11.5Z", 1_795_528_211, 500_000_000, "2026-11-24T13:50:11.5Z"),
    ("2024-02-29T23:59:59.000000001Z", 1_709_251_199, 1, "2024-02-29T23:59:59.000000001Z"),
    ("2022-02-04T22:20:12.497794809+01:00", 1_644_009_612, 497_794_809, "2022-02-04T21:20:12.497794809Z"),
    ("1969-12-31T23:59:59.25Z", -1, 250_000_000, "1969-12-31T23:59:59.25Z"),
    ("0001-01-01T00:00:00Z", -62_135_596_800, 0, "0001-01-01T00:00:00Z"),
    ("9999-12-31T23:59:59Z", 253_402_300_799, 0, "9999-12-31T23:59:59Z"),
  ])
  func readsAndWrites(text: String, seconds: Int64, nanoseconds: Int32, written: String) throws {
    let timestamp = try #require(Timestamp(text))
    #expect(timestamp.seconds == seconds)
    #expect(timestamp.nanoseconds == nanoseconds)
    #expect(timestamp.description == written)
  }

  @Test(arguments: [
    "", "2026", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00Zx", "x026-01-01T00:00:00Z",
  ])
  func refuses(text: String) { #expect(Timestamp(text) == nil) }

  @Test func countsNanoseconds() {
    #expect(Timestamp(nanosecondsSinceEpoch: -1).description == "1969-12-31T23:59:59.999999999Z")
    #expect(Timestamp(nanosecondsSinceEpoch: -1).nanosecondsSinceEpoch == -1)
    #expect(Timestamp(seconds: Int64.max).nanosecondsSinceEpoch == Int64.max)
    #expect(Timestamp(seconds: Int64.max).description == "9999-12-31T23:59:59Z")
    #expect(Timestamp(seconds: 1, nanoseconds: 5).text(fractionDigits: 9) == "1970-01-01T00:00:01.000000005Z")
    #expect(Timestamp(seconds: 1, nanoseconds: 999_999_999).text(fractionDigits: 3) == "1970-01-01T00:00:01.999Z")
  }
}

/// A moment in UTC with nanoseconds, and its RFC 3339 text as Go's `time.RFC3339Nano` writes it.
public struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// Seconds since 1970-01-01T00:00:00Z; negative before.
  public let seconds: Int64
  /// 0 to 999,999,999, counted forwards from `seconds`.
  public let nanoseconds: Int32

  public init(seconds: Int64, nanoseconds: Int32 = 0) {
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// From nanoseconds since the epoch.
  public init(nanosecondsSinceEpoch total: Int64) {
    let (quotient, remainder) = total.quotientAndRemainder(dividingBy: 1_000_000_000)
    seconds = remainder < 0 ? quotient - 1 : quotient
    nanoseconds = Int32(remainder < 0 ? remainder + 1_000_000_000 : remainder)
  }

  /// Go's zero time, what Docker shows for "never": `0001-01-01T00:00:00Z`.
  public static let zero = Timestamp(seconds: -62_135_596_800)

  /// Nanoseconds since the epoch, held within what 64 bits count (the years 1677 to 2262).
  public var nanosecondsSinceEpoch: Int64 {
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    if overflow { return seconds < 0 ? Int64.min : Int64.max }
    let (sum, overflowSum) = product.addingReportingOverflow(Int64(nanoseconds))
    return overflowSum ? Int64.max : sum
  }

  public static func < (a: Timestamp, b: Timestamp) -> Bool { (a.seconds, a.nanoseconds) < (b.seconds, b.nanoseconds) }

  /// `2026-01-02T03:04:05.000006789Z`, trailing zeros of the fraction left out, as `time.RFC3339Nano`.
  public var description: String { text(fractionDigits: nil) }

  /// With exactly so many digits of the fraction (0 to 9); `nil`: as many as are needed.
  public func text(fractionDigits: Int?) -> String {
    // RFC 3339 has years of four digits; what lies outside is shown as the nearest that has.
    let clamped = min(max(seconds, -62_167_219_200), 253_402_300_799)
    let (days, second) = Self.floorDivide(clamped, 86_400)
    let (year, month, day) = Self.civil(days: days)
    var text = [UInt8]()
    text.reserveCapacity(30)
    func digits(_ value: Int64, _ width: Int) {
      var divisor: Int64 = 1
      for _ in 1..<width { divisor *= 10 }
      for _ in 0..<width {
        text.append(UInt8(0x30 + value / divisor % 10))
        divisor /= 10
      }
    }
    digits(year, 4)
    text.append(UInt8(ascii: "-"))
    digits(month, 2)
    text.append(UInt8(ascii: "-"))
    digits(day, 2)
    text.append(UInt8(ascii: "T"))
    digits(second / 3600, 2)
    text.append(UInt8(ascii: ":"))
    digits(second / 60 % 60, 2)
    text.append(UInt8(ascii: ":"))
    digits(second % 60, 2)
    var width = 9
    var fraction = Int64(nanoseconds)
    if let fractionDigits {
      while width > max(0, fractionDigits) {
        fraction /= 10
        width -= 1
      }
    } else {
      while width > 0, fraction % 10 == 0 {
        fraction /= 10
        width -= 1
      }
    }
    if width > 0 {
      text.append(UInt8(ascii: "."))
      digits(fraction, width)
    }
    text.append(UInt8(ascii: "Z"))
    return String(decoding: text, as: UTF8.self)
  }

  /// RFC 3339, with any offset and up to any digits of a fraction (those past the ninth are dropped); `nil` when it isn't that.
  public init?(_ text: String) {
    var cursor = Cursor(bytes: Array(text.utf8))
    guard let year = cursor.digits(4), cursor.take("-"), let month = cursor.digits(2), cursor.take("-"),
      let day = cursor.digits(2), cursor.take("T") || cursor.take("t") || cursor.take(" "),
      let hour = cursor.digits(2), cursor.take(":"), let minute = cursor.digits(2), cursor.take(":"),
      let second = cursor.digits(2)
    else { return nil }
    guard (1...12).contains(month), (1...Self.days(in: month, of: year)).contains(day), hour < 24, minute < 60,
      second < 61
    else { return nil }
    var fraction: Int64 = 0
    if cursor.take(".") || cursor.take(",") {
      var scale: Int64 = 100_000_000
      guard let first = cursor.digits(1) else { return nil }
      fraction = first * scale
      while let next = cursor.digits(1) {
        scale /= 10
        fraction += next * scale
      }
    }
    var offset: Int64 = 0
    if !(cursor.take("Z") || cursor.take("z")) {
      let negative = cursor.take("-")
      guard negative || cursor.take("+"), let hours = cursor.digits(2), cursor.take(":"),
        let minutes = cursor.digits(2),
        hours < 24, minutes < 60
      else { return nil }
      offset = (hours * 60 + minutes) * 60 * (negative ? -1 : 1)
    }
    guard cursor.atEnd else { return nil }
    let days = Self.daysSinceEpoch(year: year, month: month, day: day)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    nanoseconds = Int32(fraction)
  }

  private struct Cursor {
    let bytes: [UInt8]
    var position = 0

    var atEnd: Bool { position == bytes.count }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard position < bytes.count, UInt32(bytes[position]) == character.value else { return false }
      position += 1
      return true
    }

    mutating func digits(_ count: Int) -> Int64? {
      guard position + count <= bytes.count else { return nil }
      var value: Int64 = 0
      for index in position..<position + count {
        guard (0x30...0x39).contains(bytes[index]) else { return nil }
        value = value * 10 + Int64(bytes[index] - 0x30)
      }
      position += count
      return value
    }
  }

  private static func floorDivide(_ value: Int64, _ divisor: Int64) -> (Int64, Int64) {
    let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }

  private static func days(in month: Int64, of year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }

  // Days and civil dates of the proleptic Gregorian calendar, counted in eras of 400 years that begin on 1 March.
  private static func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
    let shifted = month <= 2 ? year - 1 : year
    let (era, yearOfEra) = floorDivide(shifted, 400)
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  private static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    let (era, dayOfEra) = floorDivide(days + 719_468, 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
  }
}

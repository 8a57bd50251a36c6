/// Points in time as the API's filters and parameters write them: seconds since 1970 with a fraction (`1136073600.000000001`), a
/// time of RFC 3339 or a part of one (`2006-01-02T15:04`), or a duration back from now (`10m`, `1h30m`).
public enum TimeFilter {
  /// Nanoseconds since 1970; `nil` when it is none of these.
  public static func parse(_ text: String, now: Int64) -> Int64? {
    if let time = seconds(text) { return time }
    if let duration = duration(text) { return now - duration }
    return calendar(text)
  }

  static func seconds(_ text: String) -> Int64? {
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let whole = Int64(parts[0]) else { return nil }
    var nanoseconds: Int64 = 0
    if parts.count == 2 {
      let digits = parts[1].prefix(9)
      guard !digits.isEmpty, let value = Int64(digits), value >= 0 else { return nil }
      nanoseconds = value
      for _ in digits.count..<9 { nanoseconds *= 10 }
    }
    let (product, overflow) = whole.multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? nil : product &+ nanoseconds
  }

  /// Go's `time.ParseDuration`, the units that make sense here.
  static func duration(_ text: String) -> Int64? {
    var total: Double = 0
    var rest = Substring(text)
    guard !rest.isEmpty else { return nil }
    while !rest.isEmpty {
      let number = rest.prefix { $0.isNumber || $0 == "." }
      guard let value = Double(number) else { return nil }
      rest = rest.dropFirst(number.count)
      let unit = rest.prefix { $0.isLetter || $0 == "µ" }
      rest = rest.dropFirst(unit.count)
      switch unit {
      case "h": total += value * 3600e9
      case "m": total += value * 60e9
      case "s": total += value * 1e9
      case "ms": total += value * 1e6
      case "us", "µs": total += value * 1e3
      case "ns": total += value
      default: return nil
      }
    }
    return total < 9e18 ? Int64(total) : nil
  }

  static func calendar(_ text: String) -> Int64? {
    var body = Substring(text)
    var offset: Int64 = 0
    if body.hasSuffix("Z") {
      body = body.dropLast()
    } else if body.count > 19,
      let sign = body.dropFirst(19).lastIndex(where: { $0 == "+" || $0 == "-" })
    {
      let zone = body[body.index(after: sign)...].split(separator: ":").compactMap { Int64($0) }
      guard zone.count == 2 else { return nil }
      offset = (zone[0] * 3600 + zone[1] * 60) * (body[sign] == "-" ? -1 : 1)
      body = body[..<sign]
    }
    let halves = body.split(separator: "T", maxSplits: 1, omittingEmptySubsequences: false)
    let date = halves[0].split(separator: "-").compactMap { Int64($0) }
    guard date.count == 3, (1...12).contains(date[1]), (1...31).contains(date[2]), (1...9999).contains(date[0]) else {
      return nil
    }
    var seconds: Int64 = 0
    var nanoseconds: Int64 = 0
    if halves.count == 2 {
      let pieces = halves[1].split(separator: ":", omittingEmptySubsequences: false)
      guard (1...3).contains(pieces.count), let hour = Int64(pieces[0]), (0...23).contains(hour) else { return nil }
      seconds = hour * 3600
      if pieces.count > 1 {
        guard let minute = Int64(pieces[1]), (0...59).contains(minute) else { return nil }
        seconds += minute * 60
      }
      if pieces.count > 2 {
        guard let time = Self.seconds(String(pieces[2])), (0..<61_000_000_000).contains(time) else { return nil }
        seconds += time / 1_000_000_000
        nanoseconds = time % 1_000_000_000
      }
    }
    return (days(date[0], date[1], date[2]) * 86_400 + seconds - offset) * 1_000_000_000 + nanoseconds
  }

  /// Days since 1970-01-01 of the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms").
  static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
    let y = month <= 2 ? year - 1 : year
    let era = (y >= 0 ? y : y - 399) / 400
    let yearOfEra = y - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }
}

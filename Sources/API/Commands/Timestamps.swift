import CLinux

/// Points in time as docker's options take them and its output shows them.
enum Timestamps {
  /// time.Time's String(), in the local zone: `2026-11-24 13:57:00 +0000 UTC`.
  static func text(seconds: Int64, nanoseconds: Int64 = 0) -> String {
    let local = broken(seconds)
    let fraction = nanoseconds == 0 ? "" : "." + trimmedZeros(padded(nanoseconds, 9))
    return "\(date(local)) \(clock(local))\(fraction) \(offset(local, colon: false)) \(zone(local))"
  }

  /// The same of a time that was read, in its own zone.
  static func text(_ time: Parsed) -> String {
    var seconds = time_t(time.seconds + time.offset)
    var own = tm()
    gmtime_r(&seconds, &own)
    own.tm_gmtoff = Int(time.offset)
    let fraction = time.nanoseconds == 0 ? "" : "." + trimmedZeros(padded(time.nanoseconds, 9))
    let zone = offset(own, colon: false)
    return "\(date(own)) \(clock(own))\(fraction) \(zone) \(time.offset == 0 ? "UTC" : zone)"
  }

  /// RFC 3339 in the local zone with all nine digits, as events show it.
  static func rfc3339(nanoseconds: Int64) -> String {
    let local = broken(nanoseconds / 1_000_000_000)
    let zone = local.tm_gmtoff == 0 ? "Z" : offset(local, colon: true)
    return "\(date(local))T\(clock(local)).\(padded(nanoseconds % 1_000_000_000, 9))\(zone)"
  }

  /// RFC 3339 in the local zone without a fraction: `2026-11-24T13:57:00Z`.
  static func rfc3339(seconds: Int64) -> String {
    let local = broken(seconds)
    return "\(date(local))T\(clock(local))\(local.tm_gmtoff == 0 ? "Z" : offset(local, colon: true))"
  }

  /// `Thu Aug 13 05:35:48 2026` of an RFC 3339 text, in its own zone; other texts as they are.
  static func ansic(_ text: String) -> String {
    guard let parsed = parse(text) else { return text }
    var seconds = time_t(parsed.seconds + parsed.offset)
    var utc = tm()
    gmtime_r(&seconds, &utc)
    return formatted("%a %b %e %H:%M:%S %Y", utc)
  }

  /// The current time in nanoseconds since 1970.
  static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// `--since` and `--until`: a duration before now, a date, or a number of seconds, as the daemon takes it.
  static func parameter(_ text: String) throws -> String {
    if text.isEmpty { return "" }
    if let ago = GoDuration.parse(text) {
      let (difference, overflow) = now().subtractingReportingOverflow(ago)
      let then = overflow ? .max : max(0, difference)
      return "\(then / 1_000_000_000).\(padded(then % 1_000_000_000, 9))"
    }
    if let date = parse(text) { return "\(date.seconds).\(padded(date.nanoseconds, 9))" }
    let (whole, fraction) = text.cut(".")
    guard Int64(whole) != nil, fraction.map({ $0.allSatisfy(\.isNumber) }) ?? true else {
      throw CommandFailure(
        "invalid value for \"since\": failed to parse value as time or duration: \(GoText.quote(text))")
    }
    return text
  }

  struct Parsed {
    var seconds: Int64
    var nanoseconds: Int64
    /// Of its zone, in seconds east of UTC.
    var offset: Int64
  }

  /// `2006-01-02[T15[:04[:05[.fraction]]][Z|±07:00]]`; without a zone it is the local one's.
  static func parse(_ text: String) -> Parsed? {
    let (dateText, rest) = text.cut("T")
    let dateParts = dateText.split(separator: "-", omittingEmptySubsequences: false).map { Int32($0) }
    guard dateParts.count == 3, let year = dateParts[0], let month = dateParts[1], let day = dateParts[2],
      (0...9999).contains(year), (1...12).contains(month), (1...31).contains(day)
    else { return nil }
    var broken = tm()
    (broken.tm_year, broken.tm_mon, broken.tm_mday) = (year - 1900, month - 1, day)
    var nanoseconds: Int64 = 0
    var zone: Int64?
    if var clock = rest.map({ Substring($0) }) {
      if clock.hasSuffix("Z") {
        clock.removeLast()
        zone = 0
      } else if let sign = clock.lastIndex(where: { $0 == "+" || $0 == "-" }) {
        let parts = clock[clock.index(after: sign)...].split(separator: ":").map { Int64($0) }
        guard parts.count == 2, let hours = parts[0], let minutes = parts[1], hours < 24, minutes < 60 else {
          return nil
        }
        zone = (hours * 3600 + minutes * 60) * (clock[sign] == "-" ? -1 : 1)
        clock = clock[..<sign]
      }
      let (whole, fraction) = clock.cut(".")
      let parts = whole.split(separator: ":", omittingEmptySubsequences: false).map { Int32($0) }
      guard (1...3).contains(parts.count), parts.allSatisfy({ $0.map { (0...60).contains($0) } ?? false }) else {
        return nil
      }
      broken.tm_hour = (parts[0] ?? 0)
      broken.tm_min = parts.count > 1 ? (parts[1] ?? 0) : 0
      broken.tm_sec = parts.count > 2 ? (parts[2] ?? 0) : 0
      if let fraction {
        guard !fraction.isEmpty, fraction.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
        nanoseconds = Int64((fraction + "000000000").prefix(9)) ?? 0
      }
    }
    if let zone { return Parsed(seconds: Int64(timegm(&broken)) - zone, nanoseconds: nanoseconds, offset: zone) }
    broken.tm_isdst = -1
    let seconds = Int64(mktime(&broken))
    return Parsed(seconds: seconds, nanoseconds: nanoseconds, offset: Int64(broken.tm_gmtoff))
  }

  private static func broken(_ seconds: Int64) -> tm {
    var time = time_t(seconds)
    var local = tm()
    localtime_r(&time, &local)
    return local
  }

  private static func formatted(_ format: String, _ time: tm) -> String {
    var time = time
    var buffer = [CChar](repeating: 0, count: 64)
    let count = strftime(&buffer, buffer.count, format, &time)
    return String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func date(_ time: tm) -> String {
    "\(padded(Int64(time.tm_year) + 1900, 4))-\(padded(Int64(time.tm_mon) + 1, 2))-\(padded(Int64(time.tm_mday), 2))"
  }
  private static func clock(_ time: tm) -> String {
    "\(padded(Int64(time.tm_hour), 2)):\(padded(Int64(time.tm_min), 2)):\(padded(Int64(time.tm_sec), 2))"
  }
  private static func offset(_ time: tm, colon: Bool) -> String {
    let minutes = abs(time.tm_gmtoff) / 60
    return
      "\(time.tm_gmtoff < 0 ? "-" : "+")\(padded(Int64(minutes / 60), 2))\(colon ? ":" : "")\(padded(Int64(minutes % 60), 2))"
  }
  private static func zone(_ time: tm) -> String { time.tm_zone.map { String(cString: $0) } ?? "UTC" }

  static func padded(_ value: Int64, _ width: Int) -> String {
    let text = String(value)
    return String(repeating: "0", count: max(0, width - text.count)) + text
  }
  private static func trimmedZeros(_ text: String) -> String {
    var text = text
    while text.hasSuffix("0") { text.removeLast() }
    return text
  }
}

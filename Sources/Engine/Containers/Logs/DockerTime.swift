/// Points in time as Docker writes them.
public enum DockerTime {
  /// RFC 3339 with nine digits of fraction, in UTC: `2006-01-02T15:04:05.000000000Z`.
  public static func fixed(_ nanoseconds: Int64) -> String {
    let (seconds, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    let whole = fraction < 0 ? seconds - 1 : seconds
    let rest = fraction < 0 ? fraction + 1_000_000_000 : fraction
    return base(whole) + "." + padded(rest, 9) + "Z"
  }

  /// RFC 3339 without zeros at the end of the fraction, as Go's `RFC3339Nano`; 0 is `0001-01-01T00:00:00Z`, Go's zero time.
  public static func short(_ nanoseconds: Int64) -> String {
    guard nanoseconds != 0 else { return "0001-01-01T00:00:00Z" }
    var text = fixed(nanoseconds)
    text.removeLast()
    while text.hasSuffix("0") { text.removeLast() }
    if text.hasSuffix(".") { text.removeLast() }
    return text + "Z"
  }

  /// `2006-01-02T15:04:05`
  private static func base(_ seconds: Int64) -> String {
    let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
    let time = seconds - days * 86_400
    // Howard Hinnant, "chrono-compatible low-level date algorithms": civil_from_days.
    let z = days + 719_468
    let era = (z >= 0 ? z : z - 146_096) / 146_097
    let dayOfEra = z - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shifted = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * shifted + 2) / 5 + 1
    let month = shifted < 10 ? shifted + 3 : shifted - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    return
      "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(padded(time / 3600, 2)):\(padded(time / 60 % 60, 2)):\(padded(time % 60, 2))"
  }

  private static func padded(_ value: Int64, _ width: Int) -> String {
    let text = String(value)
    return text.count >= width ? text : String(repeating: "0", count: width - text.count) + text
  }
}

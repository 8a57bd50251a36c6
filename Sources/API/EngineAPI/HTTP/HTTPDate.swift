import CLinux
import Synchronization

/// The `Date` header's value, made anew once a second.
enum HTTPDate {
  private static let cache = Mutex<(second: Int, text: String)>((0, ""))

  static func now() -> String {
    let second = time(nil)
    return cache.withLock { cache in
      if cache.second != second { cache = (second, text(second)) }
      return cache.text
    }
  }

  /// `Tue, 24 Nov 2026 14:00:00 GMT` (RFC 9110, section 5.6.7).
  static func text(_ second: Int) -> String {
    var seconds = time_t(second)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return
      "\(days[Int(parts.tm_wday) % 7]), \(two(parts.tm_mday)) \(months[Int(parts.tm_mon) % 12]) \(parts.tm_year + 1900) "
      + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) GMT"
  }
}

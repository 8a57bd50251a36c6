/// go-units' words for sizes and durations.
enum HumanUnits {
  private static let decimal = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"]
  private static let binary = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]

  /// `4.43MB`; powers of 1000.
  static func size(_ bytes: Double, precision: Int = 4) -> String { scaled(bytes, 1000, decimal, precision) }

  /// `15.6GiB`; powers of 1024.
  static func binarySize(_ bytes: Double) -> String { scaled(bytes, 1024, binary, 4) }

  private static func scaled(_ bytes: Double, _ base: Double, _ names: [String], _ precision: Int) -> String {
    var size = bytes
    var index = 0
    while size >= base && index < names.count - 1 {
      size /= base
      index += 1
    }
    return GoNumber.general(size, precision: precision) + names[index]
  }

  /// `About a minute`, `4 hours`.
  static func duration(seconds: Double) -> String {
    // What a daemon tells may be no time at all.
    let seconds = seconds.isFinite ? min(max(seconds, 0), 1e15) : 0
    let whole = Int(seconds)
    if whole < 1 { return "Less than a second" }
    if whole == 1 { return "1 second" }
    if whole < 60 { return "\(whole) seconds" }
    let minutes = whole / 60
    if minutes == 1 { return "About a minute" }
    if minutes < 60 { return "\(minutes) minutes" }
    let hours = Int(seconds / 3600 + 0.5)
    if hours == 1 { return "About an hour" }
    if hours < 48 { return "\(hours) hours" }
    if hours < 24 * 14 { return "\(hours / 24) days" }
    if hours < 24 * 60 { return "\(hours / 24 / 7) weeks" }
    if hours < 24 * 365 * 2 { return "\(hours / 24 / 30) months" }
    return "\(whole / 3600 / 24 / 365) years"
  }
}

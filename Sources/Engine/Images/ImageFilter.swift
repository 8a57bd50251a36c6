import Errdefs
import OCI

/// The `filters` of lists and prunes, with Docker's messages for what it doesn't know.
struct ImageFilter {
  private let filters: [String: [String]]

  init(_ filters: [String: [String]], accepting names: Set<String>) throws(EngineError) {
    for name in filters.keys.sorted() where !names.contains(name) {
      throw .invalidParameter("invalid filter '\(name)'")
    }
    self.filters = filters
  }

  func values(_ name: String) -> [String] { filters[name] ?? [] }

  /// `true`, `1`, `false`, `0`; `nil` when not given.
  func bool(_ name: String) throws(EngineError) -> Bool? {
    let values = Set(values(name))
    if values.isEmpty { return nil }
    let isTrue = values.contains("1") || values.contains("true")
    let isFalse = values.contains("0") || values.contains("false")
    guard isTrue != isFalse else {
      throw .invalidParameter("invalid filter '\(name)=[\(values.sorted().joined(separator: " "))]'")
    }
    return isTrue
  }

  /// Each value `key` or `key=value`; all must hold.
  func labels(_ name: String, match labels: [String: String]) -> Bool {
    values(name).allSatisfy { Self.label($0, isIn: labels) }
  }

  /// None of the values may hold.
  func labels(_ name: String, avoid labels: [String: String]) -> Bool {
    !values(name).contains { Self.label($0, isIn: labels) }
  }

  private static func label(_ value: String, isIn labels: [String: String]) -> Bool {
    guard let equals = value.firstIndex(of: "=") else { return labels[value] != nil }
    return labels[String(value[..<equals])] == String(value[value.index(after: equals)...])
  }

  /// A moment: seconds since 1970 with a fraction, RFC 3339, or a Go duration before now.
  func until() throws(EngineError) -> Timestamp? {
    let values = values("until")
    guard let value = values.first else { return nil }
    guard values.count == 1 else { throw .invalidParameter("more than one until filter specified") }
    guard let moment = Moment.parse(value, now: Images.now()) else {
      throw .invalidParameter("invalid value for until filter: \"\(value)\"")
    }
    return moment
  }
}

/// Times as users type them (moby api/types/time).
enum Moment {
  static func parse(_ text: String, now: Timestamp) -> Timestamp? {
    if let duration = goDuration(text) {
      return Timestamp(
        nanosecondsSinceEpoch: now.nanosecondsSinceEpoch.subtractingReportingOverflow(duration).partialValue)
    }
    if let moment = Timestamp(text) { return moment }
    for suffix in ["Z", ":00Z", ":00:00Z", "T00:00:00Z"] {
      if text.contains("-"), let moment = Timestamp(text + suffix) { return moment }
    }
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let seconds = Int64(parts[0]) else { return nil }
    guard parts.count == 2 else { return Timestamp(seconds: seconds) }
    let digits = parts[1].prefix(9)
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    return Int32(digits + String(repeating: "0", count: 9 - digits.count)).map {
      Timestamp(seconds: seconds, nanoseconds: $0)
    }
  }

  /// `1h30m`, `10s`, `1.5h`; nanoseconds.
  static func goDuration(_ text: String) -> Int64? {
    let units: [(String, Double)] = [
      ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
    ]
    var rest = text[...]
    guard !rest.isEmpty else { return nil }
    var total = 0.0
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      rest = rest[number.endIndex...]
      let unit = rest.prefix { !$0.isNumber && $0 != "." }
      rest = rest[unit.endIndex...]
      guard let value = Double(number), let scale = units.first(where: { $0.0 == unit })?.1 else { return nil }
      total += value * scale
    }
    return Int64(exactly: total.rounded())
  }
}

/// Shell patterns as Go's path.Match has them: `*` and `?` don't match a slash, `[a-z]` and `[^a]` are classes, `\` quotes.
enum Glob {
  /// distribution/reference's FamiliarMatch: against the familiar name with its tag, then without.
  static func matches(_ reference: Reference, familiar pattern: String) -> Bool {
    matches(reference.familiar, pattern) || matches(reference.familiarName, pattern)
  }

  static func matches(_ text: String, _ pattern: String) -> Bool {
    matches(Array(text.utf8)[...], Array(pattern.utf8)[...])
  }

  private static func matches(_ text: ArraySlice<UInt8>, _ pattern: ArraySlice<UInt8>) -> Bool {
    var (text, pattern) = (text, pattern)
    // Where to go on when what follows a star doesn't match: the star takes one byte more.
    var retry: (text: ArraySlice<UInt8>, pattern: ArraySlice<UInt8>)?
    while true {
      if let first = pattern.first, first == UInt8(ascii: "*") {
        pattern = pattern.dropFirst()
        retry = (text, pattern)
        continue
      }
      if let byte = text.first, let rest = matchOne(byte, pattern) {
        text = text.dropFirst()
        pattern = rest
        continue
      }
      if text.isEmpty, pattern.isEmpty { return true }
      guard let (from, rest) = retry, let skipped = from.first, skipped != UInt8(ascii: "/") else { return false }
      retry = (from.dropFirst(), rest)
      (text, pattern) = (from.dropFirst(), rest)
    }
  }

  /// The pattern behind the element that matches the byte; `nil` when it doesn't, or isn't valid.
  private static func matchOne(_ byte: UInt8, _ pattern: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard let first = pattern.first else { return nil }
    switch first {
    case UInt8(ascii: "?"): return byte == UInt8(ascii: "/") ? nil : pattern.dropFirst()
    case UInt8(ascii: "\\"): return pattern.dropFirst().first == byte ? pattern.dropFirst(2) : nil
    case UInt8(ascii: "["):
      var rest = pattern.dropFirst()
      let isNegated = rest.first == UInt8(ascii: "^")
      if isNegated { rest = rest.dropFirst() }
      var isMatch = false
      var isEmpty = true
      while let low = rest.first, low != UInt8(ascii: "]") || isEmpty {
        isEmpty = false
        rest = rest.dropFirst()
        var high = low
        if rest.first == UInt8(ascii: "-"), let end = rest.dropFirst().first {
          high = end
          rest = rest.dropFirst(2)
        }
        if low <= byte, byte <= high { isMatch = true }
      }
      guard rest.first == UInt8(ascii: "]"), byte != UInt8(ascii: "/") else { return nil }
      return isMatch != isNegated ? rest.dropFirst() : nil
    default: return first == byte ? pattern.dropFirst() : nil
    }
  }
}

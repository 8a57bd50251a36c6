import CLinux

/// Numbers as Go reads and writes them.
enum GoNumber {
  /// strconv.ParseBool.
  static func bool(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "TRUE", "true", "True": true
    case "0", "f", "F", "FALSE", "false", "False": false
    default: nil
    }
  }

  /// strconv.ParseInt with base 0.
  static func int(_ text: String) -> Int64? {
    let negative = text.hasPrefix("-")
    let digits = text.drop { $0 == "-" || $0 == "+" }
    guard text.count - digits.count <= 1 else { return nil }
    let lower = digits.lowercased()
    let magnitude: UInt64?
    if lower.hasPrefix("0x") {
      magnitude = UInt64(lower.dropFirst(2), radix: 16)
    } else if lower.hasPrefix("0b") {
      magnitude = UInt64(lower.dropFirst(2), radix: 2)
    } else if lower.hasPrefix("0o") {
      magnitude = UInt64(lower.dropFirst(2), radix: 8)
    } else if lower.hasPrefix("0"), lower.count > 1 {
      magnitude = UInt64(lower.dropFirst(), radix: 8)
    } else {
      magnitude = lower.first?.isNumber == true ? UInt64(lower) : nil
    }
    guard let magnitude else { return nil }
    if negative { return magnitude == 1 << 63 ? .min : Int64(exactly: magnitude).map { -$0 } }
    return Int64(exactly: magnitude)
  }

  /// Go's words when the text is no integer of that size.
  static func complaint(_ text: String, bits: Int, signed: Bool) -> String? {
    let function = signed ? "ParseInt" : "ParseUint"
    guard let value = int(text), signed || value >= 0 else {
      let digits = text.drop { $0 == "-" || $0 == "+" }
      let isNumber = !digits.isEmpty && digits.allSatisfy(\.isNumber) && (signed || !text.hasPrefix("-"))
      return "strconv.\(function): parsing \(GoText.quote(text)): \(isNumber ? "value out of range" : "invalid syntax")"
    }
    guard bits == 64 || value < 1 << bits else {
      return "strconv.\(function): parsing \(GoText.quote(text)): value out of range"
    }
    return nil
  }

  /// fmt's `%.*g`: so many significant digits at most, no zeros at the end.
  static func general(_ value: Double, precision: Int) -> String { format("%.\(precision)g", value) }

  /// strconv.FormatFloat(value, 'f', digits).
  static func fixed(_ value: Double, digits: Int) -> String { format("%.\(digits)f", value) }

  /// fmt's `%v` of a float64: the shortest that reads back, with an exponent below 1e-4 and from 1e21.
  static func shortest(_ value: Double) -> String {
    if abs(value) < 1e18, Int64(exactly: value) != nil { return format("%.0f", value) }
    let text = "\(value)"
    guard let mark = text.firstIndex(of: "e") else { return text }
    let exponent = Int(text[text.index(after: mark)...]) ?? 0
    if exponent >= -4 && exponent < 21 { return format("%.\(max(0, 17 - exponent))g", value) }
    let mantissa = text[..<mark].hasSuffix(".0") ? text[..<mark].dropLast(2) : text[..<mark]
    return "\(mantissa)e\(exponent < 0 ? "-" : "+")\(abs(exponent) < 10 ? "0" : "")\(abs(exponent))"
  }

  /// printf(3) of one number.
  static func format(_ format: String, _ value: any CVarArg) -> String {
    var buffer = [CChar](repeating: 0, count: 512)
    let count = withVaList([value]) { vsnprintf(&buffer, buffer.count, format, $0) }
    return String(decoding: buffer.prefix(Int(max(0, min(count, 511)))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// Sizes in bytes: `512m`, `1.5g`, `100kb`, powers of 1024 (go-units' RAMInBytes).
enum ByteSize {
  static func parse(_ text: String) -> Int64? { complaint(text) == nil ? value(text) : nil }

  private static func split(_ text: String) -> (number: Substring, suffix: String) {
    let end = text.lastIndex { $0.isASCII && ($0.isNumber || $0 == ".") }
    guard let end else { return ("", text) }
    return (text[...end], String(text[text.index(after: end)...]))
  }

  private static func value(_ text: String) -> Int64? {
    let (number, rawSuffix) = split(text)
    guard let size = Double(number), size >= 0 else { return nil }
    var suffix = rawSuffix.lowercased()
    if suffix.hasPrefix(" ") { suffix.removeFirst() }
    let shift: Int
    switch suffix.first {
    case nil, "b": shift = 0
    case "k": shift = 10
    case "m": shift = 20
    case "g": shift = 30
    case "t": shift = 40
    case "p": shift = 50
    default: return nil
    }
    return whole(size * Double(Int64(1) << shift))
  }

  /// Without its fraction; nil when 64 bits don't hold it.
  private static func whole(_ value: Double) -> Int64? { value < 9.2e18 ? Int64(value) : nil }

  /// go-units' words when the text is no size.
  static func complaint(_ text: String) -> String? {
    let (number, suffix) = split(text)
    guard !number.isEmpty else { return "invalid size: '\(text)'" }
    guard let size = Double(number) else {
      return "strconv.ParseFloat: parsing \(GoText.quote(String(number))): invalid syntax"
    }
    guard size >= 0 else { return "invalid size: '\(text)'" }
    var unit = suffix.lowercased()
    if unit.hasPrefix(" ") { unit.removeFirst() }
    guard
      unit.isEmpty || unit == "b"
        || ("kmgtp".contains(unit.first ?? "?") && ["", "b", "ib"].contains(String(unit.dropFirst())))
    else { return "invalid suffix: '\(suffix)'" }
    return value(text) == nil ? "invalid size: '\(text)'" : nil
  }
}

/// Fractions of a CPU.
enum Decimal {
  /// `1.5` is 1,500,000,000 billionths; nil when the text is no number or has more than nine decimals.
  static func nano(_ text: String) -> Int64? {
    let (whole, fraction) = text.cut(".")
    let digits = fraction ?? ""
    guard digits.count <= 9, digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return nil }
    guard !whole.isEmpty || !digits.isEmpty, let units = whole.isEmpty ? 0 : Int64(whole) else { return nil }
    let padded = digits + String(repeating: "0", count: 9 - digits.count)
    let (scaled, overflow) = units.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow, let billionths = Int64(padded) else { return nil }
    let (sum, overflows) =
      units < 0 || text.hasPrefix("-")
      ? scaled.subtractingReportingOverflow(billionths) : scaled.addingReportingOverflow(billionths)
    return overflows ? nil : sum
  }
}

/// time.ParseDuration.
enum GoDuration {
  private static let units: [(String, Double)] = [
    ("ns", 1), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
  ]

  /// Nanoseconds of `1h30m`, `-1.5s`, `0`.
  static func parse(_ text: String) -> Int64? {
    var rest = text[...]
    var negative = false
    if let sign = rest.first, sign == "-" || sign == "+" {
      negative = sign == "-"
      rest.removeFirst()
    }
    if rest == "0" { return 0 }
    guard !rest.isEmpty else { return nil }
    var total = 0.0
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      rest = rest.dropFirst(number.count)
      let unit = rest.prefix { !($0.isASCII && ($0.isNumber || $0 == ".")) }
      rest = rest.dropFirst(unit.count)
      guard let value = Double(number), let factor = units.first(where: { $0.0 == unit })?.1 else { return nil }
      total += value * factor
    }
    guard total < 9.2e18 else { return nil }
    let nanoseconds = Int64(total)
    return negative ? -nanoseconds : nanoseconds
  }
}

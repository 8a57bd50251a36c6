import Errdefs
import OCI

extension Request {
  /// The `filters` parameter: `{"label":["a","b"]}`, or as newer clients write it, `{"label":{"a":true,"b":true}}`.
  func filters() throws(EngineError) -> [String: [String]] {
    let text = query["filters"]
    guard !text.isEmpty else { return [:] }
    guard case .object(let object)? = try? JSON.parse(text) else { throw .invalidParameter("invalid filter") }
    var result: [String: [String]] = [:]
    for (name, value) in object.members {
      switch value {
      case .object(let set):
        guard set.members.allSatisfy({ $0.value.boolValue != nil }) else { throw .invalidParameter("invalid filter") }
        result[name] = set.members.map(\.key)
      case .array(let values):
        let texts = values.compactMap(\.stringValue)
        guard texts.count == values.count else { throw .invalidParameter("invalid filter") }
        result[name] = texts
      case .null: break
      default: throw .invalidParameter("invalid filter")
      }
    }
    return result
  }

  /// Seconds since 1970 with a fraction of up to nine digits, as nanoseconds; nil when absent.
  func timestamp(_ name: String) throws(EngineError) -> Int64? {
    let text = query[name]
    guard !text.isEmpty else { return nil }
    let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    guard let seconds = Int64(parts[0]) else {
      throw .invalidParameter(
        "invalid value for \"\(name)\": strconv.ParseInt: parsing \"\(parts[0])\": invalid syntax")
    }
    var nanoseconds: Int64 = 0
    if parts.count == 2 {
      let digits = parts[1].prefix(9)
      guard let fraction = Int64(digits), fraction >= 0, digits.utf8.first != UInt8(ascii: "+") else {
        throw .invalidParameter(
          "invalid value for \"\(name)\": strconv.ParseInt: parsing \"\(parts[1])\": invalid syntax")
      }
      nanoseconds = fraction
      for _ in digits.count..<9 { nanoseconds *= 10 }
    }
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    // Times past 2262 are as good as the end of time.
    return overflow ? (seconds < 0 ? .min : .max) : product.addingReportingOverflow(nanoseconds).partialValue
  }
}

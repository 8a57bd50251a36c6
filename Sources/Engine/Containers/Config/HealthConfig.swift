public import OCI

/// How a container is probed. Durations are nanoseconds; 0 is the default.
public struct HealthConfig: Sendable, Equatable {
  /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", line]`; empty inherits.
  public var test: [String]?
  public var interval: Int64 = 0
  public var timeout: Int64 = 0
  public var startPeriod: Int64 = 0
  public var startInterval: Int64 = 0
  public var retries: Int64 = 0

  public init() {}

  public init(_ fields: JSONFields) throws(JSONError) {
    test = try fields.strings("Test")
    interval = try fields.int("Interval") ?? 0
    timeout = try fields.int("Timeout") ?? 0
    startPeriod = try fields.int("StartPeriod") ?? 0
    startInterval = try fields.int("StartInterval") ?? 0
    retries = try fields.int("Retries") ?? 0
  }

  public var json: JSON {
    var json = JSONBuilder()
    if let test, !test.isEmpty { json.set("Test", test) }
    if interval != 0 { json.set("Interval", interval) }
    if timeout != 0 { json.set("Timeout", timeout) }
    if startPeriod != 0 { json.set("StartPeriod", startPeriod) }
    if startInterval != 0 { json.set("StartInterval", startInterval) }
    if retries != 0 { json.set("Retries", retries) }
    return json.json
  }
}

/// The members of one object, read with their types checked: a wrong type is an error that names the member's path.
/// `null` and absence are the same, as Go reads them.
public struct JSONFields: Sendable {
  public let object: JSONObject
  public let path: String
  /// Names are matched without regard to case where none fits exactly, as Go reads JSON.
  private let anyCase: Bool
  /// There are names that might need it; those of Docker begin with a capital letter.
  private let hasOddNames: Bool

  /// `path` is the object's own place, empty for the document.
  public init(_ value: JSON, path: String = "", anyCase: Bool = false) throws(JSONError) {
    guard case .object(let object) = value else { throw JSONError(path: path, "an object is expected") }
    self.object = object
    self.path = path
    self.anyCase = anyCase
    hasOddNames =
      anyCase
      && object.members.contains { member in
        member.key.utf8.first.map { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) } ?? false
      }
  }

  public func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  public func value(_ key: String) -> JSON? {
    guard let value = object[key] ?? (hasOddNames ? member(like: key) : nil), !value.isNull else { return nil }
    return value
  }

  private func member(like key: String) -> JSON? {
    let lower = key.lowercased()
    return object.members.last { $0.key.utf8.count == key.utf8.count && $0.key.lowercased() == lower }?.value
  }

  private func read<T>(_ key: String, _ expected: String, _ convert: (JSON) -> T?) throws(JSONError) -> T? {
    guard let value = value(key) else { return nil }
    guard let result = convert(value) else { throw JSONError(path: path(of: key), "\(expected) is expected") }
    return result
  }

  public func string(_ key: String) throws(JSONError) -> String? { try read(key, "a string", \.stringValue) }
  public func bool(_ key: String) throws(JSONError) -> Bool? { try read(key, "true or false", \.boolValue) }
  public func int(_ key: String) throws(JSONError) -> Int64? { try read(key, "an integer", \.intValue) }
  public func double(_ key: String) throws(JSONError) -> Double? { try read(key, "a number", \.doubleValue) }

  /// An integer that fits `T`.
  public func integer<T: FixedWidthInteger>(_ key: String, as type: T.Type = T.self) throws(JSONError) -> T? {
    try read(key, "an integer from \(T.min) to \(T.max)") { $0.intValue.flatMap { T(exactly: $0) } }
  }

  public func strings(_ key: String) throws(JSONError) -> [String]? {
    try read(key, "a list of strings") { value in
      guard let array = value.arrayValue else { return nil }
      let strings = array.compactMap(\.stringValue)
      return strings.count == array.count ? strings : nil
    }
  }

  public func map(_ key: String) throws(JSONError) -> [String: String]? {
    try read(key, "a map of strings") { value in
      guard let object = value.objectValue else { return nil }
      var result: [String: String] = [:]
      for (key, value) in object.members {
        guard let text = value.stringValue else { return nil }
        result[key] = text
      }
      return result
    }
  }

  public func fields(_ key: String) throws(JSONError) -> JSONFields? {
    guard let value = value(key) else { return nil }
    return try JSONFields(value, path: path(of: key), anyCase: anyCase)
  }

  public func object<T>(_ key: String, _ decode: (JSONFields) throws(JSONError) -> T) throws(JSONError) -> T? {
    guard let fields = try fields(key) else { return nil }
    return try decode(fields)
  }

  /// A list of objects; the path of each is `key[index]`.
  public func list<T>(_ key: String, _ decode: (JSONFields) throws(JSONError) -> T) throws(JSONError) -> [T]? {
    guard let value = value(key) else { return nil }
    guard let array = value.arrayValue else { throw JSONError(path: path(of: key), "a list is expected") }
    var result: [T] = []
    result.reserveCapacity(array.count)
    for (index, element) in array.enumerated() {
      result.append(try decode(try JSONFields(element, path: "\(path(of: key))[\(index)]", anyCase: anyCase)))
    }
    return result
  }

  public func required<T>(_ key: String, _ value: T?) throws(JSONError) -> T {
    guard let value else { throw JSONError(path: path(of: key), "is missing") }
    return value
  }
}

/// An object under construction that leaves out what is absent, as Go's `omitempty`.
public struct JSONBuilder: Sendable {
  public private(set) var object = JSONObject()

  public init() {}

  public var json: JSON { .object(object) }

  public mutating func set(_ key: String, _ value: JSON?) { if let value { object.append(key, value) } }
  public mutating func set(_ key: String, _ value: String?) { if let value { object.append(key, .string(value)) } }
  public mutating func set(_ key: String, _ value: Bool?) { if let value { object.append(key, .bool(value)) } }
  public mutating func set(_ key: String, _ value: Int64?) { if let value { object.append(key, .int(value)) } }
  public mutating func set<T: FixedWidthInteger>(_ key: String, integer value: T?) {
    if let value { object.append(key, Int64(exactly: value).map { .int($0) } ?? .double(Double(value))) }
  }
  public mutating func set(_ key: String, _ values: [String]?) { if let values { object.append(key, JSON(values)) } }
  public mutating func set(_ key: String, _ map: [String: String]?) { if let map { object.append(key, JSON(map)) } }
}

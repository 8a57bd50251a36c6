/// A JSON value. Objects keep the order of their members, since Docker's clients see it.
///
/// Numbers without fraction or exponent that fit 64 signed bits are `int`; all else is `double`.
public enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case array([JSON])
  case object(JSONObject)
}

/// The members of an object in the order of their first appearance; a later duplicate replaces the earlier value.
public struct JSONObject: Sendable, Equatable {
  public private(set) var members: [(key: String, value: JSON)] = []

  public init() {}

  public init(_ members: [(String, JSON)]) {
    self.members.reserveCapacity(members.count)
    for (key, value) in members { self.members.append((key, value)) }
  }

  public var count: Int { members.count }
  public var isEmpty: Bool { members.isEmpty }

  /// The member of that name. Linear: objects of the specifications are small; `dictionary()` serves the large ones.
  public subscript(key: String) -> JSON? {
    get {
      for member in members where member.key == key { return member.value }
      return nil
    }
    set {
      if let index = members.firstIndex(where: { $0.key == key }) {
        if let newValue { members[index].value = newValue } else { members.remove(at: index) }
      } else if let newValue {
        members.append((key, newValue))
      }
    }
  }

  /// Adds a member that is known to be new, without looking for it.
  public mutating func append(_ key: String, _ value: JSON) { members.append((key, value)) }

  public func dictionary() -> [String: JSON] {
    var result = [String: JSON](minimumCapacity: members.count)
    for (key, value) in members { result[key] = value }
    return result
  }

  public static func == (a: JSONObject, b: JSONObject) -> Bool {
    a.members.count == b.members.count
      && zip(a.members, b.members).allSatisfy { $0.key == $1.key && $0.value == $1.value }
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(elements)) }
  public init(nilLiteral: ()) { self = .null }
}

extension JSON {
  public init(_ value: String) { self = .string(value) }
  public init(_ value: Bool) { self = .bool(value) }
  public init(_ value: Int) { self = .int(Int64(value)) }
  public init(_ value: Int64) { self = .int(value) }
  /// A value above `Int64.max` becomes a double, as other JSON libraries read it.
  public init(_ value: UInt64) { self = Int64(exactly: value).map { .int($0) } ?? .double(Double(value)) }
  public init(_ values: [String]) { self = .array(values.map { .string($0) }) }
  /// Keys sorted, as Go writes maps.
  public init(_ map: [String: String]) {
    self = .object(JSONObject(map.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
  }
  /// `null` for `nil`, as Go writes a nil slice, map or pointer.
  public init(orNull values: [String]?) { self = values.map { JSON($0) } ?? .null }

  public var isNull: Bool { self == .null }
  public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
  public var arrayValue: [JSON]? { if case .array(let value) = self { value } else { nil } }
  public var objectValue: JSONObject? { if case .object(let value) = self { value } else { nil } }
  /// An integer, also when it was written as `1.0` or `1e3`.
  public var intValue: Int64? {
    switch self {
    case .int(let value): value
    case .double(let value): Int64(exactly: value)
    default: nil
    }
  }
  public var doubleValue: Double? {
    switch self {
    case .int(let value): Double(value)
    case .double(let value): value
    default: nil
    }
  }

  /// The member of an object; `nil` when absent or when this isn't an object.
  public subscript(key: String) -> JSON? {
    get { if case .object(let object) = self { object[key] } else { nil } }
    set {
      var object = objectValue ?? JSONObject()
      object[key] = newValue
      self = .object(object)
    }
  }
  /// The element of an array; `nil` when out of range or when this isn't an array.
  public subscript(index: Int) -> JSON? {
    if case .array(let array) = self, array.indices.contains(index) { array[index] } else { nil }
  }
}

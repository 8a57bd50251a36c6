public import OCI

/// One request of the Engine API.
public struct Request {
  public var method: String
  /// Percent-encoded, from the root and without the version: `/containers/json`.
  public var path: String
  public var query: Query
  public var headers: [(name: String, value: String)] = []
  public var body: [UInt8]?
  /// A body that is read from a descriptor while it is sent; `body` is ignored then.
  public var upload: Upload?

  public init(_ method: String, _ path: String, query: Query = Query(), body: JSON? = nil) {
    self.method = method
    self.path = path
    self.query = query
    if let body {
      self.body = body.encoded()
      headers.append(("Content-Type", "application/json"))
    }
  }

  /// With the headers that ask for the connection itself.
  public func upgraded() -> Request {
    var request = self
    request.headers.append(("Connection", "Upgrade"))
    request.headers.append(("Upgrade", "tcp"))
    return request
  }

  func head(apiVersion: String?) -> [UInt8] {
    var text = method
    text += " "
    if let apiVersion { text += "/v\(apiVersion)" }
    text += path
    text += query.text
    text += " HTTP/1.1\r\nHost: berth\r\nUser-Agent: Berth-Client (linux)\r\n"
    for (name, value) in headers { text += "\(name): \(value)\r\n" }
    if let upload {
      if let length = upload.length {
        text += "Content-Length: \(length)\r\n"
      } else {
        text += "Transfer-Encoding: chunked\r\n"
      }
    } else if let body {
      text += "Content-Length: \(body.count)\r\n"
    } else if method == "POST" || method == "PUT" {
      text += "Content-Length: 0\r\n"
    }
    text += "\r\n"
    return Array(text.utf8)
  }
}

/// The part of a request's target after the path.
public struct Query: ExpressibleByDictionaryLiteral {
  public private(set) var items: [(name: String, value: String)] = []

  public init() {}
  public init(dictionaryLiteral elements: (String, String)...) { items = elements.map { ($0.0, $0.1) } }

  public mutating func add(_ name: String, _ value: String) { items.append((name, value)) }
  /// Adds `name=1` when it holds.
  public mutating func add(_ name: String, _ value: Bool) { if value { items.append((name, "1")) } }
  /// Adds it unless it is empty.
  public mutating func add(_ name: String, ifAny value: String) { if !value.isEmpty { items.append((name, value)) } }

  /// Empty, or `?a=b&c=d`, encoded.
  public var text: String {
    guard !items.isEmpty else { return "" }
    return "?"
      + items.map { "\(PercentEncoding.encode($0.name))=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
  }
}

/// RFC 3986, section 2.1: all but unreserved characters are escaped.
public enum PercentEncoding {
  /// For a query's name or value.
  public static func encode(_ text: String) -> String { encode(text, keeping: []) }

  /// For one path that may hold several segments: `/` and `:` stay, as references to images need them.
  public static func encodePath(_ text: String) -> String {
    encode(text, keeping: [UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "@"), UInt8(ascii: "+")])
  }

  private static func encode(_ text: String, keeping: [UInt8]) -> String {
    let hex = Array("0123456789ABCDEF".utf8)
    var output: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
        output.append(byte)
      case _ where keeping.contains(byte): output.append(byte)
      default: output += [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]]
      }
    }
    return String(decoding: output, as: UTF8.self)
  }
}

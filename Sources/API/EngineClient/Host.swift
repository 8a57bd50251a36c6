/// Where a daemon listens.
public struct Host: Sendable, Equatable {
  /// As the user wrote it, with its scheme: `unix:///run/berth/berth.sock`.
  public let address: String
  /// The socket's path; empty for TCP.
  public let path: String
  /// A numeric address and its port.
  public private(set) var tcp: Endpoint?

  public struct Endpoint: Sendable, Equatable {
    public let address: String
    public let port: UInt16

    public init(address: String, port: UInt16) {
      self.address = address
      self.port = port
    }
  }

  /// The socket of a daemon that wasn't told anything.
  public static let standard = Host(path: "/run/berth/berth.sock")

  public init(path: String) {
    self.path = path
    address = "unix://\(path)"
  }

  /// Reads `unix:///path`, a bare absolute path, or `tcp://address:port`. Other schemes are refused with the reason.
  public init(parsing text: String) throws(HostError) {
    let path: Substring
    if text.hasPrefix("unix://") {
      path = text.dropFirst(7)
    } else if text.hasPrefix("/") {
      path = text[...]
    } else if text.hasPrefix("tcp://") {
      address = text
      self.path = ""
      tcp = try Self.endpoint(text, text.dropFirst(6))
      return
    } else if text.contains("://") {
      throw HostError(description: "unable to parse docker host `\(text)`: only unix:// and tcp:// are supported")
    } else {
      throw HostError(description: "unable to parse docker host `\(text)`")
    }
    guard !path.isEmpty else {
      throw HostError(description: "unable to parse docker host `\(text)`: the path is missing")
    }
    guard path.utf8.count < 108 else {
      throw HostError(description: "unable to parse docker host `\(text)`: the path is longer than 107 bytes")
    }
    self.path = String(path)
    address = text.hasPrefix("/") ? "unix://\(text)" : text
  }

  /// `127.0.0.1:2375`, `[::1]:2375`; docker's port when there is none. Names but `localhost` would need a resolver, which a static program
  /// has none of.
  private static func endpoint(_ text: String, _ rest: Substring) throws(HostError) -> Endpoint {
    var rest = rest
    while rest.last == "/" { rest.removeLast() }
    var name = rest
    var port: UInt16 = 2375
    let end = rest.hasPrefix("[") ? rest.firstIndex(of: "]").map { rest.index(after: $0) } : rest.lastIndex(of: ":")
    if let end, end < rest.endIndex, rest[end] == ":" {
      name = rest[..<end]
      guard let number = UInt16(rest[rest.index(after: end)...]), number > 0 else {
        throw HostError(description: "unable to parse docker host `\(text)`: the port is no number")
      }
      port = number
    }
    if name.hasPrefix("["), name.hasSuffix("]") { name = name.dropFirst().dropLast() }
    if name.isEmpty || name == "localhost" { name = "127.0.0.1" }
    guard name.utf8.allSatisfy({ $0 == 0x2E || $0 == 0x3A || Character(UnicodeScalar($0)).isHexDigit }) else {
      throw HostError(description: "unable to parse docker host `\(text)`: give the address in numbers")
    }
    return Endpoint(address: String(name), port: port)
  }
}

/// The text of `-H` isn't a host.
public struct HostError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String
}

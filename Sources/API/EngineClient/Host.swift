/// Where a daemon listens.
public struct Host: Sendable, Equatable {
  /// As the user wrote it, with its scheme: `unix:///run/berth/berth.sock`.
  public let address: String
  /// The socket's path.
  public let path: String

  /// The socket of a daemon that wasn't told anything.
  public static let standard = Host(path: "/run/berth/berth.sock")

  public init(path: String) {
    self.path = path
    address = "unix://\(path)"
  }

  /// Reads `unix:///path` or a bare absolute path. Other schemes are refused with the reason.
  public init(parsing text: String) throws(HostError) {
    let path: Substring
    if text.hasPrefix("unix://") {
      path = text.dropFirst(7)
    } else if text.hasPrefix("/") {
      path = text[...]
    } else if text.contains("://") {
      throw HostError(description: "unable to parse docker host `\(text)`: only unix:// is supported")
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
}

/// The text of `-H` isn't a host.
public struct HostError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String
}

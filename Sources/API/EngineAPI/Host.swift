public import Errdefs

/// Where the API listens, as `-H` writes it.
public enum Host: Sendable, Equatable, CustomStringConvertible {
  /// `unix:///run/berth/berth.sock`
  case unix(String)
  /// `tcp://127.0.0.1:2375`: loopback only, since whoever reaches it is root.
  case tcp(String, Int)
  /// `fd://`: the sockets that systemd passes (sd_listen_fds(3)); `fd://3` one of them.
  case systemd(Int32?)

  public init(_ text: String) throws(EngineError) {
    if text.hasPrefix("unix://") {
      let path = String(text.dropFirst("unix://".count))
      guard path.hasPrefix("/") else { throw .invalidParameter("invalid host \"\(text)\": the path isn't absolute") }
      // sun_path, with room for the temporary name that the socket is made under.
      guard path.utf8.count <= 100 else {
        throw .invalidParameter("invalid host \"\(text)\": the path is longer than 100 bytes")
      }
      self = .unix(path)
    } else if text.hasPrefix("fd://") {
      let rest = text.dropFirst("fd://".count)
      if rest.isEmpty || rest == "*" {
        self = .systemd(nil)
      } else if let number = Int32(rest), number >= 3 {
        self = .systemd(number)
      } else {
        throw .invalidParameter("invalid host \"\(text)\": a number from 3 is expected after fd://")
      }
    } else if text.hasPrefix("tcp://") {
      let rest = text.dropFirst("tcp://".count)
      guard let colon = rest.lastIndex(of: ":"), let port = Int(rest[rest.index(after: colon)...]),
        (1...65535).contains(port)
      else {
        throw .invalidParameter("invalid host \"\(text)\": a port is missing")
      }
      var address = String(rest[..<colon])
      if address.hasPrefix("["), address.hasSuffix("]") { address = String(address.dropFirst().dropLast()) }
      guard address == "localhost" || address == "::1" || address.hasPrefix("127.") else {
        throw .invalidParameter(
          "invalid host \"\(text)\": the API over TCP has neither TLS nor authentication yet and would make everybody who reaches it "
            + "root; use unix://, a loopback address, or ssh")
      }
      self = .tcp(address, port)
    } else {
      throw .invalidParameter("invalid host \"\(text)\": unix://, fd:// or tcp:// is expected")
    }
  }

  public var description: String {
    switch self {
    case .unix(let path): "unix://\(path)"
    case .tcp(let address, let port): "tcp://\(address.contains(":") ? "[\(address)]" : address):\(port)"
    case .systemd(let number): "fd://\(number.map { String($0) } ?? "")"
    }
  }
}

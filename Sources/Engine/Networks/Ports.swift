public import Errdefs

/// A port inside a container: `80/tcp`.
public struct ContainerPort: Sendable, Hashable, Comparable, CustomStringConvertible {
  public enum Transport: String, Sendable, Hashable {
    case tcp
    case udp
    case sctp
  }

  public let number: UInt16
  public let transport: Transport

  public init(_ number: UInt16, _ transport: Transport = .tcp) {
    self.number = number
    self.transport = transport
  }

  /// From a key of `ExposedPorts` or `PortBindings`: `80/tcp`, `53/udp`, `80`. - Throws: 400 with Docker's text.
  public init(_ text: String) throws(EngineError) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let number = parts.first.flatMap({ UInt16($0) }), number > 0 else {
      throw .invalidParameter("invalid port specification: \"\(text)\"")
    }
    guard let transport = Transport(rawValue: parts.count > 1 ? parts[1].lowercased() : "tcp") else {
      throw .invalidParameter("invalid protocol: \(parts.count > 1 ? String(parts[1]) : "")")
    }
    self.init(number, transport)
  }

  public var description: String { "\(number)/\(transport.rawValue)" }

  public static func < (a: ContainerPort, b: ContainerPort) -> Bool {
    (a.number, a.transport.rawValue) < (b.number, b.transport.rawValue)
  }
}

/// One element of `HostConfig.PortBindings`, as the user asked.
public struct PortBinding: Sendable, Equatable {
  public var port: ContainerPort
  /// Empty: the daemon's default (`--ip`).
  public var hostIP: String
  /// `8080`, a range to choose from `8000-8010`, or empty or `0` for any free port.
  public var hostPort: String

  public init(port: ContainerPort, hostIP: String = "", hostPort: String = "") {
    self.port = port
    self.hostIP = hostIP
    self.hostPort = hostPort
  }
}

/// A port that is published: what `NetworkSettings.Ports` shows.
public struct PublishedPort: Sendable, Equatable {
  public var port: ContainerPort
  public var hostIP: String
  public var hostPort: UInt16

  public init(port: ContainerPort, hostIP: String, hostPort: UInt16) {
    self.port = port
    self.hostIP = hostIP
    self.hostPort = hostPort
  }
}

/// `HostConfig.NetworkMode`, as far as it is built.
public enum NetworkMode: Sendable, Equatable {
  case bridge
  case none
  case host
  /// The sandbox of the container with this name or id, as the user wrote it.
  case container(String)
  /// A network by name or id that isn't one of the three: `docker network create` is to come.
  case named(String)

  /// From the API's string; empty and `default` are the bridge.
  public init(_ text: String) {
    switch text {
    case "", "default", "bridge": self = .bridge
    case "none": self = .none
    case "host": self = .host
    default:
      if text.hasPrefix("container:") {
        self = .container(String(text.dropFirst("container:".count)))
      } else {
        self = .named(text)
      }
    }
  }

  /// As `HostConfig.NetworkMode` shows it.
  public var text: String {
    switch self {
    case .bridge: "bridge"
    case .none: "none"
    case .host: "host"
    case .container(let id): "container:\(id)"
    case .named(let name): name
    }
  }

  var isJoined: Bool {
    if case .container = self { true } else { false }
  }
}

/// Something happened to a network: what `GET /events` tells of it.
public struct NetworkEvent: Sendable, Equatable {
  /// `create`, `connect`, `disconnect`, `destroy`.
  public var action: String
  public var networkID: String
  public var name: String
  /// The network's driver.
  public var type: String
  /// The container that was connected or disconnected; empty for others.
  public var container: String

  public init(action: String, networkID: String, name: String, type: String, container: String = "") {
    self.action = action
    self.networkID = networkID
    self.name = name
    self.type = type
    self.container = container
  }

  init(_ action: String, _ interface: Endpoint.Interface, container: String, type: String) {
    self.init(
      action: action, networkID: interface.networkID, name: interface.networkName, type: type, container: container)
  }
}

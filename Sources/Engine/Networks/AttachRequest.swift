/// What a container asks of its network when it starts.
public struct AttachRequest: Sendable {
  /// 64 hexadecimal digits.
  public var containerID: String
  /// Without the leading slash; for inspect and for error texts.
  public var containerName: String
  /// `.container` with the other's full id: names are the containers' business.
  public var mode: NetworkMode
  /// `HostConfig.PortBindings`.
  public var bindings: [PortBinding]
  /// `ExposedPorts` of image and container; published on any free port with `publishAll` (`-P`).
  public var exposed: [ContainerPort]
  public var publishAll: Bool
  /// `--mac-address`, `02:42:…`; nil: made from the address.
  public var macAddress: String?

  public init(
    containerID: String, containerName: String, mode: NetworkMode, bindings: [PortBinding] = [],
    exposed: [ContainerPort] = [],
    publishAll: Bool = false, macAddress: String? = nil
  ) {
    self.containerID = containerID
    self.containerName = containerName
    self.mode = mode
    self.bindings = bindings
    self.exposed = exposed
    self.publishAll = publishAll
    self.macAddress = macAddress
  }
}

/// What `Containers` needs of the images: a name's image. The engine ties it to `Images`.
public protocol ContainerImages: Sendable {
  /// Throws `EngineError.notFound("No such image: x:latest")`.
  func image(_ name: String) async throws -> ContainerImage
}

/// An image as a container is created from it.
public struct ContainerImage: Sendable {
  /// `sha256:…`
  public var id: String
  /// The image's own configuration; `image`, `hostname` and the attach members are unset.
  public var config: ContainerConfig
  /// The snapshot that a container's own is made on: the chain id of its layers, empty for an image without layers.
  public var chainID: String
  /// `linux`
  public var platform: String

  public init(id: String, config: ContainerConfig, chainID: String, platform: String) {
    self.id = id
    self.config = config
    self.chainID = chainID
    self.platform = platform
  }
}

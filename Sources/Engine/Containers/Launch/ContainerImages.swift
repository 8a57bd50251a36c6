public import OCI

/// What `Containers` needs of the images: a name's image. The engine ties it to `Images`.
public protocol ContainerImages: Sendable {
  /// Throws `EngineError.notFound("No such image: x:latest")`.
  func image(_ name: String) throws -> ContainerImage
}

/// An image as a container is created from it.
public struct ContainerImage: Sendable {
  /// `sha256:…`
  public var id: String
  /// The image's own configuration; `image`, `hostname` and the attach members are unset.
  public var config: ContainerConfig
  /// By diff id, bottom first; empty for an image without layers.
  public var layers: [Digest]
  /// `linux`
  public var os: String
  /// `amd64`, and `arm64/v8` with a variant.
  public var architecture: String

  public init(id: String, config: ContainerConfig, layers: [Digest], os: String, architecture: String) {
    self.id = id
    self.config = config
    self.layers = layers
    self.os = os
    self.architecture = architecture
  }
}

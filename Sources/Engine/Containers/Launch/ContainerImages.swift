public import OCI

/// What `Containers` needs of the images: a name's image. The engine ties it to `Images`.
public protocol ContainerImages: Sendable {
  /// Throws `EngineError.notFound("No such image: x:latest")`.
  func image(_ name: String) throws -> ContainerImage

  /// What `commit` would refuse of its arguments, before anything is read.
  func check(_ commit: ContainerImageCommit) throws
  /// Stores an image of the container's image and a layer more, whose tar `layer` writes on a thread that may block; it answers whether there
  /// is anything in it.
  func commit(
    _ commit: ContainerImageCommit,
    layer: @escaping @Sendable (_ write: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void) throws -> Bool
  ) async throws -> CommittedImage
}

/// An image to be made of a container.
public struct ContainerImageCommit: Sendable {
  /// The container's image, `sha256:…`.
  public var imageID: String
  public var config: ContainerConfig
  /// What the container was told to run, for the image's history.
  public var command: [String]
  public var repository: String
  public var tag: String
  public var author: String
  public var comment: String
  /// Dockerfile instructions, applied to `config`.
  public var changes: [String]
}

public struct CommittedImage: Sendable {
  /// `sha256:…`
  public var id: String
  /// As the user names it; empty without a name.
  public var reference: String

  public init(id: String, reference: String) {
    self.id = id
    self.reference = reference
  }
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

import Containers
import Errdefs
import Images
import OCI

/// Images, as Containers asks for them.
struct ImageSource: ContainerImages {
  let images: Images

  func image(_ name: String) throws -> ContainerImage {
    let image = try images.resolve(name)
    guard image.missingLayers.isEmpty else {
      throw EngineError.system(
        "image \(name) is damaged: \(image.missingLayers.count) of its layers are missing; load it again")
    }
    let platform = image.platform
    let architecture = platform.variant.map { "\(platform.architecture)/\($0)" } ?? platform.architecture
    return ContainerImage(
      id: image.id.description, config: ContainerConfig(image.config.config), layers: image.layers, os: platform.os,
      architecture: architecture)
  }

  func check(_ commit: ContainerImageCommit) throws {
    try Images.checkImport(repository: commit.repository, tag: commit.tag, changes: commit.changes)
  }

  func commit(
    _ commit: ContainerImageCommit,
    layer: @escaping @Sendable (_ write: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void) throws -> Bool
  ) async throws -> CommittedImage {
    guard let parent = Digest(commit.imageID) else {
      throw EngineError.system("\(commit.imageID) isn't an image's id")
    }
    let image = try await images.commit(
      ImageCommit(
        parent: parent, config: ImageConfig.Defaults(commit.config), command: commit.command,
        repository: commit.repository, tag: commit.tag, author: commit.author, comment: commit.comment,
        changes: commit.changes), layer: layer)
    return CommittedImage(id: image.id.description, reference: image.reference?.familiar ?? "")
  }
}

extension ImageConfig.Defaults {
  /// What an image of a container says of the containers made from it: the container's settings without what is its own.
  init(_ config: ContainerConfig) {
    self.init()
    user = config.user.isEmpty ? nil : config.user
    exposedPorts = config.exposedPorts.isEmpty ? nil : config.exposedPorts
    env = config.env
    entrypoint = config.entrypoint
    cmd = config.cmd
    volumes = config.volumes
    workingDir = config.workingDir.isEmpty ? nil : config.workingDir
    labels = config.labels.isEmpty ? nil : config.labels
    stopSignal = config.stopSignal.isEmpty ? nil : config.stopSignal
    stopTimeout = config.stopTimeout.map { Int64($0) }
    onBuild = config.onBuild
    shell = config.shell
    argsEscaped = config.argsEscaped ? true : nil
    if let check = config.healthcheck {
      healthcheck = ImageConfig.Healthcheck(
        test: check.test, interval: check.interval, timeout: check.timeout, startPeriod: check.startPeriod,
        startInterval: check.startInterval, retries: check.retries)
    }
  }
}

extension ContainerConfig {
  /// What the image says a container of it is.
  init(_ defaults: ImageConfig.Defaults) {
    self.init()
    user = defaults.user ?? ""
    exposedPorts = (defaults.exposedPorts ?? []).sorted()
    env = defaults.env
    entrypoint = defaults.entrypoint
    cmd = defaults.cmd
    volumes = defaults.volumes?.sorted()
    workingDir = defaults.workingDir ?? ""
    labels = defaults.labels ?? [:]
    stopSignal = defaults.stopSignal ?? ""
    stopTimeout = defaults.stopTimeout.flatMap { Int(exactly: $0) }
    onBuild = defaults.onBuild
    shell = defaults.shell
    argsEscaped = defaults.argsEscaped ?? false
    if let check = defaults.healthcheck {
      var config = HealthConfig()
      config.test = check.test
      config.interval = check.interval
      config.timeout = check.timeout
      config.startPeriod = check.startPeriod
      config.startInterval = check.startInterval
      config.retries = check.retries
      healthcheck = config
    }
  }
}

/// Containers, as Images asks before it removes an image.
struct ContainerUses: ImageUsers {
  let containers: Containers

  func imageUses() -> [ImageUse] {
    containers.snapshots().compactMap { snapshot in
      guard let image = Digest(snapshot.imageID) else { return nil }
      return ImageUse(
        containerID: snapshot.id, image: image, reference: snapshot.config.image, isRunning: snapshot.state.running)
    }
  }
}

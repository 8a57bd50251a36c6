public import Containers
public import Events
public import Images
public import Networks
public import Volumes

/// What the API works on: the engine's nouns, and what the engine is called.
public struct EngineNouns: Sendable {
  public var containers: Containers
  public var images: Images
  public var networks: Networks
  public var volumes: Volumes
  public var events: Events
  public var facts: EngineFacts
  let sizes = SizeCache()

  public init(
    containers: Containers, images: Images, networks: Networks, volumes: Volumes, events: Events,
    facts: EngineFacts
  ) {
    self.containers = containers
    self.images = images
    self.networks = networks
    self.volumes = volumes
    self.events = events
    self.facts = facts
  }
}

/// What `version` and `info` say of the daemon itself.
public struct EngineFacts: Sendable {
  /// Berth's own version.
  public var version: String
  public var gitCommit = ""
  /// RFC 3339.
  public var buildTime = ""
  public var dataRoot: String
  /// Of this installation, the same for the life of the data root.
  public var id: String
  public var debug = false
  /// `--userns-remap`
  public var remapsUsers = false
  /// `key=value`, of the daemon.
  public var labels: [String] = []
  public var storageDriver = "overlay2"
  public var loggingDriver = "json-file"
  public var defaultRuntime = "berth"
  /// 1 (also hybrid) or 2.
  public var cgroupVersion = 2
  public var warnings: [String] = []

  public init(version: String, dataRoot: String, id: String) {
    self.version = version
    self.dataRoot = dataRoot
    self.id = id
  }
}

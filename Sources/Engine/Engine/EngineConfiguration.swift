import Cgroups
public import Containers
public import Networks
public import Registry
public import Snapshots
public import Volumes

/// What the daemon's flags and its configuration file decide, by the noun that it concerns.
public struct EngineConfiguration: Sendable {
  public var dataRoot: String
  public var execRoot: String
  public var containers: Containers.Configuration
  public var networks: Networks.Configuration
  public var registries = Registry.Configuration()
  public var volumes: Volumes.Configuration
  /// Of layers that are added; those that are there stay as they are.
  public var layerFormat = LayerFormat.directory

  /// `shimProgram`: the path of berth-shim, which is copied once at start.
  public init(dataRoot: String, execRoot: String, shimProgram: String) {
    self.dataRoot = dataRoot
    self.execRoot = execRoot
    containers = Containers.Configuration(
      dataRoot: dataRoot, execRoot: execRoot, cgroupParent: Cgroups.defaultParent(execRoot: execRoot),
      shimProgram: shimProgram)
    networks = Networks.Configuration(dataRoot: dataRoot, execRoot: execRoot)
    volumes = Volumes.Configuration(dataRoot: dataRoot)
  }
}

public import Kernel

/// What `Containers` needs of the volumes. The engine ties it to `Volumes`.
public protocol ContainerVolumes: Sendable {
  /// The volume of that name, made when there is none; without a name a new anonymous one. The container holds it from now on.
  func acquire(_ request: VolumeRequest) async throws -> ContainerVolume
  /// A volume that another container has, held as well.
  func hold(id: String, containerID: String) throws -> ContainerVolume
  /// Gives an empty volume what is in that directory of an image, and its owner and mode.
  func populate(id: String, from directory: SharedDescriptor) async throws
  /// The container is gone: it holds nothing any more. Anonymous volumes of `removing` go, unless another container holds them; nil:
  /// all that it held.
  func release(containerID: String, removing: [String]?) async
  /// Readies volumes for a container that starts. Answers where each is found on the host, by id.
  func mount(_ uses: [VolumeUse], containerID: String) async throws -> [String: String]
  /// The container ended. Nothing mounted is no error.
  func unmount(containerID: String)
  /// Does something with the files of volumes that no container need run with; each is where `places` says, by id.
  func using<T: Sendable>(_ ids: [String], _ body: @Sendable (_ places: [String: String]) async throws -> T)
    async throws
    -> T
  /// As it is called now; nil when there is no such volume.
  func volume(id: String) -> ContainerVolume?
  /// Once, at the daemon's start: the volumes that each container holds, and those containers that run.
  func reconcile(holdings: [String: Set<String>], running: Set<String>) async throws
}

public struct VolumeRequest: Sendable {
  /// Empty: anonymous.
  public var name: String
  public var driver: String
  public var labels: [String: String]
  public var options: [String: String]
  public var containerID: String
}

public struct ContainerVolume: Sendable {
  /// Stays when the name changes.
  public var id: String
  public var name: String
  public var driver: String
  /// On the host.
  public var path: String
  public var isAnonymous: Bool

  public init(id: String, name: String, driver: String, path: String, isAnonymous: Bool) {
    self.id = id
    self.name = name
    self.driver = driver
    self.path = path
    self.isAnonymous = isAnonymous
  }
}

/// One mount of one volume in a container that starts.
public struct VolumeUse: Sendable {
  public var id: String
  public var destination: String
  public var isWritable: Bool
  public var propagation: String
}

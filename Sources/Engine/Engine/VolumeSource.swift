import Containers
import Kernel
import Volumes

/// Volumes, as Containers asks of them.
struct VolumeSource: ContainerVolumes {
  let volumes: Volumes

  func acquire(_ request: VolumeRequest) async throws -> ContainerVolume {
    let (volume, _) = try await volumes.acquire(
      name: request.name, driver: request.driver, labels: request.labels, options: request.options,
      containerID: request.containerID)
    return ContainerVolume(volume)
  }

  func hold(id: String, containerID: String) throws -> ContainerVolume {
    ContainerVolume(try volumes.hold(id: id, containerID: containerID))
  }

  func populate(id: String, from directory: SharedDescriptor) async throws {
    try await volumes.populate(id, from: directory)
  }

  func release(containerID: String, removing: [String]?) async {
    await volumes.release(containerID: containerID, removing: removing)
  }

  func mount(_ uses: [VolumeUse], containerID: String) async throws -> [String: String] {
    try await volumes.mount(
      uses.map {
        Volumes.MountRequest(
          id: $0.id, destination: $0.destination, isWritable: $0.isWritable, propagation: $0.propagation)
      }, containerID: containerID)
  }

  func unmount(containerID: String) { volumes.unmount(containerID: containerID) }

  func using<T: Sendable>(
    _ ids: [String], _ body: @Sendable (_ places: [String: String]) async throws -> T
  ) async throws -> T {
    try await volumes.using(ids, body)
  }

  func volume(id: String) -> ContainerVolume? { volumes.volume(id: id).map { ContainerVolume($0) } }

  func reconcile(holdings: [String: Set<String>], running: Set<String>) async throws {
    try await volumes.reconcile(
      holdings: holdings.map { Volumes.Holding(containerID: $0.key, volumeIDs: $0.value) }, running: running)
  }
}

extension ContainerVolume {
  init(_ volume: Volume) {
    self.init(
      id: volume.id, name: volume.name, driver: "local", path: volume.mountpoint, isAnonymous: volume.isAnonymous)
  }
}

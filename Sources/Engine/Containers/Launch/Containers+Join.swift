import Errdefs
import Kernel
import OCI

extension Containers {
  /// What a container takes of others that run.
  struct Joined {
    /// Paths of namespaces.
    var namespaces: [RuntimeSpec.NamespaceKind: String] = [:]
    /// Whose they are.
    var donors: [Container] = []
    /// A process of the container whose `/dev/shm` it shares.
    var shm: Int32?
  }

  /// The namespaces of other containers that this one joins; they must run (container_operations_unix.go `getIPCContainer`,
  /// `getPIDContainer`). Of the host's namespaces only what must be there is checked.
  func join(_ snapshot: ContainerSnapshot) throws -> Joined {
    let host = snapshot.hostConfig
    var joined = Joined()
    if let name = Self.donor(host.ipcMode) {
      let donor: Container
      do { donor = try find(name) } catch let error as EngineError {
        throw EngineError.invalidParameter("failed to join IPC namespace: \(error.message)")
      }
      let pid = try running(donor, "failed to join IPC namespace: ")
      guard Self.sharesMemory(donor.snapshot) else {
        throw EngineError.invalidParameter(
          """
          failed to join IPC namespace: container \(donor.id): non-shareable IPC (hint: use IpcMode:shareable for the donor \
          container)
          """)
      }
      joined.donors.append(donor)
      joined.namespaces[.ipc] = "/proc/\(pid)/ns/ipc"
      if !Self.hasOwnSharedMemory(snapshot) { joined.shm = pid }
    } else if host.ipcMode == "host", !Sys.exists("/dev/shm") {
      throw EngineError.system("/dev/shm is not mounted, but must be for --ipc=host")
    }
    if let name = Self.donor(host.pidMode) {
      // For dockerd all that goes wrong with a specification is its own fault: 500.
      do {
        let donor = try find(name)
        let pid = try running(donor, "")
        joined.donors.append(donor)
        joined.namespaces[.pid] = "/proc/\(pid)/ns/pid"
      } catch let error as EngineError {
        throw EngineError.system("failed to join PID namespace: \(error.message)")
      }
    }
    return joined
  }

  /// The container whose network another one takes (container_operations.go `getNetworkedContainer`).
  func networkDonor(_ name: String, for id: String) throws -> Container {
    let donor: Container
    do { donor = try find(name) } catch let error as EngineError {
      throw EngineError.system("joining network namespace of container: \(error.message)")
    }
    guard donor.id != id else { throw EngineError.system("cannot join own network namespace") }
    let state = donor.state
    guard state.running else {
      throw EngineError.conflict(
        """
        cannot join network namespace of a non running container: container \(donor.snapshot.name) is \(state.status.rawValue)
        """)
    }
    guard !state.restarting else {
      throw EngineError.conflict("cannot join network namespace of container: \(Self.restartingText(donor))")
    }
    return donor
  }

  /// The process of a container that runs.
  private func running(_ container: Container, _ doing: String) throws -> Int32 {
    let state = container.state
    guard state.running else { throw EngineError.conflict("\(doing)container \(container.id) is not running") }
    guard !state.restarting else { throw EngineError.conflict(doing + Self.restartingText(container)) }
    return state.pid
  }

  private static func restartingText(_ container: Container) -> String {
    "Container \(container.id) is restarting, wait until the container is running"
  }

  private static func donor(_ mode: String) -> String? {
    mode.hasPrefix("container:") ? String(mode.dropFirst("container:".count)) : nil
  }

  /// Whether others may share its ipc namespace, and with that its `/dev/shm`, which must not be something of the user's own.
  private static func sharesMemory(_ donor: ContainerSnapshot) -> Bool {
    let mode = donor.hostConfig.ipcMode
    return !hasOwnSharedMemory(donor) && (["shareable", "host"].contains(mode) || mode.hasPrefix("container:"))
  }

  private static func hasOwnSharedMemory(_ snapshot: ContainerSnapshot) -> Bool {
    let places = snapshot.mounts.map(\.destination) + snapshot.hostConfig.tmpfs.keys.map(Path.clean)
    return places.contains { $0 == "/dev/shm" || $0 == "/dev" }
  }
}

import Cgroups
import ContainerRuntime
import Errdefs
import Kernel
public import OCI
import Synchronization

extension Containers {
  func cgroup(of snapshot: ContainerSnapshot) throws -> Cgroup {
    let parent = snapshot.hostConfig.resources.cgroupParent
    let path = Path.clean("/" + (parent.isEmpty ? configuration.cgroupParent : parent) + "/" + snapshot.id)
    return try Cgroup(path: path, layout: host.layout)
  }

  /// Freezes all processes. Throws `Container x is already paused`, `Container x is not running`.
  public func pause(_ reference: String) async throws {
    let container = try find(reference)
    try await container.operations.run {
      let snapshot = container.snapshot
      switch snapshot.state.status {
      case .paused: throw EngineError.conflict("Container \(container.id) is already paused")
      case .restarting:
        throw EngineError.conflict("Container \(container.id) is restarting, wait until the container is running")
      case .running: break
      default: throw EngineError.conflict("container \(container.id) is not running")
      }
      do {
        try await blocking { [self] in try cgroup(of: snapshot).freeze() }
      } catch { throw EngineError.system("Cannot pause container \(container.id): \(error)", cause: error) }
      let paused = container.change { snapshot -> ContainerSnapshot? in
        // It may have been killed while it froze.
        guard snapshot.state.status == .running else { return nil }
        snapshot.state.status = .paused
        return snapshot
      }
      guard let paused else {
        try await blocking { [self] in try cgroup(of: snapshot).thaw() }
        throw EngineError.conflict("container \(container.id) is not running")
      }
      tell("pause", paused)
      await save(container)
    }
  }

  public func unpause(_ reference: String) async throws {
    let container = try find(reference)
    try await container.operations.run {
      guard container.state.paused else { throw EngineError.conflict("Container \(container.id) is not paused") }
      do { try thaw(container) } catch {
        throw EngineError.system("Cannot unpause container \(container.id): \(error)", cause: error)
      }
      let running = container.update { if $0.state.status == .paused { $0.state.status = .running } }
      tell("unpause", running)
      await save(container)
    }
  }

  func thaw(_ container: Container) throws { try cgroup(of: container.snapshot).thaw() }

  /// Gives it another name. Throws Docker's texts.
  public func rename(_ reference: String, to name: String) async throws {
    let container = try find(reference)
    guard !name.isEmpty else { throw EngineError.invalidParameter("Neither old nor new names may be empty") }
    try await container.operations.run {
      let old = container.name
      let bare = try Self.allocating { try ContainerNames.check(name) }
      guard bare != old else {
        throw EngineError.invalidParameter("Renaming a container with the same name as its current name")
      }
      if container.live.withLock({ $0.removing }) { throw EngineError.notFound("No such container: \(reference)") }
      _ = try Self.allocating { try reserve(name: bare, id: container.id) }
      container.update { $0.name = bare }
      do { try await saveAll(container) } catch {
        container.update { $0.name = old }
        release(name: bare, of: container.id)
        throw error
      }
      release(name: old, of: container.id)
      networks.rename(containerID: container.id, to: bare)
      tell("rename", container.snapshot, ["oldName": "/" + old])
    }
  }

  /// A name that can't be had, in the words of a rename.
  private static func allocating<T>(_ body: () throws -> T) throws -> T {
    do { return try body() } catch let error as EngineError {
      throw EngineError(error.kind, "Error when allocating new name: \(error.message)", cause: error.cause)
    }
  }

  /// `width` and `height` in characters; a container without a terminal takes them as any other. Throws `container x is not running`.
  public func resize(_ reference: String, width: UInt16, height: UInt16) async throws {
    let container = try find(reference)
    guard container.state.alive, let shim = container.live.withLock({ $0.shim }) else {
      throw EngineError.conflict("container \(container.id) is not running")
    }
    guard container.snapshot.config.tty else { return }
    try await shim.resize(width: width, height: height)
    tell("resize", container.snapshot, ["height": "\(height)", "width": "\(width)"])
  }

  /// The body of `POST /containers/{id}/update`: members of `HostResources` that are there change, so does `RestartPolicy`.
  /// Answers warnings.
  public func update(_ reference: String, _ body: JSONFields) async throws -> [String] {
    let container = try find(reference)
    return try await container.operations.run {
      let before = container.snapshot
      if container.live.withLock({ $0.removing }) || before.state.dead {
        throw EngineError.conflict(
          "Cannot update container \(container.id): container is marked for removal and cannot be \"update\"")
      }
      var host = before.hostConfig
      var resources = try Self.merged(host.resources, body)
      if let policy = try body.fields("RestartPolicy"), let name = try policy.string("Name"), !name.isEmpty {
        if host.autoRemove, name != "no" {
          throw EngineError.conflict(
            "Cannot update container \(container.id): Restart policy cannot be updated because AutoRemove is enabled for the container"
          )
        }
        host.restartPolicy = HostConfig.RestartPolicy(
          name: name, maximumRetryCount: try policy.integer("MaximumRetryCount") ?? 0)
      }
      var validation = Validation(host: self.host)
      try validation.resources(&resources, update: true)
      host.resources = resources
      var config = before.config
      config.hostname = ""
      var probe = host
      probe.networkMode = "default"
      try validation.check(&config, &probe, update: true)
      if before.state.alive, host.resources != before.hostConfig.resources {
        let limits = try SpecBuilder.limits(host.resources)
        do {
          let group = try cgroup(of: before)
          validation.warnings += try await blocking { try group.update(limits) }
        } catch {
          throw EngineError.system("Cannot update container \(container.id): \(error)", cause: error)
        }
      }
      let updated = host
      container.update { $0.hostConfig = updated }
      try await saveAll(container)
      tell("update", container.snapshot)
      return validation.warnings
    }
  }

  /// Docker reads 0 as unchanged (container/container_unix.go `UpdateContainer`).
  private static func merged(_ present: HostResources, _ body: JSONFields) throws -> HostResources {
    let change = try HostResources(body)
    var result = present
    if change.nanoCPUs > 0, present.cpuPeriod > 0 || present.cpuQuota > 0 {
      throw EngineError.conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")
    }
    if change.cpuPeriod > 0 || change.cpuQuota > 0, present.nanoCPUs > 0, change.nanoCPUs == 0 {
      throw EngineError.conflict("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")
    }
    if change.blkioWeight != 0 { result.blkioWeight = change.blkioWeight }
    if change.cpuShares != 0 { result.cpuShares = change.cpuShares }
    if change.nanoCPUs != 0 { result.nanoCPUs = change.nanoCPUs }
    if change.cpuPeriod != 0 { result.cpuPeriod = change.cpuPeriod }
    if change.cpuQuota != 0 { result.cpuQuota = change.cpuQuota }
    if !change.cpusetCpus.isEmpty { result.cpusetCpus = change.cpusetCpus }
    if !change.cpusetMems.isEmpty { result.cpusetMems = change.cpusetMems }
    if change.memory != 0 {
      if change.memory > present.memorySwap, present.memorySwap > 0, change.memorySwap == 0 {
        throw EngineError.conflict(
          "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
      }
      result.memory = change.memory
    }
    if change.memorySwap != 0 { result.memorySwap = change.memorySwap }
    if change.memoryReservation != 0 { result.memoryReservation = change.memoryReservation }
    if let limit = change.pidsLimit { result.pidsLimit = limit }
    return result
  }
}

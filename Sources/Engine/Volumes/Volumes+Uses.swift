import Errdefs
import Kernel
import Logging
import Synchronization

extension Volumes {
  /// A use of one volume by one container that starts.
  public struct MountRequest: Sendable {
    public var id: String
    public var destination: String
    public var isWritable: Bool
    public var propagation: String

    public init(id: String, destination: String, isWritable: Bool, propagation: String) {
      self.id = id
      self.destination = destination
      self.isWritable = isWritable
      self.propagation = propagation
    }
  }

  /// A container is gone, or never came to be: it holds nothing any more. Its anonymous volumes, those of `removing` (nil: all), go unless another
  /// container holds them; what can't be removed stays and is logged.
  public func release(containerID: String, removing: [String]?) async {
    unmount(containerID: containerID)
    let names: [String] = table.withLock { table in
      let held = table.byID.filter { $0.value.users.contains(containerID) }.map(\.key)
      for id in held { table.byID[id]?.users.remove(containerID) }
      return (removing ?? held).compactMap { id in
        guard let entry = table.byID[id], entry.users.isEmpty, entry.volume.isAnonymous else { return nil }
        return entry.volume.name
      }
    }
    for name in names {
      do { try await remove(name) } catch { logger.warning("remove the anonymous volume \(name): \(error)") }
    }
  }

  /// Readies volumes for a container that starts: those with options are mounted on the host unless they are already. Answers where each
  /// is found, by id. Throws Docker's `error while mounting volume '…': failed to mount local volume: …`.
  public func mount(_ requests: [MountRequest], containerID: String) async throws -> [String: String] {
    var places: [String: String] = [:]
    do {
      for request in requests where places[request.id] == nil {
        places[request.id] = try await queue.run(request.id) { () -> String in
          let (volume, isFirst) = try table.withLock { table -> (Volume, Bool) in
            guard let entry = table.byID[request.id] else {
              throw EngineError.notFound("get \(request.id): no such volume")
            }
            return (entry.volume, entry.running.isEmpty)
          }
          if isFirst { try await mountOnHost(volume) }
          table.withLock { table in
            table.byID[request.id]?.running.insert(containerID)
            table.byID[request.id]?.users.insert(containerID)
            table.byID[request.id]?.usage = nil
          }
          return volume.mountpoint
        }
      }
    } catch {
      unmount(containerID: containerID)
      throw error
    }
    for request in requests {
      guard let volume = volume(id: request.id) else { continue }
      tell(
        "mount", volume.name,
        [
          "container": containerID, "destination": request.destination, "driver": "local",
          "propagation": request.propagation, "read/write": "\(request.isWritable)",
        ])
    }
    return places
  }

  /// Does something with the files of volumes that no container need run with: they are mounted meanwhile, if they are to be. Answers
  /// where each is found, by id; one that is gone isn't among them.
  public func using<T: Sendable>(
    _ ids: [String], _ body: @Sendable (_ places: [String: String]) async throws -> T
  ) async throws -> T {
    let user = "files-\(Self.newID().prefix(16))"
    defer { stop(user) }
    var places: [String: String] = [:]
    for id in ids where places[id] == nil {
      places[id] = try await queue.run(id) { () -> String? in
        guard let entry = table.withLock({ $0.byID[id] }) else { return nil }
        if entry.running.isEmpty { try await mountOnHost(entry.volume) }
        table.withLock { _ = $0.byID[id]?.running.insert(user) }
        return entry.volume.mountpoint
      }
    }
    return try await body(places)
  }

  static func place(of volume: Volume, in places: [String: String]) throws -> String {
    guard let place = places[volume.id] else { throw EngineError.notFound("get \(volume.name): no such volume") }
    return place
  }

  /// A container ended: what nobody else uses is unmounted, behind.
  public func unmount(containerID: String) {
    for volume in stop(containerID) { tell("unmount", volume.name, ["container": containerID, "driver": "local"]) }
  }

  /// `user` runs with nothing any more. Answers what it ran with; what is mounted for nobody else is unmounted, behind.
  @discardableResult
  private func stop(_ user: String) -> [Volume] {
    let left = table.withLock { table in
      table.byID.compactMap { id, entry -> Volume? in
        guard entry.running.contains(user) else { return nil }
        table.byID[id]?.running.remove(user)
        table.byID[id]?.usage = nil
        return entry.volume
      }
    }
    for volume in left where HostMount.isNeeded(volume) { Task { await self.unmountIfIdle(volume.id) } }
    return left
  }

  func unmountIfIdle(_ id: String) async {
    await queue.run(id) {
      guard let entry = table.withLock({ $0.byID[id] }), entry.running.isEmpty else { return }
      do { try await blocking { try HostMount.remove(entry.volume) } } catch {
        logger.warning("unmount volume \(entry.volume.name): \(error)")
      }
    }
  }

  /// Mounts what a volume's options say, unless it is mounted. In the volume's queue.
  func mountOnHost(_ volume: Volume) async throws {
    guard HostMount.isNeeded(volume) else { return }
    if let device = volume.options["device"], device.hasPrefix("/") {
      let words = (volume.options["o"] ?? "").split(separator: ",")
      try configuration.checkDevice(device, !words.contains("ro"))
    }
    do {
      try await blocking { [self] in
        try HostMount.make(volume)
        try clearHalf(volume)
      }
    } catch {
      throw EngineError.system(
        "error while mounting volume '\(volume.mountpoint)': failed to mount local volume: \(error)", cause: error)
    }
  }

  /// Does something with a volume's files, mounted if need be. In the volume's queue.
  func withData<T: Sendable>(_ volume: Volume, _ body: @escaping @Sendable (_ path: String) throws -> T) async throws
    -> T
  {
    try await mountOnHost(volume)
    defer { if HostMount.isNeeded(volume) { Task { await self.unmountIfIdle(volume.id) } } }
    return try await blocking { try body(volume.mountpoint) }
  }
}

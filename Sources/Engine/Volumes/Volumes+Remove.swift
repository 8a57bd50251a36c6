import Errdefs
import Kernel
import Logging
import Metadata
import Synchronization

extension Volumes {
  /// Removes a volume that no container holds. Throws `remove x: volume is in use - [ids]`; with `force` a name that isn't there is none.
  public func remove(_ reference: String, force: Bool = false) async throws {
    let id: String
    do { id = try find(reference).volume.id } catch let error as EngineError {
      if force, error.kind == .notFound { return }
      throw error
    }
    try await queue.run(id) { try await removeNow(id, named: reference) }
  }

  /// In the volume's queue.
  private func removeNow(_ id: String, named reference: String) async throws {
    let volume = try table.withLock { table -> Volume in
      guard let entry = table.byID[id] else { throw EngineError.notFound("get \(reference): no such volume") }
      // Those that run with it without holding it read it: an export, a clone.
      let users = entry.users.union(entry.running).sorted()
      guard users.isEmpty else {
        throw EngineError.conflict(
          "remove \(entry.volume.name): volume is in use - [\(users.joined(separator: ", "))]")
      }
      guard !entry.volume.isProtected else {
        throw EngineError.conflict(
          "remove \(entry.volume.name): volume is protected: `berth volume update --unprotect \(entry.volume.name)` first"
        )
      }
      table.byID[id]?.isBeingRemoved = true
      return entry.volume
    }
    do {
      let record = volume.record(isBeingRemoved: true)
      try await metadata.write(durable: true) { try $0.updateVolume(id, name: volume.name, record: record.record) }
      try await blocking { [self] in try takeAway(volume) }
      try await metadata.write(durable: true) { try $0.deleteVolume(id) }
    } catch {
      await keep(volume)
      throw Self.failure("remove \(volume.name)", error)
    }
    table.withLock { table in
      table.byID[id] = nil
      if table.names[volume.name] == id { table.names[volume.name] = nil }
    }
    tell("destroy", volume.name, ["driver": "local"])
  }

  /// A volume whose removal failed stays, and isn't removed by the next start either, unless its directory has gone already.
  private func keep(_ volume: Volume) async {
    let record = volume.record()
    do {
      if try await blocking({ [self] in Sys.exists(directory(volume.name)) }) {
        try await metadata.write(durable: true) {
          try $0.updateVolume(volume.id, name: volume.name, record: record.record)
        }
      }
    } catch {
      logger.error("volume \(volume.name) is removed at the next start, since its row can't be written: \(error)")
    }
    table.withLock { $0.byID[volume.id]?.isBeingRemoved = false }
  }

  /// The directory leaves its name: to the trash, or for good.
  func takeAway(_ volume: Volume) throws {
    if HostMount.isNeeded(volume) { try HostMount.remove(volume) }
    let place = directory(volume.name)
    guard Sys.exists(place) else { return }
    if volume.isAnonymous || configuration.trashSeconds == 0 { return try discard(place) }
    try trash(volume, place)
  }

  /// Removes what no container holds. Filters: `label`, `label!`, `all` (else anonymous ones only). Answers names and bytes.
  public func prune(_ filters: [String: [String]]) async throws -> (deleted: [String], reclaimed: Int64) {
    for name in filters.keys.sorted() where !["label", "label!", "all"].contains(name) {
      throw EngineError.invalidParameter("invalid filter '\(name)'")
    }
    let all = try Self.flag(filters, "all") ?? false
    let candidates = table.withLock { table in
      table.byID.values.filter { entry in
        entry.users.isEmpty && !entry.isBeingRemoved && !entry.volume.isProtected && (all || entry.volume.isAnonymous)
          && VolumeFilter.matches(filters, entry.volume.labels)
      }.map(\.volume).sorted { $0.name < $1.name }
    }
    var deleted: [String] = []
    var reclaimed: Int64 = 0
    for volume in candidates {
      let bytes = (try? await usage(of: volume.id)) ?? 0
      do {
        try await remove(volume.id)
        deleted.append(volume.name)
        reclaimed += max(0, bytes)
      } catch let error as EngineError {
        // Somebody took it meanwhile.
        if error.kind != .conflict, error.kind != .notFound { logger.warning("prune: \(error)") }
      }
    }
    tell("prune", "", ["reclaimed": "\(reclaimed)"])
    return (deleted, reclaimed)
  }

  /// One of Go's booleans, given once.
  static func flag(_ filters: [String: [String]], _ name: String) throws -> Bool? {
    guard let values = filters[name], !values.isEmpty else { return nil }
    guard values.count == 1, let value = VolumeOptions.bool(values[0]) else {
      throw EngineError.invalidParameter("invalid filter '\(name)=[\(values.joined(separator: " "))]'")
    }
    return value
  }
}

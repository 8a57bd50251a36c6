import CLinux
import Errdefs
import Kernel
import Logging
import Metadata
import OCI
import Synchronization

extension Volumes {
  /// What is in the trash, the last removed first.
  public func trash() -> [TrashedVolume] { table.withLock { $0.trash.values.sorted { $0.removed > $1.removed } } }

  func trash(_ volume: Volume, _ place: String) throws {
    let trashed = TrashedVolume(volume: volume, removed: Sys.realtimeNanoseconds())
    try Sys.replaceFile(place + "/volume.json", with: trashed.json.encoded(), mode: 0o600, durable: true)
    try Sys.rename(place, to: "\(root)/.trash/\(volume.id)")
    try Sys.syncDirectory(root + "/.trash")
    table.withLock { $0.trash[volume.id] = trashed }
  }

  /// Brings a removed volume back: the one removed last under that name, or by its id; under another name when `name` is given.
  @discardableResult
  public func undelete(_ reference: String, as name: String? = nil) async throws -> Volume {
    guard let trashed = trash().first(where: { $0.volume.name == reference || $0.volume.id == reference }) else {
      throw EngineError.notFound("undelete \(reference): no such volume in the trash")
    }
    let name = name ?? trashed.volume.name
    try VolumeOptions.checkName(name)
    let volume = trashed.volume.renamed(name, root: root)
    return try await queue.run(name) {
      try await queue.run(volume.id) {
        let isTaken = try table.withLock { table in
          guard table.trash[volume.id] != nil else {
            throw EngineError.notFound("undelete \(reference): no such volume in the trash")
          }
          return table.names[name] != nil
        }
        guard !isTaken else {
          throw EngineError.conflict("undelete \(reference): a volume named \(name) exists: give another name")
        }
        try await blocking { [self] in
          let place = "\(root)/.trash/\(volume.id)"
          try writeRecord(volume, in: place)
          try Sys.rename(place, to: directory(name), flags: 1)
          try Sys.syncDirectory(root)
        }
        let record = volume.record()
        try await metadata.write(durable: true) { try $0.insert(record) }
        table.withLock { table in
          table.trash[volume.id] = nil
          table.byID[volume.id] = Entry(volume: volume)
          table.names[name] = volume.id
        }
        tell("create", name, ["driver": "local"])
        return volume
      }
    }
  }

  /// Deletes what is in the trash for good: what was removed before `time` (nanoseconds since 1970). Answers the names.
  @discardableResult
  public func emptyTrash(removedBefore time: Int64 = .max) async -> [String] {
    var names: [String] = []
    for trashed in trash() where trashed.removed < time {
      let id = trashed.volume.id
      await queue.run(id) {
        guard table.withLock({ $0.trash.removeValue(forKey: id) }) != nil else { return }
        do {
          try await blocking { [self] in try discard("\(root)/.trash/\(id)") }
          names.append(trashed.volume.name)
        } catch { logger.warning("empty the trash: volume \(trashed.volume.name): \(error)") }
      }
    }
    return names
  }

  /// Deletes what has been in the trash for its time, now and every hour, for the life of the daemon.
  func tendTrash() -> Task<Void, Never> {
    Task { [weak self] in
      while !Task.isCancelled {
        guard let self else { return }
        let limit = Sys.realtimeNanoseconds() - self.configuration.trashSeconds * 1_000_000_000
        await self.emptyTrash(removedBefore: limit)
        do { try await Task.sleep(nanoseconds: 3_600_000_000_000) } catch { return }
      }
    }
  }

  func readTrash() {
    for entry in (try? Sys.entries(of: root + "/.trash")) ?? [] {
      let path = "\(root)/.trash/\(entry.name)/volume.json"
      do {
        let fields = try JSONFields(try JSON.parse(try Sys.readFile(path, limit: 1 << 20)))
        let volume = try Volume(fields, root: root)
        guard volume.id == entry.name else { continue }
        let trashed = TrashedVolume(volume: volume, removed: try fields.int("removed") ?? 0)
        table.withLock { $0.trash[volume.id] = trashed }
      } catch {
        // Left where it is: somebody may know what it was.
        logger.warning("\"\(root)/.trash/\(entry.name)\" can't be read and is left alone: \(error)")
      }
    }
  }
}

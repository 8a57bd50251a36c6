import CLinux
import Errdefs
import Kernel
import Logging
import OCI
import Synchronization

/// A volume's content as it was at one moment.
public struct VolumeSnapshot: Sendable, Equatable {
  public var name: String
  /// Nanoseconds since 1970.
  public var created: Int64
}

extension Volumes {
  private func snapshots(of volume: Volume) -> String { directory(volume.name) + "/snapshots" }

  /// Keeps the volume's present content under a name: blocks are shared where the file system can, otherwise copied.
  @discardableResult
  public func snapshot(_ reference: String, as name: String) async throws -> VolumeSnapshot {
    try VolumeOptions.checkName(name)
    let id = try find(reference).volume.id
    let staging = "\(root)/.new-\(Self.newID())"
    do {
      // A large copy takes its time, so not in the volume's queue.
      let snapshot = try await using([id]) { [self] places -> VolumeSnapshot in
        let volume = try find(id).volume
        let data = try Self.place(of: volume, in: places)
        return try await blocking { [self] in
          guard !Sys.exists("\(snapshots(of: volume))/\(name)") else { throw Self.exists(name) }
          let snapshot = VolumeSnapshot(name: name, created: Sys.realtimeNanoseconds())
          try Sys.mkdir(staging, mode: 0o700)
          try Sys.mkdir(staging + "/_data", mode: 0o700)
          try Self.copyTree(data, staging + "/_data")
          let json: JSON = ["created": JSON(snapshot.created)]
          try Sys.replaceFile(staging + "/snapshot.json", with: json.encoded(), mode: 0o600, durable: false)
          let top = try Sys.open(staging, O_RDONLY | O_DIRECTORY)
          try Sys.syncfs(top.raw)
          return snapshot
        }
      }
      return try await queue.run(id) {
        let volume = try find(id).volume
        try await blocking { [self] in
          try Sys.mkdirAll(snapshots(of: volume), mode: 0o700)
          do throws(SyscallError) { try Sys.rename(staging, to: "\(snapshots(of: volume))/\(name)", flags: 1) } catch {
            guard error.errno == .fileExists else { throw error }
            throw Self.exists(name)
          }
          try Sys.syncDirectory(snapshots(of: volume))
          try Sys.syncDirectory(directory(volume.name))
        }
        tell("snapshot", volume.name, ["driver": "local", "snapshot": name])
        return snapshot
      }
    } catch {
      await abandon(staging)
      throw Self.failure("snapshot \(reference)", error)
    }
  }

  private static func exists(_ name: String) -> EngineError { .conflict("a snapshot named \(name) exists") }

  /// Oldest first.
  public func snapshots(_ reference: String) async throws -> [VolumeSnapshot] {
    let volume = try find(reference).volume
    return try await blocking { [self] in
      guard Sys.exists(snapshots(of: volume)) else { return [] }
      return try Sys.entries(of: snapshots(of: volume)).compactMap { entry in
        let record = "\(snapshots(of: volume))/\(entry.name)/snapshot.json"
        do {
          let json = try JSON.parse(try Sys.readFile(record, limit: 1 << 20))
          return VolumeSnapshot(name: entry.name, created: json["created"]?.intValue ?? 0)
        } catch {
          logger.warning("\"\(record)\" can't be read, its snapshot is left alone: \(error)")
          return nil
        }
      }.sorted { ($0.created, $0.name) < ($1.created, $1.name) }
    }
  }

  public func removeSnapshot(_ reference: String, _ name: String) async throws {
    let id = try find(reference).volume.id
    try await queue.run(id) {
      let volume = try find(id).volume
      let place = try place(of: name, in: volume)
      try await blocking { [self] in try discard(place) }
    }
  }

  private func place(of name: String, in volume: Volume) throws -> String {
    let place = "\(snapshots(of: volume))/\(name)"
    guard (try? VolumeOptions.checkName(name)) != nil, Sys.exists(place) else {
      throw EngineError.notFound("no such snapshot of volume \(volume.name): \(name)")
    }
    return place
  }

  /// A new volume `name` with a snapshot's content; or, with `nil`, that content in place of the volume's own, which no running container
  /// may use.
  @discardableResult
  public func restore(_ reference: String, _ snapshot: String, to name: String?) async throws -> Volume {
    let id = try find(reference).volume.id
    return try await queue.run(id) {
      let entry = try find(id)
      let volume = entry.volume
      let source = try place(of: snapshot, in: volume) + "/_data"
      if let name { return try await makeNew(name, like: volume) { data in try Self.copyTree(source, data) } }
      guard entry.running.isEmpty else {
        throw EngineError.conflict(
          "restore \(volume.name): volume is in use by running containers - [\(entry.running.sorted().joined(separator: ", "))]"
        )
      }
      guard volume.options["device"] == nil else {
        throw EngineError.invalidParameter(
          "restore \(volume.name): what the volume mounts isn't replaced: give another name")
      }
      try await blocking { [self] in try replaceContent(of: volume, from: source) }
      table.withLock { $0.byID[id]?.usage = nil }
      tell("restore", volume.name, ["driver": "local", "snapshot": snapshot])
      return volume
    }
  }

  /// All or nothing: the new content is whole on the disk before one rename puts it in the old one's place.
  private func replaceContent(of volume: Volume, from source: String) throws {
    let staging = "\(root)/.new-\(Self.newID())"
    try Sys.mkdir(staging, mode: 0o700)
    do {
      try Sys.mkdir(staging + "/_data", mode: 0o700)
      // Until the old content is gone, both count.
      defer { if volume.project != 0 { keepLimit(of: volume) } }
      try Self.fill(staging, of: volume) { data in
        if volume.project != 0 { try ProjectQuota.limit(volume.project, to: 0, on: data) }
        try Self.copyTree(source, data)
      }
      let top = try Sys.open(staging, O_RDONLY | O_DIRECTORY)
      try Sys.syncfs(top.raw)
      let part = volume.hasOwnFileSystem ? "/fs.img" : "/_data"
      if volume.hasOwnFileSystem { try HostMount.remove(volume) }
      try Sys.rename(staging + part, to: directory(volume.name) + part, flags: 2)  // RENAME_EXCHANGE
      try Sys.syncDirectory(directory(volume.name))
    } catch {
      try discard(staging)
      throw Self.failure("restore \(volume.name)", error)
    }
    try discard(staging)
  }

  /// Sets a volume's quota to what its size says.
  func keepLimit(of volume: Volume) {
    guard let size = volume.sizeLimit else { return }
    do { try ProjectQuota.limit(volume.project, to: size, on: directory(volume.name)) } catch {
      logger.error("the size of volume \(volume.name) isn't kept: \(error)")
    }
  }
}

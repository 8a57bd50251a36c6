import CLinux
import Errdefs
import Kernel
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
    return try await queue.run(id) {
      let volume = try find(id).volume
      let snapshot = VolumeSnapshot(name: name, created: Sys.realtimeNanoseconds())
      try await withData(volume) { [self] data in
        let place = "\(snapshots(of: volume))/\(name)"
        guard !Sys.exists(place) else {
          throw EngineError.conflict("snapshot \(volume.name): a snapshot named \(name) exists")
        }
        let staging = "\(root)/.new-\(Self.newID())"
        try Sys.mkdir(staging, mode: 0o700)
        do {
          try Sys.mkdir(staging + "/_data", mode: 0o700)
          try Self.copyTree(data, staging + "/_data")
          let json: JSON = ["created": JSON(snapshot.created)]
          try Sys.replaceFile(staging + "/snapshot.json", with: json.encoded(), mode: 0o600, durable: false)
          let top = try Sys.open(staging, O_RDONLY | O_DIRECTORY)
          try Sys.syncfs(top.raw)
          try Sys.mkdirAll(snapshots(of: volume), mode: 0o700)
          try Sys.rename(staging, to: place, flags: 1)
          try Sys.syncDirectory(snapshots(of: volume))
        } catch {
          try discard(staging)
          throw Self.failure("snapshot \(volume.name)", error)
        }
      }
      tell("snapshot", volume.name, ["driver": "local", "snapshot": name])
      return snapshot
    }
  }

  /// Oldest first.
  public func snapshots(_ reference: String) async throws -> [VolumeSnapshot] {
    let volume = try find(reference).volume
    return try await blocking { [self] in
      guard Sys.exists(snapshots(of: volume)) else { return [] }
      return try Sys.entries(of: snapshots(of: volume)).compactMap { entry in
        guard let json = try? JSON.parse(try Sys.readFile("\(snapshots(of: volume))/\(entry.name)/snapshot.json"))
        else { return nil }
        return VolumeSnapshot(name: entry.name, created: json["created"]?.intValue ?? 0)
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
      try Self.fill(staging, of: volume) { try Self.copyTree(source, $0) }
      let top = try Sys.open(staging, O_RDONLY | O_DIRECTORY)
      try Sys.syncfs(top.raw)
      let part = volume.sizeLimit == nil ? "/_data" : "/fs.img"
      if volume.sizeLimit != nil { try HostMount.remove(volume) }
      try Sys.rename(staging + part, to: directory(volume.name) + part, flags: 2)  // RENAME_EXCHANGE
      try Sys.syncDirectory(directory(volume.name))
    } catch {
      try discard(staging)
      throw Self.failure("restore \(volume.name)", error)
    }
    try discard(staging)
  }
}

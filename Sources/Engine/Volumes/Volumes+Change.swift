import CLinux
import Errdefs
import Kernel
import Logging
import Metadata
import Synchronization

extension Volumes {
  /// Gives a volume another name, also while containers run with it: they hold its id. Its directory moves along.
  @discardableResult
  public func rename(_ reference: String, to name: String) async throws -> Volume {
    try VolumeOptions.checkName(name)
    let id = try find(reference).volume.id
    return try await queue.run(name) {
      try await queue.run(id) {
        let old = try find(id).volume
        guard old.name != name else { return old }
        guard table.withLock({ $0.names[name] == nil && !$0.reserved.contains(name) }) else {
          throw EngineError.conflict("rename \(old.name): a volume named \(name) exists")
        }
        let new = old.renamed(name, root: root)
        let (before, after) = (old.record(), new.record())
        try await metadata.write(durable: true) { try $0.updateVolume(id, name: after.name, record: after.record) }
        do {
          // A crash from here on is mended by `recover`: the directory follows the row.
          try await blocking { [self] in
            try Sys.rename(directory(old.name), to: directory(name), flags: 1)
            try writeRecord(new, in: directory(name))
            try Sys.syncDirectory(root)
          }
        } catch {
          let failure = error
          do {
            try await blocking { [self] in
              // It didn't move when the old place is still there.
              guard !Sys.exists(directory(old.name)) else { return }
              try Sys.rename(directory(name), to: directory(old.name), flags: 1)
              try writeRecord(old, in: directory(old.name))
            }
            try await metadata.write(durable: true) {
              try $0.updateVolume(id, name: before.name, record: before.record)
            }
          } catch { logger.error("volume \(old.name) keeps half of its name \(name) until the next start: \(error)") }
          throw Self.failure("rename \(old.name)", failure)
        }
        table.withLock { table in
          table.byID[id]?.volume = new
          if table.names[old.name] == id { table.names[old.name] = nil }
          table.names[name] = id
        }
        tell("rename", name, ["driver": "local", "oldName": old.name])
        return new
      }
    }
  }

  /// Protects a volume from removal or lets it be removed again; makes one that has a size larger, mounted or not.
  @discardableResult
  public func update(_ reference: String, isProtected: Bool? = nil, size: String? = nil) async throws -> Volume {
    let id = try find(reference).volume.id
    return try await queue.run(id) {
      let old = try find(id).volume
      var new = old
      if let isProtected { new.options["protected"] = isProtected ? "true" : nil }
      if let size {
        guard old.sizeLimit != nil else {
          throw EngineError.invalidParameter("update \(old.name): the volume was made without a size")
        }
        guard let bytes = VolumeOptions.bytes(size), bytes >= old.sizeLimit ?? 0 else {
          throw EngineError.invalidParameter("update \(old.name): invalid size: '\(size)': a volume can only grow")
        }
        new.options["size"] = size
        try await withData(old) { data in
          if old.project != 0 {
            try ProjectQuota.limit(old.project, to: bytes, on: data)
          } else {
            try SizedVolume.grow(old, to: bytes)
          }
        }
      }
      let changed = new
      let record = new.record()
      try await metadata.write(durable: true) { try $0.updateVolume(id, name: record.name, record: record.record) }
      try await blocking { [self] in try writeRecord(changed, in: directory(changed.name)) }
      table.withLock { $0.byID[id]?.volume = changed }
      return changed
    }
  }

  /// A new volume with a copy of another's content, labels and size. Processes that write meanwhile are caught in the middle: whoever
  /// wants one moment freezes them.
  public func clone(_ reference: String, to name: String) async throws -> Volume {
    let source = try find(reference).volume
    return try await using([source.id]) { places in
      let place = try Self.place(of: source, in: places)
      return try await makeNew(name, like: source) { data in try Self.copyTree(place, data) }
    }
  }

  /// A volume of a name that must be free, filled before it is seen. Labels and size are `other`'s; what it mounts isn't.
  func makeNew(
    _ name: String, like other: Volume?, fill: @escaping @Sendable (_ data: String) throws -> Void
  ) async throws -> Volume {
    try VolumeOptions.checkName(name)
    var options = other?.options ?? [:]
    for key in ["type", "o", "device", "protected"] { options[key] = nil }
    var labels = other?.labels ?? [:]
    labels[Volume.anonymousLabel] = nil
    let volume = Volume(
      id: Self.newID(), name: name, created: Sys.realtimeNanoseconds(), labels: labels, options: options,
      isAnonymous: false, root: root)
    return try await make(volume, user: nil, fill: fill)
  }

  static func copyTree(_ source: String, _ target: String) throws {
    let from = try Sys.open(source, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    let to = try Sys.open(target, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    try TreeCopy.copy(from: from.raw, to: to.raw)
  }
}

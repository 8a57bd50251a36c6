import CLinux
import Errdefs
import Kernel
import Logging
import Metadata
import OCI
import Synchronization

extension Volumes {
  /// The volume of that name, made when there is none; an empty name makes one with a name of its own, anonymous. An existing one is
  /// answered as it is, whatever labels and options are given (as Docker does).
  @discardableResult
  public func create(
    name: String = "", driver: String = "", labels: [String: String] = [:], options: [String: String] = [:]
  ) async throws -> Volume {
    try await obtain(name: name, driver: driver, labels: labels, options: options, user: nil).volume
  }

  /// The same, held by a container from now on (`release`). `isNew`: it was made for it.
  public func acquire(
    name: String, driver: String = "", labels: [String: String] = [:], options: [String: String] = [:],
    containerID: String
  ) async throws -> (volume: Volume, isNew: Bool) {
    try await obtain(name: name, driver: driver, labels: labels, options: options, user: containerID)
  }

  /// Another container's volume, held as well (`--volumes-from`). Throws when it is gone.
  public func hold(id: String, containerID: String) throws -> Volume {
    try table.withLock { table in
      guard let entry = table.byID[id], !entry.isBeingRemoved else {
        throw EngineError.notFound("get \(id): no such volume")
      }
      table.byID[id]?.users.insert(containerID)
      return entry.volume
    }
  }

  private func obtain(
    name: String, driver: String, labels: [String: String], options: [String: String], user: String?
  ) async throws -> (volume: Volume, isNew: Bool) {
    guard ["", "local"].contains(driver) else {
      throw EngineError.notFound(
        "create \(name): error looking up volume plugin \(driver): plugin \"\(driver)\" not found")
    }
    do { try VolumeOptions.check(options) } catch let error as EngineError {
      throw EngineError(error.kind, "create \(name): \(error.message)")
    }
    guard !name.isEmpty else {
      let id = Self.newID()
      var labels = labels
      labels[Volume.anonymousLabel] = ""
      let volume = Volume(
        id: id, name: id, created: Sys.realtimeNanoseconds(), labels: labels, options: options, isAnonymous: true,
        root: root)
      return (try await make(volume, user: user), true)
    }
    try VolumeOptions.checkName(name)
    while true {
      enum Outcome { case there(Volume), made(Volume), leaving(String) }
      let outcome = try await queue.run(name) { () -> Outcome in
        let existing: Outcome? = table.withLock { table in
          guard let id = table.names[name], let entry = table.byID[id] else { return nil }
          if entry.isBeingRemoved { return .leaving(id) }
          if let user { table.byID[id]?.users.insert(user) }
          return .there(entry.volume)
        }
        if let existing { return existing }
        let volume = Volume(
          id: Self.newID(), name: name, created: Sys.realtimeNanoseconds(), labels: labels, options: options,
          isAnonymous: labels[Volume.anonymousLabel] != nil, root: root)
        return .made(try await make(volume, user: user))
      }
      switch outcome {
      case .there(let volume): return (volume, false)
      case .made(let volume): return (volume, true)
      // Its removal ends, one way or the other, before the next try.
      case .leaving(let id): await queue.run(id) {}
      }
    }
  }

  /// Brings a volume into being: directory, row, event. `fill` writes what is to be in it before anybody can see it.
  func make(
    _ wanted: Volume, user: String?, fill: (@Sendable (_ data: String) throws -> Void)? = nil
  ) async throws -> Volume {
    let isFree = table.withLock { $0.names[wanted.name] == nil && $0.reserved.insert(wanted.name).inserted }
    guard isFree else { throw EngineError.conflict("create \(wanted.name): a volume of that name exists") }
    defer { table.withLock { _ = $0.reserved.remove(wanted.name) } }
    let staging = "\(root)/.new-\(wanted.id)"
    let volume: Volume
    do {
      volume = try await blocking { [self] in
        var volume = wanted
        if volume.sizeLimit != nil { volume.project = try ProjectQuota.free(on: root) ?? 0 }
        try Sys.mkdir(staging, mode: 0o701)
        try Sys.mkdir(staging + "/_data", mode: 0o755)
        // Whatever the umask is.
        try Sys.chmod(staging + "/_data", 0o755)
        try Self.fill(staging, of: volume, fill)
        try writeRecord(volume, in: staging)
        try Self.sync(staging, all: fill != nil)
        try install(staging, as: volume.name)
        return volume
      }
    } catch {
      await abandon(staging)
      throw Self.failure("create \(wanted.name)", error)
    }
    let record = volume.record()
    do { try await metadata.write(durable: true) { try $0.insert(record) } } catch {
      await abandon(directory(volume.name))
      throw Self.failure("create \(volume.name)", error)
    }
    table.withLock { table in
      var entry = Entry(volume: volume)
      if let user { entry.users.insert(user) }
      table.byID[volume.id] = entry
      table.names[volume.name] = volume.id
    }
    tell("create", volume.name, ["driver": "local"])
    return volume
  }

  /// Makes a new volume's file system if it has one of its own, or its quota, and writes its first content.
  static func fill(_ staging: String, of volume: Volume, _ fill: ((_ data: String) throws -> Void)?) throws {
    let data = staging + "/_data"
    if volume.project != 0, let size = volume.sizeLimit {
      try ProjectQuota.limit(volume.project, to: size, on: data)
      try ProjectQuota.assign(data, to: volume.project)
    }
    guard volume.hasOwnFileSystem else {
      try fill?(data)
      return
    }
    try SizedVolume.make(volume, in: staging)
    guard let fill else { return }
    try SizedVolume.mount(staging, id: volume.id)
    do { try fill(data) } catch {
      try? Sys.umount(data, flags: 2)  // MNT_DETACH
      throw error
    }
    try Sys.umount(data)
  }

  /// Moves a new directory to its name. What is in the way has no row: it is taken for a leftover and set aside, not deleted.
  private func install(_ staging: String, as name: String) throws {
    let place = directory(name)
    do throws(SyscallError) { try Sys.rename(staging, to: place, flags: 1) } catch {
      guard error.errno == .fileExists || error.errno == .notEmpty else { throw error }
      let aside = "\(root)/.trash/\(Self.newID())"
      logger.warning("\"\(place)\" belongs to no volume: it is moved to \"\(aside)\"")
      try Sys.rename(place, to: aside)
      try Sys.rename(staging, to: place, flags: 1)
    }
    try Sys.syncDirectory(root)
  }

  func writeRecord(_ volume: Volume, in directory: String) throws {
    try Sys.replaceFile(directory + "/volume.json", with: volume.json().encoded(), mode: 0o600, durable: true)
  }

  private static func sync(_ directory: String, all: Bool) throws {
    let descriptor = try Sys.open(directory, O_RDONLY | O_DIRECTORY)
    if all { try Sys.syncfs(descriptor.raw) } else { try Sys.fsync(descriptor.raw) }
  }

  /// What isn't ours yet, named by the operation, as Docker's volume store tells it.
  static func failure(_ operation: String, _ error: any Error) -> EngineError {
    if let error = error as? EngineError {
      return error.message.hasPrefix(operation) ? error : EngineError(error.kind, "\(operation): \(error.message)")
    }
    return .system("\(operation): \(error)", cause: error)
  }
}

import CLinux
import Errdefs
import Kernel
import Logging
import Metadata
import OCI
import Synchronization

extension Volumes {
  /// What a container holds, as its row says.
  public struct Holding: Sendable {
    public var containerID: String
    public var volumeIDs: Set<String>
    public init(containerID: String, volumeIDs: Set<String>) {
      self.containerID = containerID
      self.volumeIDs = volumeIDs
    }
  }

  /// Once, at the daemon's start, before containers come up: reads the rows, ends removals that a crash cut short, takes in whole volumes
  /// that have no row, puts directories to the names that their rows have, and sweeps what was on its way in or out.
  public func recover() async throws {
    let records = try await metadata.read { try $0.volumes() }
    var removals: [Volume] = []
    for record in records {
      do {
        let fields = try JSONFields(try JSON.parse(record.record))
        // The row's own columns are what counts.
        let volume = try Volume(fields, root: root).renamed(record.name, root: root)
        if try fields.bool("removing") == true {
          removals.append(volume)
          continue
        }
        table.withLock { table in
          table.byID[volume.id] = Entry(volume: volume)
          table.names[volume.name] = volume.id
        }
      } catch {
        logger.error("the record of volume \(record.name) can't be read and is left alone: \(error)")
      }
    }
    let unreadable = Set(records.map(\.name)).subtracting(table.withLock { $0.names.keys }).subtracting(
      removals.map(\.name))
    for volume in removals {
      do {
        try await blocking { [self] in try takeAway(volume) }
        try await metadata.write(durable: true) { try $0.deleteVolume(volume.id) }
        logger.info("the removal of volume \(volume.name) is finished")
      } catch { logger.error("finish the removal of volume \(volume.name): \(error)") }
    }
    // A restore that was cut short had none.
    let limited = table.withLock { $0.byID.values.map(\.volume) }.filter { $0.project != 0 }
    if !limited.isEmpty { try await blocking { [self] in for volume in limited { keepLimit(of: volume) } } }
    readTrash()
    try await reconcileDirectories(leaving: unreadable.union(removals.map(\.name)))
  }

  private func reconcileDirectories(leaving others: Set<String>) async throws {
    var strangers: [String] = []
    var present: Set<String> = []
    for entry in try Sys.entries(of: root) {
      if entry.name.hasPrefix(".new-") || entry.name.hasPrefix(".gone-") {
        try sweep("\(root)/\(entry.name)")
      } else if !entry.name.hasPrefix("."), !others.contains(entry.name) {
        present.insert(entry.name)
        if table.withLock({ $0.names[entry.name] }) == nil { strangers.append(entry.name) }
      }
    }
    for name in strangers { await takeIn(name) }
    for (name, _) in table.withLock({ $0.names }) where !present.contains(name) && !Sys.exists(directory(name)) {
      logger.error("the directory of volume \(name), \"\(directory(name))\", is missing")
    }
  }

  private func sweep(_ path: String) throws {
    let mounted = try HostMount.points().filter { $0.hasPrefix(path + "/") }
    for point in mounted.sorted(by: >) { try Sys.umount(point) }
    delete(path)
  }

  /// A directory without a row: of a volume that is being renamed, or one whose row was never written or is lost.
  private func takeIn(_ name: String) async {
    let place = directory(name)
    do {
      let fields = try JSONFields(try JSON.parse(try Sys.readFile(place + "/volume.json", limit: 1 << 20)))
      let volume = try Volume(fields, root: root).renamed(name, root: root)
      if let known = self.volume(id: volume.id) {
        guard !Sys.exists(directory(known.name)) else {
          logger.error("\"\(place)\" says it is volume \(known.name), which has a directory: it is left alone")
          return
        }
        try Sys.rename(place, to: directory(known.name), flags: 1)
        try writeRecord(known, in: directory(known.name))
        try Sys.syncDirectory(root)
        logger.info("the directory of volume \(known.name) gets its new name")
        return
      }
      // Nobody was told of an anonymous one, and no container names it.
      if volume.isAnonymous { return try discard(place) }
      let record = volume.record()
      try await metadata.write(durable: true) { try $0.insert(record) }
      table.withLock { table in
        table.byID[volume.id] = Entry(volume: volume)
        table.names[name] = volume.id
      }
      logger.info("volume \(name), which had no record, is taken in")
    } catch {
      logger.warning("\"\(place)\" is no volume of ours and is left alone: \(error)")
    }
  }

  /// After the containers came up: who holds what, who runs. What is mounted for nobody is unmounted.
  public func reconcile(holdings: [Holding], running: Set<String>) async throws {
    table.withLock { table in
      for holding in holdings {
        for id in holding.volumeIDs where table.byID[id] != nil {
          table.byID[id]?.users.insert(holding.containerID)
          if running.contains(holding.containerID) { table.byID[id]?.running.insert(holding.containerID) }
        }
      }
    }
    let idle = table.withLock { table in
      table.byID.values.filter { $0.running.isEmpty && HostMount.isNeeded($0.volume) }.map(\.volume.id)
    }
    if !idle.isEmpty { for id in idle { await unmountIfIdle(id) } }
    keeper.withLock { $0 = tendTrash() }
  }

  /// Lets go; mounts of running containers stay.
  public func shutDown() { keeper.withLock { $0?.cancel() } }
}

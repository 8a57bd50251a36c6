import Cgroups
import CLinux
import Errdefs
import Kernel
import Logging
import Metadata
import OCI
import Snapshots
import Synchronization

extension Containers {
  /// Removes a container. Throws `cannot remove container "/x": container is running: stop the container before removing or force
  /// remove` unless `force`, which kills it first.
  public func remove(_ reference: String, force: Bool = false, volumes: Bool = false, link: Bool = false) async throws {
    let container = try find(reference)
    if link { throw EngineError.notImplemented("removal of links is not built yet") }
    let first = container.live.withLock { live in
      defer { live.removing = true }
      return !live.removing
    }
    guard first else {
      throw EngineError.conflict("removal of container \(reference) is already in progress")
    }
    do {
      let state = container.state
      if state.running {
        guard force else {
          let hint = state.paused ? "unpause and then stop the container" : "stop the container"
          throw EngineError.conflict(
            "cannot remove container \"/\(container.name)\": container is \(state.status.rawValue): \(hint) before removing or force remove"
          )
        }
        if state.status == .restarting {
          await cancelRestart(container)
        } else if container.state.alive {
          if state.paused { try thaw(container) }
          try await terminate(container)
        }
      }
      try await container.operations.run {
        // Its own exit may have removed it (`--rm`).
        guard table.withLock({ $0.byID[container.id] != nil }) else { return }
        if container.state.alive { try await terminate(container) }
        if container.state.status == .restarting { await cancelRestart(container) }
        try await removeNow(
          container, result: WaitResult(statusCode: container.state.exitCode), volumes: volumes)
      }
    } catch {
      container.live.withLock { $0.removing = false }
      throw error
    }
  }

  /// The row goes, then the name, then whoever waits is told; what it has on disk goes behind.
  func removeNow(_ container: Container, result: WaitResult, volumes: Bool) async throws {
    let there = table.withLock { $0.byID[container.id] != nil }
    guard there else { return }
    container.live.withLock { live in
      live.removing = true
      live.health?.cancel()
      live.restartDelay?.cancel()
    }
    let snapshot = container.update { $0.state.status = .removing }
    do {
      try await metadata.write { try $0.deleteContainer(snapshot.id) }
    } catch {
      container.update {
        $0.state.status = .dead; $0.state.error = "\(error)"
      }
      container.live.withLock { $0.removing = false }
      throw EngineError.system("unable to remove container \(snapshot.id): \(error)", cause: error)
    }
    let execs = container.live.withLock { Array($0.execs.keys) }
    table.withLock { table in
      table.byID[snapshot.id] = nil
      if table.names[snapshot.name] == snapshot.id { table.names[snapshot.name] = nil }
      for exec in execs { table.execs[exec] = nil }
    }
    networks.disconnect(containerID: snapshot.id)
    await self.volumes.release(
      containerID: snapshot.id,
      removing: volumes ? snapshot.mounts.filter(\.anonymous).map(\.volumeID) : [])
    tell("destroy", snapshot)
    container.resolveWaiters(.exit, result)
    container.resolveWaiters(.removal, result)
    let shim = container.live.withLock { $0.last }
    Task { [self] in
      // The shim holds cgroup and mounts until it ends.
      if let shim, await !shim.closed(within: .seconds(30)) {
        logger.warning("the shim of removed container \(snapshot.id) hasn't ended")
      }
      discard(snapshot.id)
      discardImages(snapshot.mounts)
      behind("remove the control group of \(snapshot.id)") { [self] in try cgroup(of: snapshot).remove() }
    }
  }

  static func removeIfThere(_ path: String) throws {
    if Sys.exists(path) { try Sys.removeTree(path) }
  }

  /// Removes those that don't run. Filters: `until`, `label`, `label!`.
  public func prune(_ filters: Filters = [:]) async throws -> ContainerPruneReport {
    for name in filters.keys where !["label", "label!", "until"].contains(name) {
      throw EngineError.invalidParameter("invalid filter '\(name)'")
    }
    let until = try filters["until"].map { values in
      guard values.count == 1, let time = TimeFilter.parse(values[0], now: Sys.realtimeNanoseconds()) else {
        throw EngineError.invalidParameter("more than one until filter specified")
      }
      return time
    }
    var report = ContainerPruneReport(deleted: [], spaceReclaimed: 0)
    for container in all() {
      let snapshot = container.snapshot
      guard !snapshot.state.running, snapshot.state.status != .removing, until.map({ snapshot.created < $0 }) ?? true,
        LabelFilter.matches(filters, snapshot.config.labels)
      else { continue }
      let bytes = (try? await size(of: snapshot).written) ?? 0
      do {
        try await remove(snapshot.id)
        report.deleted.append(snapshot.id)
        report.spaceReclaimed += bytes
      } catch { logger.warning("prune container \(snapshot.id): \(error)") }
    }
    return report
  }

  /// Bytes that the container wrote, and those with its image's.
  public func size(_ reference: String) async throws -> (written: Int64, total: Int64) {
    try await size(of: try find(reference).snapshot)
  }

  func size(of snapshot: ContainerSnapshot) async throws -> (written: Int64, total: Int64) {
    let layers = try snapshot.digests.compactMap { snapshotter.layer($0)?.size }.reduce(0, +)
    let written = try await blocking { [snapshotter] in try snapshotter.usage(snapshot.id) }
    return (written, written + layers)
  }
}

extension ContainerSnapshot {
  /// The image's layers, bottom first.
  var digests: [Digest] {
    get throws {
      try layers.map { text in
        guard let digest = Digest(text) else {
          throw EngineError.system("the record of container \(id) names a layer that is no digest: \(text)")
        }
        return digest
      }
    }
  }
}

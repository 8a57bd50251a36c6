import CLinux
public import Errdefs
import Kernel
public import OCI
import Synchronization

extension OverlaySnapshotter {
  public func recover(layers: Set<Digest>, snapshots: [String: [Digest]]) throws(EngineError) -> SnapshotRecovery {
    do throws(SyscallError) {
      try trash.empty()
      try mounts.adopt()
      let used = Set(snapshots.values.joined())
      var recovery = SnapshotRecovery()
      let found = try recoverLayers(wanted: layers.union(used))
      recovery.missingLayers = layers.union(used).subtracting(found.keys)
      let (present, pool) = try recoverSnapshots(wanted: snapshots)
      recovery.missingSnapshots = Set(snapshots.keys).subtracting(present)
      let chains = state.withLock { state in
        state.layers = found
        state.snapshots = snapshots.filter { present.contains($0.key) }
        state.pool = pool
        for layer in state.snapshots.values.joined() { state.layers[layer]?.users += 1 }
        // Kept for their snapshots alone: the image is gone.
        for layer in found.keys where !layers.contains(layer) { state.layers[layer]?.isCondemned = true }
        return state.snapshots.values.flatMap { Self.chains(lowers($0, state)) }
      }
      mounts.hold(chains)
      mounts.sweep()
      fillPool()
      return recovery
    } catch { throw .system("recover the snapshots: \(error)", cause: error) }
  }

  private func recoverLayers(wanted: Set<Digest>) throws(SyscallError) -> [Digest: LayerState] {
    var found: [Digest: LayerState] = [:]
    let directory = try Sys.open(layersPath, O_RDONLY | O_DIRECTORY)
    for entry in try Sys.entries(directory.raw) {
      if let digest = Digest(hex: entry.name) {
        if wanted.contains(digest), let layer = readLayer(digest) {
          found[digest] = layer
        } else {
          try trash.discard(layerPath(digest))
        }
      } else if entry.name.hasPrefix(".new-") {
        try trash.discard("\(layersPath)/\(entry.name)")
      }
    }
    return found
  }

  private func recoverSnapshots(wanted: [String: [Digest]]) throws(SyscallError) -> (
    present: Set<String>, pool: [String]
  ) {
    var present: Set<String> = []
    let directory = try Sys.open(snapshotsPath, O_RDONLY | O_DIRECTORY)
    for entry in try Sys.entries(directory.raw) where entry.name != ".pool" {
      if wanted[entry.name] != nil {
        present.insert(entry.name)
      } else {
        try trash.discard("\(snapshotsPath)/\(entry.name)")
      }
    }
    var pool: [String] = []
    let poolDirectory = try Sys.open(poolPath, O_RDONLY | O_DIRECTORY)
    for entry in try Sys.entries(poolDirectory.raw) {
      // One that was being made when the process died, and the overlays made ahead, which died with it.
      if !entry.name.hasPrefix(Self.aheadPrefix), Sys.exists("\(poolPath)/\(entry.name)/work") {
        pool.append(entry.name)
      } else {
        try trash.discard("\(poolPath)/\(entry.name)")
      }
    }
    return (present, pool)
  }
}

import CLinux
import Dispatch
import EROFS
import Kernel
import OCI
import Synchronization

/// The EROFS mounts that snapshots lie on: one for each image, shared by its containers, so that they share its page cache.
///
///     <exec-root>/layers/<chain id's hex>        the mounts, seen by the host, since shims look for them by name
///     <data-root>/images/<chain id's hex>        the index of an image of several layers, made of theirs; emptied at start
///
/// A mount is absent → mounted, when somebody who holds it asks for its path → absent, behind, when nobody holds it any more. Mounts outlive
/// the daemon; `adopt` finds them again, `sweep` takes away those that nobody held in the meantime.
///
/// Locks: one `Mutex`, held for no system call; mounting and unmounting take place on one serial queue.
final class ImageMounts: Sendable {
  /// A layer's files.
  struct Part: Hashable, Sendable {
    /// `<data-root>/layers/<diff id's hex>`
    var directory: String
    var devices: Int

    var index: String { directory + "/index" }
    var deviceFiles: [String] { [directory + "/tar", directory + "/extra"].prefix(devices).map { $0 } }
  }

  /// Layers upon one another, bottom first.
  struct Chain: Sendable {
    /// As the image specification defines it (config.md, "Layer ChainID"); a layer's diff id, when it is alone.
    let id: Digest
    let parts: [Part]

    init(_ layers: [(diffID: Digest, part: Part)]) {
      precondition(!layers.isEmpty, "a chain has layers")
      id = layers.dropFirst().reduce(layers[0].diffID) { Digest(hashing: "\($0) \($1.diffID)".utf8) }
      parts = layers.map(\.part)
    }
  }

  private struct Mount {
    var users = 0
    var isMounted = false
  }

  private let path: String
  private let indexes: String
  private let state = Mutex<(mounts: [Digest: Mount], merged: [Digest: [Part]])>(([:], [:]))
  private let queue = DispatchQueue(label: "snapshots.mounts")
  private let onFailure: @Sendable (SyscallError) -> Void
  /// EROFS_SUPER_MAGIC_V1
  private static let magic = 0xE0F5_E1E2

  init(path: String, indexes: String, onFailure: @escaping @Sendable (SyscallError) -> Void) {
    self.path = path
    self.indexes = indexes
    self.onFailure = onFailure
  }

  private func target(_ id: Digest) -> String { "\(path)/\(id.hex)" }

  // MARK: users

  func hold(_ chains: [Chain]) {
    guard !chains.isEmpty else { return }
    state.withLock { state in for chain in chains { state.mounts[chain.id, default: Mount()].users += 1 } }
  }

  /// Those that nobody holds any more go behind.
  func release(_ chains: [Chain]) {
    let free = state.withLock { state in
      chains.filter { chain in
        guard var mount = state.mounts[chain.id] else { return false }
        mount.users = max(0, mount.users - 1)
        state.mounts[chain.id] = mount
        return mount.users == 0
      }
    }
    for chain in free { queue.async { [self] in unmountIfFree(chain.id) } }
  }

  /// The place of a chain that the caller holds; mounts it when it isn't yet: some tenths of a millisecond, and for the first time of an image
  /// with several layers as long as it takes to merge their indexes.
  func mounted(_ chain: Chain) throws -> String {
    let isThere = state.withLock { state in state.mounts[chain.id].map { $0.isMounted && $0.users > 0 } ?? false }
    if !isThere {
      try queue.sync {
        if state.withLock({ $0.mounts[chain.id]?.isMounted ?? false }) { return }
        try mount(chain)
        state.withLock { $0.mounts[chain.id, default: Mount()].isMounted = true }
      }
    }
    return target(chain.id)
  }

  /// The indexes that were made of a layer's are of no use without it.
  func forget(layer directory: String) {
    let stale = state.withLock { state in
      let stale = state.merged.filter { $0.value.contains { $0.directory == directory } }.map(\.key)
      for id in stale { state.merged[id] = nil }
      return stale
    }
    for id in stale { unlink("\(indexes)/\(id.hex)") }
  }

  func settle() { queue.sync {} }

  // MARK: at start

  /// Finds the mounts that an earlier daemon left.
  func adopt() throws(SyscallError) {
    try Sys.mkdirAll(indexes, mode: 0o700)
    for entry in try Sys.entries(of: indexes) { unlink("\(indexes)/\(entry.name)") }
    guard Sys.exists(path) else { return }
    for entry in try Sys.entries(of: path) {
      let place = try Sys.open("\(path)/\(entry.name)", O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      let isMounted = try Int(Sys.fileSystem(place.raw).f_type) == Self.magic
      if isMounted, let id = Digest(hex: entry.name) {
        state.withLock { $0.mounts[id, default: Mount()].isMounted = true }
      }
    }
  }

  /// Takes away those that nobody holds.
  func sweep() {
    let free = state.withLock { state in state.mounts.filter { $0.value.users == 0 }.map(\.key) }
    for id in free { queue.async { [self] in unmountIfFree(id) } }
  }

  // MARK: on the queue

  private func mount(_ chain: Chain) throws {
    let index = chain.parts.count == 1 ? chain.parts[0].index : try mergedIndex(chain)
    let mount = try EROFS.mount(index: index, devices: chain.parts.flatMap(\.deviceFiles))
    let target = target(chain.id)
    // As the data root's: a remapped root passes, but sees no names.
    try Sys.mkdirAll(path, mode: 0o711)
    try Sys.mkdirAll(target, mode: 0o711)
    try Sys.moveMount(mount.raw, to: target, at: Sys.currentDirectory)
  }

  /// Not synced: what a crash leaves of it is thrown away at the next start.
  private func mergedIndex(_ chain: Chain) throws -> String {
    let file = "\(indexes)/\(chain.id.hex)"
    if state.withLock({ $0.merged[chain.id] != nil }) { return file }
    let tree = try LayerTree.merging(
      chain.parts.map { try Sys.readFile($0.index, limit: 2 << 30) }, devices: chain.parts.map(\.devices))
    var devices: [Device] = []
    for device in chain.parts.flatMap(\.deviceFiles) {
      devices.append(try Device(size: Int64(Sys.status(device).st_size)))
    }
    try Sys.replaceFile(file, with: try tree.index(devices: devices, record: []), mode: 0o600, durable: false)
    state.withLock { $0.merged[chain.id] = chain.parts }
    return file
  }

  private func unmountIfFree(_ id: Digest) {
    let isDue = state.withLock { state in
      guard let mount = state.mounts[id], mount.users == 0 else { return false }
      state.mounts[id] = nil
      return mount.isMounted
    }
    guard isDue else { return }
    do throws(SyscallError) {
      try Sys.umount(target(id), flags: 2)  // MNT_DETACH
      try Sys.rmdir(target(id))
    } catch { onFailure(error) }
  }

  private func unlink(_ file: String) {
    do throws(SyscallError) { try Sys.unlink(file) } catch {
      if error.errno != .noSuchFile { onFailure(error) }
    }
  }
}

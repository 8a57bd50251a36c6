import CLinux
import Dispatch
import Kernel
import Synchronization

/// Where trees go that nobody needs: renamed in, and so out of sight at once; deleted behind on one thread of its own, since ext4 takes up to a
/// second for an image's tree. What a crash leaves is deleted after the next start.
final class Trash: Sendable {
  private let path: String
  private let queue = DispatchQueue(label: "snapshots.trash", qos: .background)
  private let counter = Atomic<UInt64>(0)
  private let onFailure: @Sendable (SyscallError) -> Void

  /// Makes the directory when it is missing. `onFailure` hears of a tree that can't be deleted; it stays until the next start.
  init(path: String, onFailure: @escaping @Sendable (SyscallError) -> Void) throws(SyscallError) {
    self.path = path
    self.onFailure = onFailure
    try Sys.mkdirAll(path, mode: 0o700)
  }

  /// Absent is success.
  func discard(_ tree: String) throws(SyscallError) {
    // The time tells this process's from what an earlier one left.
    let target = "\(path)/\(Sys.realtimeNanoseconds())-\(counter.add(1, ordering: .relaxed).newValue)"
    do throws(SyscallError) { try Sys.rename(tree, to: target) } catch {
      guard error.errno == .noSuchFile else { throw error }
      return
    }
    delete(target)
  }

  /// Begins to delete what earlier processes left.
  func empty() throws(SyscallError) {
    let directory = try Sys.open(path, O_RDONLY | O_DIRECTORY)
    for entry in try Sys.entries(directory.raw) { delete("\(path)/\(entry.name)") }
  }

  /// Waits until all that was discarded so far is deleted.
  func drain() { queue.sync {} }

  private func delete(_ target: String) {
    queue.async { [onFailure] in
      do throws(SyscallError) { try Sys.removeTree(target) } catch { onFailure(error) }
    }
  }
}

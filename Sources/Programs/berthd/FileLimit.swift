import CLinux
import Containers
import Kernel

/// The limit on open files, raised for the daemon as far as it may go: each container's shim, attached client and published port
/// holds one or more, and service managers start with 1,024. Containers keep the limit that the daemon was started with.
struct FileLimit: Sendable {
  /// What containers get instead of the daemon's own; nil when nothing was raised.
  let replaced: HostResources.Ulimit?

  init() {
    guard let given = try? Sys.getrlimit(Int32(RLIMIT_NOFILE.rawValue)), given.soft < given.hard,
      (try? Sys.setrlimit(Int32(RLIMIT_NOFILE.rawValue), soft: given.hard, hard: given.hard)) != nil
    else {
      replaced = nil
      return
    }
    replaced = HostResources.Ulimit(
      name: "nofile", hard: Int64(bitPattern: given.hard), soft: Int64(bitPattern: given.soft))
  }
}

import CLinux
import Kernel

/// The daemon's process id in a file, and the lock that keeps a second daemon from the same exec-root.
struct PidFile: ~Copyable {
  private let path: String
  private let lock: Descriptor

  /// Throws when another daemon holds the lock.
  init(_ path: String, execRoot: String) throws {
    let name = "\(execRoot)/berthd.lock"
    let lock = try Sys.open(name, O_RDWR | O_CREAT, mode: 0o600)
    // A lock that a shim on its way to its program doesn't inherit: the next daemon needn't wait for it when this one is killed.
    do throws(SyscallError) { try Sys.lockFile(lock.raw, wait: false) } catch {
      guard error.errno == .wouldBlock else { throw error }
      throw DaemonOptions.Failure(description: "another berthd runs on \(execRoot): \(name) is locked")
    }
    let temporary = "\(path).\(getpid())"
    let file = try Sys.open(temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
    try Sys.writeAll(file.raw, "\(getpid())")
    try Sys.rename(temporary, to: path)
    self.path = path
    self.lock = lock
  }

  deinit { try? Sys.unlink(path) }
}

import CLinux
import Errdefs
import Kernel
import Synchronization

/// What keeps a data root to one engine: a lock of this process on `<data-root>/berth.lock`, which ends with the process and which no shim on
/// its way to its program inherits, and within the process a list of the roots that are in use.
final class DataRootLock: Sendable {
  private static let used = Mutex<Set<String>>([])

  private let path: String
  /// Nobody else in this process may open and close the file: that would end the lock (fcntl(2)).
  private let file: SharedDescriptor

  /// Throws `unavailable` when another engine has it.
  init(_ dataRoot: String) throws {
    let path = dataRoot + "/berth.lock"
    let taken = EngineError(.unavailable, "another daemon uses \"\(dataRoot)\"")
    guard Self.used.withLock({ $0.insert(path).inserted }) else { throw taken }
    do {
      let file = SharedDescriptor(try Sys.open(path, O_RDWR | O_CREAT, mode: 0o600))
      do throws(SyscallError) { try Sys.lockFile(file.raw, wait: false) } catch {
        throw error.errno == .wouldBlock ? taken : error
      }
      self.file = file
      self.path = path
    } catch {
      Self.used.withLock { _ = $0.remove(path) }
      throw error
    }
  }

  deinit { Self.used.withLock { _ = $0.remove(path) } }
}

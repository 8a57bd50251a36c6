import CLinux
import Kernel

/// SIGTERM and SIGINT as something to wait for. Made before the process has a second thread, so that every thread leaves them alone;
/// programs that the daemon spawns get their signals back from whoever spawns them.
struct TerminationSignals: Sendable {
  private let descriptor: SharedDescriptor

  init() throws(SyscallError) {
    // A client or a shim that goes away is an error of write(2), not the daemon's death; SIGHUP comes when a terminal closes.
    cl_ignore_signal(SIGPIPE)
    cl_ignore_signal(SIGHUP)
    let descriptor = try Sys.signalfd([SIGTERM, SIGINT])
    try Sys.setNonBlocking(descriptor.raw, false)
    self.descriptor = SharedDescriptor(descriptor)
  }

  /// The name of the first that comes.
  func wait() async -> String {
    await withCheckedContinuation { continuation in
      // A thread that does nothing but wait, till the end of the process: the cooperative pool has better to do.
      do {
        _ = try Thread(name: "signals") { continuation.resume(returning: read()) }
      } catch { continuation.resume(returning: "no thread to wait for signals (\(error))") }
    }
  }

  private func read() -> String {
    var info = signalfd_siginfo()
    let count = withUnsafeMutableBytes(of: &info) { (try? Sys.read(descriptor.raw, $0)) ?? 0 }
    return count > 0 && info.ssi_signo == UInt32(SIGINT) ? "SIGINT" : "SIGTERM"
  }
}

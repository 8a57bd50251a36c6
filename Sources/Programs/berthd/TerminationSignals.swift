import CLinux
import Kernel

/// SIGTERM and SIGINT as something to wait for. Made before the process has a second thread, so that every thread leaves them alone;
/// programs that the daemon spawns get their signals back from whoever spawns them.
struct TerminationSignals: Sendable {
  private let descriptor: SharedDescriptor
  private let names: AsyncStream<String>
  private let continuation: AsyncStream<String>.Continuation

  init() throws(SyscallError) {
    // A client or a shim that goes away is an error of write(2), not the daemon's death; SIGHUP comes when a terminal closes.
    cl_ignore_signal(SIGPIPE)
    cl_ignore_signal(SIGHUP)
    let descriptor = try Sys.signalfd([SIGTERM, SIGINT])
    try Sys.setNonBlocking(descriptor.raw, false)
    self.descriptor = SharedDescriptor(descriptor)
    (names, continuation) = AsyncStream.makeStream()
  }

  /// The name of the first that comes.
  func wait() async -> String {
    for await name in names { return name }
    return "none: they can't be read"
  }

  /// Reads signals on the calling thread, till the end of the process.
  func deliver() -> Never {
    var info = signalfd_siginfo()
    while withUnsafeMutableBytes(of: &info, { (try? Sys.read(descriptor.raw, $0)) ?? 0 }) > 0 {
      continuation.yield(info.ssi_signo == UInt32(SIGINT) ? "SIGINT" : "SIGTERM")
    }
    continuation.finish()
    while true { pause() }
  }
}

import CLinux
public import Kernel

/// A terminal put into raw mode, and what it was before.
///
/// The caller puts it back by `restore()`, also on the ways out that run no `deinit` (a signal, `exit`).
public struct RawMode: Sendable {
  private let fd: Int32
  private let before: termios

  /// cfmakeraw(3), with output left unprocessed too, as Docker's clients do. ENOTTY when `fd` is no terminal.
  public init(_ fd: Int32) throws(SyscallError) {
    var settings = termios()
    try Sys.retrying("tcgetattr", "fd \(fd)") { tcgetattr(fd, &settings) }
    self.fd = fd
    before = settings
    cfmakeraw(&settings)
    try Sys.retrying("tcsetattr", "fd \(fd)") { tcsetattr(fd, TCSANOW, &settings) }
  }

  public func restore() throws(SyscallError) {
    var settings = before
    try Sys.retrying("tcsetattr", "fd \(fd)") { tcsetattr(fd, TCSANOW, &settings) }
  }
}

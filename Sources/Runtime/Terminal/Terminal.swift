import CLinux
public import Kernel

/// Terminals: raw mode, window sizes, pseudo-terminals and detach keys, for the shim and for the command line.
///
/// Owns: `RawMode` (a terminal's settings, changed and put back), `WindowSize`, `DetachKeys` (Docker's syntax) and
/// `DetachKeyMatcher` (finds them in a stream).
///
/// Must not: copy data, install signal handlers or keep state of its own.
public enum Terminal {
  /// isatty(3).
  public static func isTerminal(_ fd: Int32) -> Bool { isatty(fd) == 1 }

  /// A new pseudo-terminal of the caller's own devpts. Both ends are close-on-exec and nobody's controlling terminal.
  public static func open() throws(SyscallError) -> (master: Int32, slave: Int32) {
    let master = try Sys.open("/dev/ptmx", O_RDWR | O_NOCTTY)
    try unlock(master: master.raw)
    let slave = try openPeer(of: master.raw)
    return (master.take(), slave.take())
  }

  /// Lets the other end of a new master be opened (TIOCSPTLCK).
  public static func unlock(master: Int32) throws(SyscallError) {
    var lock: Int32 = 0
    try Sys.retrying("ioctl TIOCSPTLCK", "fd \(master)") { cl_ioctl(master, UInt(cl_tiocsptlck()), &lock) }
  }

  /// Opens the slave of a master, whatever mount namespace its devpts is in (TIOCGPTPEER, Linux 4.13).
  public static func openPeer(of master: Int32) throws(SyscallError) -> Descriptor {
    Descriptor(
      owning: try Sys.retrying("ioctl TIOCGPTPEER", "fd \(master)") {
        cl_ioctl_int(master, UInt(cl_tiocgptpeer()), Int(O_RDWR | O_NOCTTY | Sys.sockCloexec))
      })
  }
}

import CLinux
public import Kernel

/// A terminal's size in characters; pixel sizes are left at 0, as Docker leaves them.
public struct WindowSize: Sendable, Equatable {
  public var width: UInt16
  public var height: UInt16

  public init(width: UInt16, height: UInt16) {
    self.width = width
    self.height = height
  }

  /// TIOCGWINSZ; ENOTTY when `fd` is no terminal.
  public init(of fd: Int32) throws(SyscallError) {
    var size = winsize()
    try Sys.retrying("ioctl TIOCGWINSZ", "fd \(fd)") { cl_ioctl(fd, UInt(cl_tiocgwinsz()), &size) }
    self.init(width: size.ws_col, height: size.ws_row)
  }

  /// TIOCSWINSZ, on either end: the foreground process group of the slave gets SIGWINCH when the size changes.
  public func apply(to fd: Int32) throws(SyscallError) {
    var size = winsize(ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0)
    try Sys.retrying("ioctl TIOCSWINSZ", "fd \(fd)") { cl_ioctl(fd, UInt(cl_tiocswinsz()), &size) }
  }
}

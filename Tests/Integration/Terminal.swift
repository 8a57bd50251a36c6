import CLinux
import Kernel

/// A program on a pseudo-terminal, talked to as a person at a keyboard would.
final class TerminalSession {
  private let master: SharedDescriptor
  private let pidfd: SharedDescriptor
  private(set) var screen = ""

  /// Starts it with a terminal of that size as its standard streams.
  init(_ command: Command, _ arguments: [String], rows: UInt16 = 24, columns: UInt16 = 80) throws {
    let master = try Sys.open("/dev/ptmx", O_RDWR | O_NOCTTY)
    var unlock: Int32 = 0
    try Sys.retrying("ioctl TIOCSPTLCK") { cl_ioctl(master.raw, UInt(cl_tiocsptlck()), &unlock) }
    var number: Int32 = 0
    try Sys.retrying("ioctl TIOCGPTN") { cl_ioctl(master.raw, UInt(cl_tiocgptn()), &number) }
    var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    try Sys.retrying("ioctl TIOCSWINSZ") { cl_ioctl(master.raw, UInt(cl_tiocswinsz()), &size) }
    // The new session's first open of the terminal makes it the controlling one: setsid -c of util-linux does just that.
    let slave = try Sys.open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
    let pid = try spawn(
      "/usr/bin/setsid", ["setsid", "-c", "-w", command.path] + arguments, environment: command.environment,
      descriptors: [slave.raw, slave.raw, slave.raw])
    pidfd = SharedDescriptor(try Sys.pidfdOpen(pid))
    self.master = SharedDescriptor(master)
  }

  func type(_ text: String) throws { try Sys.writeAll(master.raw, text) }

  func resize(rows: UInt16, columns: UInt16) throws {
    var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    try Sys.retrying("ioctl TIOCSWINSZ") { cl_ioctl(master.raw, UInt(cl_tiocswinsz()), &size) }
  }

  /// Reads until the screen holds `text`; false when `seconds` pass or the program ends before.
  func expect(_ text: String, seconds: UInt64 = 20) throws -> Bool {
    let end = Sys.monotonicNanoseconds() + seconds * 1_000_000_000
    while !screen.contains(text) {
      guard try readMore(until: end) else { return screen.contains(text) }
    }
    return true
  }

  /// Forgets what was read, so that `expect` sees only what comes.
  func clear() { screen = "" }

  /// Reads to the program's end and answers its exit status.
  func end(seconds: UInt64 = 20) throws -> Int32 {
    let end = Sys.monotonicNanoseconds() + seconds * 1_000_000_000
    while try readMore(until: end) {}
    if Sys.monotonicNanoseconds() >= end { try Sys.sendSignal(pidfd: pidfd.raw, SIGKILL) }
    return try Sys.wait(pidfd: pidfd.raw)?.code ?? -1
  }

  private func readMore(until end: UInt64) throws -> Bool {
    let now = Sys.monotonicNanoseconds()
    guard now < end else { return false }
    var poll = pollfd(fd: master.raw, events: Int16(POLLIN), revents: 0)
    let ready = try Sys.retrying("poll") { CLinux.poll(&poll, 1, Int32((end - now) / 1_000_000) + 1) }
    guard ready > 0 else { return false }
    var bytes = [UInt8](repeating: 0, count: 65536)
    do {
      let count = try bytes.withUnsafeMutableBytes { try Sys.read(master.raw, $0) }
      guard count > 0 else { return false }
      screen += String(decoding: bytes.prefix(count), as: UTF8.self)
      return true
    } catch let error as SyscallError where error.errno == .io {
      return false  // the last holder of the other side is gone
    }
  }
}

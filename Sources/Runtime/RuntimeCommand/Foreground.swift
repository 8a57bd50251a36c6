import CLinux
import ContainerRuntime
import Kernel
import Terminal

/// Stays with a process until it has ended: hands signals on, and copies between its terminal and ours.
struct Foreground: ~Copyable {
  private let signals: Descriptor

  /// Before the process is made, lest a signal falls between.
  init() throws(CommandError) {
    signals = try attempt("signalfd") { () throws(SyscallError) in
      try Sys.signalfd((1...31).filter { ![SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGPIPE].contains($0) })
    }
  }

  /// Answers how it ended.
  consuming func wait(for process: ContainerProcess) throws(CommandError) -> Sys.Exit {
    let signals = signals.raw
    let raw = process.terminal == nil ? nil : try? RawMode(0)
    defer { try? raw?.restore() }
    do throws(SyscallError) {
      var terminal = process.terminal.map { TerminalCopy(master: $0) }
      terminal?.resize()
      if let terminal { try Sys.setNonBlocking(terminal.master.raw) }
      while true {
        var entries = [
          pollfd(fd: process.pidfd.raw, events: Int16(POLLIN), revents: 0),
          pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
        ]
        if let terminal { entries += terminal.entries }
        try Sys.retrying("poll") { poll(&entries, nfds_t(entries.count), -1) }
        if entries.count > 2 { terminal?.copy(entries[2].revents, entries[3].revents) }
        if entries[1].revents != 0, let number = try Self.next(signals) {
          switch number {
          case SIGCHLD, SIGURG: break
          case SIGWINCH where terminal != nil: terminal?.resize()
          default: try? process.signal(number)
          }
        }
        if entries[0].revents != 0 {
          terminal?.drain()
          if let exit = try process.wait(nonBlocking: true) { return exit }
        }
      }
    } catch { throw CommandError(error, doing: "wait for the process") }
  }

  private static func next(_ fd: Int32) throws(SyscallError) -> Int32? {
    var info = signalfd_siginfo()
    let size = MemoryLayout<signalfd_siginfo>.size
    do throws(SyscallError) {
      let count = try Sys.retrying("read", "signalfd") { read(fd, &info, size) }
      return count == size ? Int32(info.ssi_signo) : nil
    } catch  where error.errno == .wouldBlock { return nil }
  }
}

/// Standard input to a terminal's master, and the master to standard output.
private struct TerminalCopy {
  let master: SharedDescriptor
  private var pending: ArraySlice<UInt8> = []
  private var inputIsOpen = true
  private var outputIsOpen = true

  init(master: SharedDescriptor) { self.master = master }

  /// Ours, as big as our own; nothing when we have none.
  func resize() { if let size = try? WindowSize(of: 0) { try? size.apply(to: master.raw) } }

  /// The master, and standard input while it has nothing of it waiting.
  var entries: [pollfd] {
    [
      pollfd(
        fd: outputIsOpen ? master.raw : -1, events: Int16(POLLIN) | (pending.isEmpty ? 0 : Int16(POLLOUT)), revents: 0),
      pollfd(fd: inputIsOpen && pending.isEmpty ? 0 : -1, events: Int16(POLLIN), revents: 0),
    ]
  }

  mutating func copy(_ masterEvents: Int16, _ inputEvents: Int16) {
    if inputEvents != 0 {
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = read(0, &bytes, bytes.count)
      if count > 0 { pending = bytes[..<count] } else if count == 0 || cl_errno() != EINTR { inputIsOpen = false }
    }
    if !pending.isEmpty {
      let count = pending.withUnsafeBytes { write(master.raw, $0.baseAddress, $0.count) }
      if count > 0 {
        pending = pending.dropFirst(count)
      } else if cl_errno() != EAGAIN, cl_errno() != EINTR {
        pending = []
      }
    }
    if masterEvents & ~Int16(POLLOUT) != 0 { output() }
  }

  /// What the process left behind.
  mutating func drain() { while outputIsOpen, output() {} }

  @discardableResult
  private mutating func output() -> Bool {
    var bytes = [UInt8](repeating: 0, count: 32 << 10)
    let count = read(master.raw, &bytes, bytes.count)
    if count > 0 {
      try? Sys.writeAll(1, Array(bytes[..<count]))
      return true
    }
    // EIO: every slave is closed.
    if count == 0 || (cl_errno() != EAGAIN && cl_errno() != EINTR) { outputIsOpen = false }
    return false
  }
}

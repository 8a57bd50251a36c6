import CLinux
import Kernel

/// A program that helps a launch: a hook, newuidmap. Run to its end by a process with one thread.
enum Subprocess {
  struct Outcome {
    enum End {
      case ended(Sys.Exit)
      /// It could not be executed.
      case failed(Errno)
      /// Killed when its time was up.
      case late
    }
    var end: End
    /// The first kilobytes of what it wrote.
    var output: String
    var error: String
  }

  /// Its streams are files in memory, so that neither side waits for the other. `seconds`: the time it has; `nil`: any.
  static func run(
    _ path: String, _ arguments: [String], environment: [String], input: [UInt8] = [], seconds: Int64? = nil
  ) throws(SyscallError) -> Outcome {
    let stdin = try Sys.memfd("stdin")
    let stdout = try Sys.memfd("stdout")
    let stderr = try Sys.memfd("stderr")
    try Sys.writeAll(stdin.raw, input)
    try Sys.lseek(stdin.raw, 0, SEEK_SET)
    let pipe = try Sys.pipe()
    let reading = Descriptor(owning: pipe.read)
    let writing = Descriptor(owning: pipe.write)
    let child = try Sys.clone3(flags: 0)
    if child.pid == 0 { become(path, arguments, environment, (stdin.raw, stdout.raw, stderr.raw), writing.raw) }
    let pidfd = Descriptor(owning: child.pidfd)
    _ = consume writing
    // Empty and at its end: close-on-exec has closed it.
    let told = try Sys.readAll(reading.raw, limit: 64)
    if let number = Int32(String(decoding: told, as: UTF8.self)) {
      _ = try Sys.wait(pidfd: pidfd.raw)
      return Outcome(end: .failed(Errno(rawValue: number)), output: "", error: "")
    }
    let limit = seconds.map { Int32(clamping: $0.multipliedReportingOverflow(by: 1000).overflow ? .max : $0 * 1000) }
    guard try Sys.poll(pidfd.raw, Int16(POLLIN), timeout: limit ?? -1) != 0 else {
      // With all that it started and that stayed in its group.
      do throws(SyscallError) { try Sys.kill(-child.pid, SIGKILL) } catch  where error.errno == .noSuchProcess {}
      try Sys.sendSignal(pidfd: pidfd.raw, SIGKILL)
      _ = try Sys.wait(pidfd: pidfd.raw)
      return Outcome(end: .late, output: try text(stdout.raw), error: try text(stderr.raw))
    }
    guard let exit = try Sys.wait(pidfd: pidfd.raw) else { throw SyscallError("waitid", path, .noChild) }
    return Outcome(end: .ended(exit), output: try text(stdout.raw), error: try text(stderr.raw))
  }

  private static func become(
    _ path: String, _ arguments: [String], _ environment: [String], _ files: (Int32, Int32, Int32), _ report: Int32
  ) -> Never {
    Sys.resetSignals()
    do throws(SyscallError) {
      // A group of its own, lest its children outlive its time.
      try Sys.retrying("setpgid") { setpgid(0, 0) }
      // Out of the way of 0 to 2 first.
      let input = try Sys.fcntl(files.0, F_DUPFD_CLOEXEC, 3)
      let output = try Sys.fcntl(files.1, F_DUPFD_CLOEXEC, 3)
      let error = try Sys.fcntl(files.2, F_DUPFD_CLOEXEC, 3)
      let report = try Sys.fcntl(report, F_DUPFD_CLOEXEC, 3)
      try Sys.dup3(input, onto: 0)
      try Sys.dup3(output, onto: 1)
      try Sys.dup3(error, onto: 2)
      try Sys.closeRange(from: 3, closeOnExec: true)
      let failure = Sys.execve(path, arguments, environment)
      try Sys.writeAll(report, "\(failure.errno.rawValue)")
    } catch { try? Sys.writeAll(report, "\(error.errno.rawValue)") }
    _exit(127)
  }

  private static func text(_ file: Int32) throws(SyscallError) -> String {
    var bytes = [UInt8](repeating: 0, count: 2048)
    let outcome: Result<Int, SyscallError> = bytes.withUnsafeMutableBytes { buffer in
      do throws(SyscallError) { return .success(try Sys.pread(file, buffer, at: 0)) } catch { return .failure(error) }
    }
    return String(decoding: bytes.prefix(try outcome.get()), as: UTF8.self)
  }
}

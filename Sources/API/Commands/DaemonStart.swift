import CLinux
import EngineClient
import Kernel

/// Starts `berthd` when nobody answers on the default socket, and waits until it listens.
///
/// The daemon is told a descriptor by `--ready-fd N`: it writes a byte there once it listens, or closes it by ending.
/// It runs in a session of its own, with its errors in a log file.
struct DaemonStart {
  let host: Host
  private static let logs = ["/var/log/berthd.log", "/run/berth/berthd.log"]

  init(host: Host) { self.host = host }

  /// `failure`: why nobody could be reached. Throws it, as the user shall see it, when there is nothing to start.
  func run(after failure: SyscallError, debug: Bool) throws {
    let unreachable = ClientError.cannotConnect(host, failure)
    guard failure.errno == .noSuchFile || failure.errno == .connectionRefused, geteuid() == 0,
      let program = DaemonStart.program
    else { throw unreachable }
    let (ready, theirs) = try Sys.pipe()
    let end = Descriptor(owning: ready)
    let log = try DaemonStart.openLog()
    do {
      let arguments = [program, "--ready-fd", "\(theirs)"] + (debug ? ["--debug"] : [])
      try DaemonStart.spawn(arguments, log: log.raw, keeping: theirs)
      _ = CLinux.close(theirs)
    } catch {
      _ = CLinux.close(theirs)
      throw error
    }
    var byte: UInt8 = 0
    let count = try withUnsafeMutableBytes(of: &byte) { try Sys.read(end.raw, $0) }
    guard count == 1 else {
      throw CommandFailure(
        "\(unreachable)\nberth started \(program), which ended at once. The last lines of \(log.path):\n\(DaemonStart.tail(log.path))"
      )
    }
  }

  /// Beside our own executable, then where PATH says.
  private static var program: String? {
    var directories: [String] = []
    if let own = try? Sys.readlink("/proc/self/exe"), let slash = own.lastIndex(of: "/") {
      directories.append(String(own[..<slash]))
    }
    directories += (Context.environment("PATH") ?? "").split(separator: ":").map(String.init)
    return directories.map { "\($0)/berthd" }.first { access($0, X_OK) == 0 }
  }

  private struct Log: ~Copyable {
    let path: String
    let descriptor: Descriptor
    var raw: Int32 { descriptor.raw }
  }

  private static func openLog() throws -> Log {
    var failure: SyscallError?
    for path in logs {
      do throws(SyscallError) {
        if path.hasPrefix("/run/berth/") { try Sys.mkdirAll("/run/berth", mode: 0o755) }
        return Log(path: path, descriptor: try Sys.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o640))
      } catch { failure = error }
    }
    throw CommandFailure("no log file for the daemon can be opened: \(failure.map { "\($0)" } ?? "")")
  }

  /// We have one thread, so the child may set itself up in Swift before it executes.
  private static func spawn(_ arguments: [String], log: Int32, keeping descriptor: Int32) throws {
    let pid = try Sys.retrying("fork") { cl_fork() }
    guard pid == 0 else { return }
    _ = setsid()
    cl_default_signal(SIGPIPE)
    let null = cl_openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0)
    _ = dup2(null, 0)
    _ = dup2(log, 1)
    _ = dup2(log, 2)
    _ = cl_fcntl(descriptor, F_SETFD, 0)
    _ = chdir("/")
    var pointers = arguments.map { strdup($0) }
    pointers.append(nil)
    execv(arguments[0], pointers)
    _exit(127)
  }

  private static func tail(_ path: String) -> String {
    guard let bytes = try? Sys.readFile(path) else { return "" }
    return String(decoding: bytes.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(10).map { "  \($0)" }
      .joined(separator: "\n")
  }
}

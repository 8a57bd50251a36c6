import CLinux
import EngineClient
import Kernel

/// Starts `berthd` when nobody answers on the default socket, and waits until it listens.
///
/// The daemon tells by sd_notify(3) when it listens; that, or its end, is awaited. It runs in a session of its own,
/// with its output in a log file. Of several commands that find no daemon, one starts it and the others wait for that
/// one.
///
/// ```
/// /run/berth/
///   start.lock            held while the daemon is being started
///   start-<pid>.sock      where it says that it is ready
/// ```
struct DaemonStart {
  let host: Host
  private static let directory = "/run/berth"
  private static let logs = ["/var/log/berthd.log", "/run/berth/berthd.log"]

  init(host: Host) { self.host = host }

  /// `failure`: why nobody could be reached. Throws it, as the user shall see it, when there is nothing to start.
  func run(after failure: SyscallError, client: EngineClient, debug: Bool) throws {
    let unreachable = ClientError.cannotConnect(host, failure)
    guard failure.errno == .noSuchFile || failure.errno == .connectionRefused, geteuid() == 0,
      let program = DaemonStart.program
    else { throw unreachable }
    try Sys.mkdirAll(DaemonStart.directory, mode: 0o755)
    let lock = try Sys.open("\(DaemonStart.directory)/start.lock", O_RDWR | O_CREAT, mode: 0o600)
    try Sys.lock(lock.raw, wait: true)
    // Somebody else may have started it while we waited.
    if (try? client.connect()) != nil { return }
    try start(program, unreachable, debug: debug)
    try client.connect()
  }

  private func start(_ program: String, _ unreachable: ClientError, debug: Bool) throws {
    let path = "\(DaemonStart.directory)/start-\(getpid()).sock"
    _ = CLinux.unlink(path)
    let notices = try Sys.socket(AF_UNIX, Sys.sockDatagram)
    try Sys.bind(notices.raw, path: path)
    defer { _ = CLinux.unlink(path) }
    let log = try DaemonStart.openLog()
    let pid = try DaemonStart.spawn([program] + (debug ? ["--debug"] : []), log: log.descriptor.raw, notices: path)
    let process = try Sys.pidfdOpen(pid)
    guard try DaemonStart.awaitReady(notices.raw, process.raw) else {
      let end = try Sys.wait(pidfd: process.raw)
      throw CommandFailure(
        "\(unreachable)\n\(program) was started and ended\(end.map { " with status \($0.code)" } ?? "")."
          + " Run it by hand to see more. The last lines of \(log.path):\n\(DaemonStart.tail(log.path))")
    }
  }

  /// True when the daemon is ready, false when it ended.
  private static func awaitReady(_ notices: Int32, _ process: Int32) throws -> Bool {
    while true {
      var polls = [
        pollfd(fd: notices, events: Int16(POLLIN), revents: 0), pollfd(fd: process, events: Int16(POLLIN), revents: 0),
      ]
      try Sys.retrying("poll") { poll(&polls, 2, -1) }
      if polls[0].revents != 0 {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = try bytes.withUnsafeMutableBytes { try Sys.read(notices, $0) }
        let lines = String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n")
        if lines.contains("READY=1") { return true }
      } else if polls[1].revents != 0 {
        return false
      }
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
  }

  private static func openLog() throws -> Log {
    var failure: SyscallError?
    for path in logs {
      do throws(SyscallError) {
        return Log(path: path, descriptor: try Sys.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o640))
      } catch { failure = error }
    }
    throw CommandFailure("no log file for the daemon can be opened: \(failure.map { "\($0)" } ?? "")")
  }

  /// We have one thread, so the child may set itself up in Swift before it executes.
  private static func spawn(_ arguments: [String], log: Int32, notices: String) throws -> pid_t {
    let pid = try Sys.retrying("fork") { cl_fork() }
    guard pid == 0 else { return pid_t(pid) }
    _ = setsid()
    cl_default_signal(SIGPIPE)
    let null = cl_openat(AT_FDCWD, "/dev/null", O_RDONLY | O_CLOEXEC, 0)
    _ = dup2(null, 0)
    _ = dup2(log, 1)
    _ = dup2(log, 2)
    _ = chdir("/")
    _ = setenv("NOTIFY_SOCKET", notices, 1)
    var pointers = arguments.map { strdup($0) }
    pointers.append(nil)
    execv(arguments[0], pointers)
    _exit(127)
  }

  private static func tail(_ path: String) -> String {
    guard let bytes = try? Sys.readFile(path) else { return "" }
    let lines = String(decoding: bytes.suffix(4096), as: UTF8.self).split(separator: "\n").suffix(10)
    return lines.map { "  \($0)" }.joined(separator: "\n")
  }
}

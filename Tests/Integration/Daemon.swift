import CLinux
import Kernel
import OCI
import Testing

/// A daemon of the test's own, from the built programs (`BERTH_BIN`), in a scratch folder: data root, exec root, socket and log.
/// Cleans up last-in-first-out; what a failed test leaves is told with the daemon's log.
final class Daemon: @unchecked Sendable {  // SAFETY: a test uses its daemon from one task at a time
  static let bin = ProcessEnvironment.current["BERTH_BIN"] ?? ""

  let folder: String
  var host: String { "unix://\(folder)/run/berth.sock" }
  var berth: Command { Command(path: "\(Self.bin)/berth", environment: ["BERTH_HOST": host, "DOCKER_HOST": ""]) }
  var docker: Command? {
    ProcessEnvironment.find("docker").map {
      Command(path: $0, environment: ["DOCKER_HOST": host, "DOCKER_CONFIG": "\(folder)/docker"])
    }
  }
  private(set) var process: RunningCommand?
  private let flags: [String]
  /// A program, with its arguments, that executes the daemon: in another network namespace, or without some calls.
  private let launcher: [String]
  /// What the daemon sees in place of these files of `/etc`.
  private let etc: [String: String]
  /// The mount namespace in which it sees them: the next start's, too, since the network namespaces are bound there.
  private var namespace: SharedDescriptor?
  private var cgroupParentFound: String?

  /// Starts it and loads busybox.
  init(
    flags: [String] = [], busybox: Bool = true, etc: [String: String] = [:], through launcher: [String] = []
  ) throws {
    guard !Self.bin.isEmpty else { throw EnvironmentError.notBuilt }
    var template = Array("/tmp/berth-test-XXXXXX\0".utf8CString)
    guard let made = mkdtemp(&template) else { throw SyscallError("mkdtemp", "/tmp", .current) }
    folder = String(cString: made)
    self.flags = flags
    self.etc = etc
    self.launcher = launcher
    try Sys.mkdir("\(folder)/run")
    try start()
    if busybox {
      let archive = try BusyboxArchive.path()
      let loaded = try berth.run(["load", "-i", archive])
      try #require(loaded.status == 0, "\(loaded)")
    }
  }

  enum EnvironmentError: Error, CustomStringConvertible {
    case notBuilt
    var description: String { "BERTH_BIN is not set: run the tests by make test, which builds the programs first" }
  }

  /// Starts the program and waits until it says by sd_notify(3) that it listens.
  func start() throws {
    let notices = "\(folder)/notify.sock"
    _ = CLinux.unlink(notices)
    let reader = try Sys.socket(AF_UNIX, Sys.sockDatagram)
    try Sys.bind(reader.raw, path: notices)
    let logFile = try Sys.open("\(folder)/berthd.log", O_WRONLY | O_CREAT | O_APPEND)
    let null = try Sys.open("/dev/null")
    var (program, arguments) = try Self.command(
      [
        "--data-root", "\(folder)/data", "--exec-root", "\(folder)/run", "-H", host, "--pidfile",
        "\(folder)/run/berthd.pid",
      ] + flags, etc: namespace == nil ? etc : [:], folder)
    if let namespace {
      arguments = ["nsenter", "--mount=/proc/\(getpid())/fd/\(namespace.raw)", program] + arguments.dropFirst()
      program = "/usr/bin/nsenter"
    }
    if let first = launcher.first {
      arguments = launcher + [program] + arguments.dropFirst()
      program = first
    }
    let pid = try spawn(
      program, arguments,
      environment: ["NOTIFY_SOCKET": notices], descriptors: [null.raw, logFile.raw, logFile.raw], newSession: true)
    let running = RunningCommand(
      pid: pid, pidfd: try Sys.pidfdOpen(pid), out: SharedDescriptor(try Sys.memfd("unused")),
      err: SharedDescriptor(try Sys.memfd("unused")))
    process = running
    var polls = [
      pollfd(fd: reader.raw, events: Int16(POLLIN), revents: 0),
      pollfd(fd: running.endDescriptor, events: Int16(POLLIN), revents: 0),
    ]
    _ = try Sys.retrying("poll") { CLinux.poll(&polls, 2, 20_000) }
    let log = try self.log()
    try #require(polls[0].revents & Int16(POLLIN) != 0, "berthd did not come up:\n\(log)")
    if !etc.isEmpty, namespace == nil { namespace = SharedDescriptor(try Sys.open("/proc/\(pid)/ns/mnt")) }
  }

  /// The daemon's command, in a mount namespace of its own when it is to see other files.
  private static func command(_ arguments: [String], etc: [String: String], _ folder: String) throws -> (
    String, [String]
  ) {
    guard !etc.isEmpty else { return ("\(bin)/berthd", ["berthd"] + arguments) }
    var script = "mount --make-rprivate /; "
    for (name, text) in etc {
      try Sys.replaceFile("\(folder)/etc-\(name)", with: Array(text.utf8), durable: false)
      script += "mount --bind \(folder)/etc-\(name) /etc/\(name) && "
    }
    return ("/usr/bin/unshare", ["unshare", "-m", "sh", "-c", script + "exec \(bin)/berthd \"$@\"", "sh"] + arguments)
  }

  /// How a daemon ends that doesn't come up.
  static func refusal(flags: [String], etc: [String: String]) throws -> Command.Result {
    let folder = "/tmp/berth-test-refusal-\(getpid())"
    try Sys.mkdirAll(folder)
    defer { try? Sys.removeTree(folder) }
    let (program, arguments) = try command(
      ["--data-root", "\(folder)/data", "--exec-root", "\(folder)/run"] + flags, etc: etc, folder)
    return try Command(path: program).run(Array(arguments.dropFirst()))
  }

  /// The plug of the daemon alone: containers go on.
  func kill() throws {
    try process?.signal(SIGKILL)
    _ = try process?.wait()
    process = nil
  }

  /// An orderly stop: containers go on.
  func stop() throws {
    try process?.signal(SIGTERM)
    let result = try process?.wait(deadline: 20)
    process = nil
    #expect(result?.status == 0, "berthd's exit status after SIGTERM")
  }

  func log() throws -> String { String(decoding: try Sys.readFile("\(folder)/berthd.log"), as: UTF8.self) }

  /// Removes every container, ends the daemon and deletes the folder.
  func close() throws {
    if process == nil { try start() }
    let left = try berth.run(["ps", "-aq"]).lines
    if !left.isEmpty { _ = try berth.run(["rm", "-f"] + left) }
    try stop()
    try? Sys.removeTree(folder)
  }

  /// A daemon for the length of `body`; its log is shown when the body throws.
  static func with<T>(
    flags: [String] = [], busybox: Bool = true, etc: [String: String] = [:],
    through launcher: [String] = [], _ body: (Daemon) throws -> T
  ) throws -> T {
    let daemon = try Daemon(flags: flags, busybox: busybox, etc: etc, through: launcher)
    do {
      let result = try body(daemon)
      try daemon.close()
      return result
    } catch {
      Issue.record("\(error)\nthe daemon's log:\n\(((try? daemon.log()) ?? "").suffix(4000))")
      try? daemon.close()
      throw error
    }
  }

  /// The control group above those of its containers, as one that runs finds itself: a path below each hierarchy.
  func cgroupParent() throws -> String {
    if let known = cgroupParentFound { return known }
    let id = try ok("run", "-d", "busybox", "sleep", "1000").line
    let pid = try ok("inspect", "-f", "{{.State.Pid}}", id).line
    let lines = String(decoding: try Sys.readFile("/proc/\(pid)/cgroup"), as: UTF8.self).split(separator: "\n")
    let own = lines.first { $0.hasSuffix("/" + id) }
    let path = try #require(own?.split(separator: ":", maxSplits: 2).last, "no group of its own: \(lines)")
    try ok("rm", "-f", id)
    let parent = String(path.dropLast(id.utf8.count + 1))
    cgroupParentFound = parent
    return parent
  }

  /// The bridge of its default network.
  func bridge() throws -> String {
    try ok("network", "inspect", "-f", #"{{index .Options "com.docker.network.bridge.name"}}"#, "bridge").line
  }

  /// `berth …`, which must succeed.
  @discardableResult
  func ok(_ arguments: String..., input: String? = nil, sourceLocation: SourceLocation = #_sourceLocation) throws
    -> Command.Result
  {
    let result = try berth.run(arguments, input: input)
    try #require(
      result.status == 0, "berth \(arguments.joined(separator: " ")): \(result)", sourceLocation: sourceLocation)
    return result
  }

  /// The object that `berth inspect` shows.
  func inspect(_ name: String) throws -> JSON {
    let result = try ok("inspect", name)
    return try #require(try JSON.parse(result.out)[0])
  }
}

/// A docker-archive of busybox, made once a test run by the project's own script.
enum BusyboxArchive {
  private static let made: Result<String, any Error> = Result {
    let path = "/tmp/berth-test-busybox-\(getpid()).tar"
    let root = try projectRoot()
    let result = try Command(path: "\(root)/scripts/make-busybox-image").run([path])
    guard result.status == 0 else { throw SyscallError("make-busybox-image", result.err, .io) }
    return path
  }

  static func path() throws -> String { try made.get() }
}

/// The folder with Package.swift: the programs' folder is its `bin`.
func projectRoot() throws -> String {
  guard let slash = Daemon.bin.lastIndex(of: "/") else { throw Daemon.EnvironmentError.notBuilt }
  return String(Daemon.bin[..<slash])
}

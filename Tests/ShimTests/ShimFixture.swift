import CLinux
import Cgroups
import ContainerRuntime
import Containers
import Kernel
import OCI
import Synchronization
import Testing

/// A container of Debian's busybox under the real berth-shim, and all that a daemon has of it.
final class ShimFixture: Sendable {
  let scratch = Scratch()
  let id: String
  let launcher: ShimLauncher
  let runDirectory: String
  let logPath: String
  let recordPath: String
  /// The shims that ended, by their exits.
  let ended: AsyncStream<Sys.Exit>

  static let hasBusybox = Sys.exists("/bin/busybox")
  static let cgroupParent = "/berth-shim-test-\(getpid())"

  /// One copy for all, made before any process is started: one that inherits the descriptor it is written by would make
  /// its execution fail (ETXTBSY).
  private static let busybox: String = {
    let path = "/tmp/berth-shim-test-busybox-\(getpid())"
    // SAFETY: no test can run without it
    try! Sys.replaceFile(path, with: Sys.readFile("/bin/busybox"), mode: 0o755, durable: false)
    atexit { ShimFixture.sweep() }
    return path
  }()

  /// What all tests shared, when they are over.
  private static func sweep() {
    try? Sys.unlink(busybox)
    if let layout = try? CgroupLayout.probe() { try? Cgroup(path: cgroupParent, layout: layout).remove(timeout: 1000) }
  }

  static let applets = [
    "sh", "cat", "echo", "sleep", "stty", "true", "false", "head", "tail", "yes", "wc", "kill", "dd", "tr", "seq", "id",
    "ls", "env",
    "printf", "test", "mkfifo", "readlink", "md5sum", "usleep", "awk", "tty", "ps",
  ]

  init() throws {
    // as berthd does
    cl_ignore_signal(SIGPIPE)
    id = Sys.random(32).map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    runDirectory = scratch.path + "/run/" + id
    logPath = scratch.path + "/container-json.log"
    recordPath = scratch.path + "/exit.json"
    try Sys.mkdirAll(runDirectory)
    let program = try Sys.readlink("/proc/self/exe").split(separator: "/").dropLast().joined(separator: "/")
    let (stream, sink) = AsyncStream<Sys.Exit>.makeStream()
    ended = stream
    launcher = try ShimLauncher(program: "/" + program + "/berth-shim", errors: scratch.path + "/errors") { _, exit in
      sink.yield(exit)
    }
    try makeRoot()
  }

  deinit {
    // What the shims complained of is worth reading when a test fails.
    if let text = try? Sys.readFile(scratch.path + "/errors"), !text.isEmpty {
      print(String(decoding: text, as: UTF8.self))
    }
  }

  private func makeRoot() throws {
    let root = scratch.path + "/rootfs"
    for directory in ["bin", "dev", "proc", "sys", "tmp", "etc", "root"] { try Sys.mkdirAll(root + "/" + directory) }
    try Sys.chmod(root + "/tmp", 0o1777)
    try Sys.link(Self.busybox, root + "/bin/busybox")
    for applet in Self.applets { try Sys.symlink("busybox", root + "/bin/" + applet) }
    try Sys.replaceFile(root + "/etc/passwd", with: Array("root:x:0:0:root:/root:/bin/sh\n".utf8), durable: false)
    try Sys.replaceFile(root + "/etc/group", with: Array("root:x:0:\n".utf8), durable: false)
  }

  /// What `sh -c` is to run, in new namespaces of all kinds but user and network's plumbing.
  func plan(
    _ script: String, arguments: [String]? = nil, tty: Bool = false, stdin: Bool = false, once: Bool = false,
    maximumSize: Int64? = nil, maximumFiles: Int = 1, change: (inout RuntimeSpec) -> Void = { _ in }
  ) -> LaunchPlan {
    var spec = RuntimeSpec()
    spec.process = process(arguments ?? ["sh", "-c", script], tty: tty)
    spec.root = RuntimeSpec.Root(path: "rootfs")
    spec.hostname = "shim-test"
    func mount(_ destination: String, _ type: String, _ options: [String]) -> RuntimeSpec.Mount {
      RuntimeSpec.Mount(destination: destination, type: type, source: type, options: options)
    }
    spec.mounts = [
      mount("/proc", "proc", ["nosuid", "noexec", "nodev"]),
      mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
      mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
      mount("/sys", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ]
    spec.linux.namespaces = [.mount, .pid, .ipc, .uts, .network, .cgroup].map { RuntimeSpec.Namespace($0) }
    spec.linux.cgroupsPath = Self.cgroupParent + "/" + id
    change(&spec)
    return LaunchPlan(
      id: id, spec: spec, rootfs: .directory(scratch.path + "/rootfs"),
      stdio: LaunchPlan.Stdio(terminal: tty, openStdin: stdin, stdinOnce: once),
      log: LaunchPlan.Log(path: logPath, maximumSize: maximumSize, maximumFiles: maximumFiles), exitRecord: recordPath,
      durableExit: false)
  }

  func process(_ arguments: [String], tty: Bool = false) -> RuntimeSpec.Process {
    var process = RuntimeSpec.Process()
    process.terminal = tty
    process.args = arguments
    process.env = ["PATH=/bin", "TERM=xterm"]
    let all = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETUID", "CAP_SETGID"]
    var capabilities = RuntimeSpec.Capabilities()
    capabilities.bounding = all
    capabilities.effective = all
    capabilities.permitted = all
    process.capabilities = capabilities
    return process
  }

  func launch(_ plan: LaunchPlan) async throws -> ShimConnection {
    try await launcher.launch(id: id, runDirectory: runDirectory, plan: plan)
  }

  /// Launches, attaches and starts.
  func run(
    _ plan: LaunchPlan, stdin: Bool = false, detachKeys: [UInt8] = []
  ) async throws -> (shim: ShimConnection, client: Client, started: ShimProtocol.Started) {
    let shim = try await launch(plan)
    let client = try await attach(shim, tty: plan.stdio.terminal, stdin: stdin, detachKeys: detachKeys)
    return (shim, client, try await shim.start())
  }

  func attach(
    _ shim: ShimConnection, exec: String? = nil, tty: Bool = false, stdin: Bool = false, stdout: Bool = true,
    stderr: Bool = true,
    detachKeys: [UInt8] = [], pending: [UInt8] = []
  ) async throws -> Client {
    let client = try Client()
    try await shim.attach(
      ShimProtocol.Attach(
        exec: exec, stdin: stdin, stdout: stdout, stderr: stderr, mux: !tty, detachKeys: detachKeys, pending: pending),
      socket: client.takeOther())
    return client
  }

  func execPlan(_ script: String, tty: Bool = false, stdin: Bool = false) -> ExecPlan {
    ExecPlan(
      id: Sys.random(32).map { String($0, radix: 16) }.joined(), process: process(["sh", "-c", script], tty: tty),
      user: nil,
      seccompFilter: nil, stdio: LaunchPlan.Stdio(terminal: tty, openStdin: stdin, stdinOnce: true))
  }

  /// Runs a process in the container, with a client.
  func exec(_ shim: ShimConnection, _ plan: ExecPlan, pending: [UInt8] = []) async throws -> Client {
    let client = try Client()
    let attach = ShimProtocol.Attach(
      stdin: plan.stdio.openStdin, stdout: true, stderr: true, mux: !plan.stdio.terminal, pending: pending)
    _ = try await shim.exec(plan, attach: attach, socket: client.takeOther())
    return client
  }

  func logged() throws -> [(stream: String, text: String)] { try logged(logPath) }

  func logged(_ path: String) throws -> [(stream: String, text: String)] {
    try String(decoding: Sys.readFile(path), as: UTF8.self).split(separator: "\n").map { line in
      let record = try JSON.parse(String(line))
      return (record["stream"]?.stringValue ?? "", record["log"]?.stringValue ?? "")
    }
  }

  /// Waits for the end of the only shim, and for nothing to be left of its cgroup.
  func shimEnded() async -> Sys.Exit? {
    for await exit in ended { return exit }
    return nil
  }
}

extension ShimConnection {
  /// The next event, which must come within ten seconds.
  func next(_ matching: (ShimProtocol.Event) -> Bool = { _ in true }) async -> ShimProtocol.Event? {
    for await event in events where matching(event) { return event }
    return nil
  }

  func exited() async -> ExitRecord? {
    for await event in events { if case .exited(let record) = event { return record } }
    return nil
  }
}

/// A client's end of an attached connection.
final class Client: Sendable {
  let socket: SharedDescriptor
  private let other: Mutex<SharedDescriptor?>

  init() throws {
    let pair = try Sys.socketPair(Sys.sockStream)
    socket = SharedDescriptor(owning: pair.0)
    other = Mutex(SharedDescriptor(owning: pair.1))
  }

  /// The end for the shim. It is closed here when the caller lets go of it.
  func takeOther() throws -> SharedDescriptor {
    try #require(
      other.withLock { other in
        defer { other = nil }
        return other
      })
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  func send(_ bytes: [UInt8]) throws { try Sys.writeAll(socket.raw, bytes) }

  func endInput() throws { try Sys.shutdown(socket.raw, Int32(SHUT_WR)) }

  /// Reads until `enough` or the end, at most `seconds`. On a thread of its own: the reader may wait for what another
  /// task does.
  private func read(seconds: Int32, _ enough: @escaping @Sendable ([UInt8]) -> Bool) async throws -> (
    bytes: [UInt8], ended: Bool
  ) {
    let socket = self.socket
    return try await onThread {
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 65536)
      let deadline = Sys.monotonicNanoseconds() + UInt64(seconds) * 1_000_000_000
      while !enough(bytes) {
        let now = Sys.monotonicNanoseconds()
        guard now < deadline else {
          throw SyscallError(
            "read", "client, after \(String(decoding: bytes.suffix(200), as: UTF8.self).debugDescription)", .timedOut)
        }
        var wait = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, Int32((deadline - now) / 1_000_000) + 1) > 0 else { continue }
        let count = try buffer.withUnsafeMutableBytes { try Sys.read(socket.raw, $0) }
        if count == 0 { return (bytes, true) }
        bytes += buffer[..<count]
      }
      return (bytes, false)
    }
  }

  /// All until the connection ends.
  func all(seconds: Int32 = 10) async throws -> [UInt8] { try await read(seconds: seconds) { _ in false }.bytes }

  /// Of the framed stream: what came on stdout and on stderr.
  func output(seconds: Int32 = 10) async throws -> (stdout: String, stderr: String) {
    let (stdout, stderr) = try Self.demultiplex(await all(seconds: seconds))
    return (String(decoding: stdout, as: UTF8.self), String(decoding: stderr, as: UTF8.self))
  }

  func text(seconds: Int32 = 10) async throws -> String {
    String(decoding: try await all(seconds: seconds), as: UTF8.self)
  }

  /// Reads until the text appears; what was read.
  func wait(for text: String, seconds: Int32 = 10) async throws -> String {
    let wanted = Array(text.utf8)
    let (bytes, ended) = try await read(seconds: seconds) { bytes in
      bytes.count >= wanted.count
        && (0...(bytes.count - wanted.count)).contains { bytes[$0..<$0 + wanted.count].elementsEqual(wanted) }
    }
    #expect(!ended, "the stream ended before \(text): \(String(decoding: bytes, as: UTF8.self))")
    return String(decoding: bytes, as: UTF8.self)
  }

  static func demultiplex(_ bytes: [UInt8]) throws -> ([UInt8], [UInt8]) {
    var streams: [[UInt8]] = [[], [], []]
    var index = 0
    while index < bytes.count {
      try #require(index + 8 <= bytes.count)
      let header = bytes[index..<index + 8]
      let stream = Int(bytes[index])
      try #require((1...2).contains(stream) && header.dropFirst().prefix(3).allSatisfy { $0 == 0 })
      let length = header.suffix(4).reduce(0) { $0 << 8 | Int($1) }
      try #require(index + 8 + length <= bytes.count)
      streams[stream] += bytes[index + 8..<index + 8 + length]
      index += 8 + length
    }
    return (streams[1], streams[2])
  }
}

private final class Work: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

/// Runs something that blocks on a thread of its own.
func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
  try await withCheckedThrowingContinuation { continuation in
    let work = Unmanaged.passRetained(Work { continuation.resume(with: Result { try body() }) })
    var thread = pthread_t()
    let result = pthread_create(
      &thread, nil,
      { context in
        // SAFETY: made from a retained Work just before
        Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, work.toOpaque())
    if result == 0 {
      pthread_detach(thread)
    } else {
      work.release()
      continuation.resume(throwing: SyscallError("pthread_create", "", Errno(rawValue: result)))
    }
  }
}

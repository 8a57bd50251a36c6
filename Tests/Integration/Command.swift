import CLinux
import Kernel

/// A program run to its end, with its output kept in files so that no pipe can fill up.
struct Command: Sendable {
  struct Result: Sendable, CustomStringConvertible {
    /// The exit status, or 128 + signal.
    let status: Int32
    let out: String
    let err: String
    /// `out` without the line break at its end.
    var line: String { out.hasSuffix("\n") ? String(out.dropLast()) : out }
    var lines: [String] {
      line.isEmpty ? [] : line.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }
    /// For a run whose end alone matters.
    func discard() {}
    var description: String { "status \(status)\nstdout: \(out)\nstderr: \(err)" }
  }

  let path: String
  var environment: [String: String] = [:]

  /// Runs it with `input` as its standard input (`nil`: /dev/null); killed after `deadline` seconds, which fails the test by status 137.
  func run(_ arguments: [String], input: String? = nil, deadline: UInt64 = 60) throws -> Result {
    let running = try start(arguments, input: input)
    return try running.wait(deadline: deadline)
  }

  /// Starts it and goes on.
  func start(_ arguments: [String], input: String? = nil, stdin: Int32? = nil) throws -> RunningCommand {
    let out = try Sys.memfd("out")
    let err = try Sys.memfd("err")
    let source: Descriptor
    if let stdin {
      source = Descriptor(owning: try Sys.fcntl(stdin, F_DUPFD_CLOEXEC, 0))
    } else if let input {
      source = try Sys.memfd("in")
      try Sys.writeAll(source.raw, input)
      try Sys.lseek(source.raw, 0, SEEK_SET)
    } else {
      source = try Sys.open("/dev/null")
    }
    let pid = try spawn(
      path, [path] + arguments, environment: environment, descriptors: [source.raw, out.raw, err.raw])
    return RunningCommand(
      pid: pid, pidfd: try Sys.pidfdOpen(pid), out: SharedDescriptor(out), err: SharedDescriptor(err))
  }
}

/// A started program; killed and reaped with the value.
final class RunningCommand: Sendable {
  let pid: pid_t
  private let pidfd: SharedDescriptor
  private let out: SharedDescriptor
  private let err: SharedDescriptor

  init(pid: pid_t, pidfd: consuming Descriptor, out: SharedDescriptor, err: SharedDescriptor) {
    self.pid = pid
    self.pidfd = SharedDescriptor(pidfd)
    self.out = out
    self.err = err
  }

  deinit {
    // Reaped already: ESRCH and ECHILD, which is what is wanted.
    try? Sys.sendSignal(pidfd: pidfd.raw, SIGKILL)
    _ = try? Sys.wait(pidfd: pidfd.raw)
  }

  /// Readable once the program has ended.
  var endDescriptor: Int32 { pidfd.raw }

  func signal(_ signal: Int32) throws { try Sys.sendSignal(pidfd: pidfd.raw, signal) }

  /// What it has written to standard output so far.
  func output() throws -> String { try text(of: out) }

  func wait(deadline: UInt64 = 60) throws -> Command.Result {
    var poll = pollfd(fd: pidfd.raw, events: Int16(POLLIN), revents: 0)
    let ready = try Sys.retrying("poll") { CLinux.poll(&poll, 1, Int32(deadline * 1000)) }
    if ready == 0 { try signal(SIGKILL) }
    let exit = try Sys.wait(pidfd: pidfd.raw)
    let note = ready == 0 ? "\n(killed: no end within \(deadline) s)" : ""
    return Command.Result(status: exit?.code ?? -1, out: try text(of: out), err: try text(of: err) + note)
  }

  private func text(of file: SharedDescriptor) throws -> String {
    let size = Int(try Sys.fstat(file.raw).st_size)
    var bytes = [UInt8](repeating: 0, count: size)
    let count = try bytes.withUnsafeMutableBytes { buffer in
      var count = 0
      while count < buffer.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
        let more = try Sys.pread(file.raw, rest, at: Int64(count))
        if more == 0 { break }
        count += more
      }
      return count
    }
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }
}

/// posix_spawn(3) with these as descriptors 0, 1, …; `environment` replaces nothing but adds to the tests' own.
func spawn(
  _ path: String, _ arguments: [String], environment: [String: String], descriptors: [Int32], newSession: Bool = false
) throws -> pid_t {
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  for (number, descriptor) in descriptors.enumerated() {
    posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
  }
  // Not the connections of a registry that the tests are: they would stay open as long as the program runs.
  posix_spawn_file_actions_addclosefrom_np(&actions, Int32(descriptors.count))
  var attributes = posix_spawnattr_t()
  posix_spawnattr_init(&attributes)
  defer { posix_spawnattr_destroy(&attributes) }
  if newSession { posix_spawnattr_setflags(&attributes, 0x80) }  // POSIX_SPAWN_SETSID
  var merged = ProcessEnvironment.current
  for (key, value) in environment { merged[key] = value }
  var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
  argv.append(nil)
  var envp: [UnsafeMutablePointer<CChar>?] = merged.map { strdup("\($0.key)=\($0.value)") }
  envp.append(nil)
  defer { for pointer in argv + envp { free(pointer) } }
  var pid: pid_t = 0
  let error = posix_spawn(&pid, path, &actions, &attributes, argv, envp)
  guard error == 0 else { throw SyscallError("posix_spawn", path, Errno(rawValue: error)) }
  return pid
}

enum ProcessEnvironment {
  static let current: [String: String] = {
    var result: [String: String] = [:]
    for entry in (try? Sys.readFile("/proc/self/environ"))?.split(separator: 0) ?? [] {
      let text = String(decoding: entry, as: UTF8.self)
      guard let equals = text.firstIndex(of: "=") else { continue }
      result[String(text[..<equals])] = String(text[text.index(after: equals)...])
    }
    return result
  }()

  /// The first executable of that name on PATH.
  static func find(_ program: String) -> String? {
    for directory in (current["PATH"] ?? "").split(separator: ":") where access("\(directory)/\(program)", X_OK) == 0 {
      return "\(directory)/\(program)"
    }
    return nil
  }
}

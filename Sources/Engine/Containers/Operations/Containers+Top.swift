import Cgroups
import CLinux
import Dispatch
import Errdefs
import Kernel

extension Containers {
  /// The processes of a container. `arguments` are ps's own (`-ef` by default): the host's `ps` runs with them, as Docker does, and its
  /// lines of the container's processes are kept; the default needs no program.
  public func top(_ reference: String, arguments: String = "") async throws -> ProcessList {
    let container = try find(reference)
    let snapshot = container.snapshot
    guard snapshot.state.alive else {
      if snapshot.state.restarting {
        throw EngineError.conflict("Container \(container.id) is restarting, wait until the container is running")
      }
      throw EngineError.conflict("container \(container.id) is not running")
    }
    let group = try cgroup(of: snapshot)
    let words = arguments.split(separator: " ").map(String.init)
    let list = try await blocking {
      let pids = try group.processes()
      if words.isEmpty || words == ["-ef"] { return try ProcessTable.full(pids) }
      return try ProcessTable.ps(words, pids)
    }
    tell("top", snapshot)
    return list
  }
}

/// `ps`, from `/proc`.
enum ProcessTable {
  /// `UID PID PPID C STIME TTY TIME CMD`, as `ps -ef`.
  static func full(_ pids: [Int32]) throws -> ProcessList {
    let clock = Clock()
    let users = Users()
    var rows: [[String]] = []
    for pid in pids.sorted() {
      // One that ended meanwhile is left out.
      guard let process = Process(pid) else { continue }
      rows.append([
        users.name(process.uid), "\(pid)", "\(process.parent)", clock.percent(process), clock.started(process),
        process.terminal, clock.time(process), process.command,
      ])
    }
    return ProcessList(titles: ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"], processes: rows)
  }

  private struct Process {
    var uid: UInt32 = 0
    var parent: Int32 = 0
    var terminal = "?"
    /// Clock ticks.
    var ticks: UInt64 = 0
    var start: UInt64 = 0
    var command = ""

    init?(_ pid: Int32) {
      guard let bytes = try? Sys.readFile("/proc/\(pid)/stat", limit: 4096),
        let owner = try? Sys.status("/proc/\(pid)").st_uid
      else { return nil }
      uid = owner
      let text = String(decoding: bytes, as: UTF8.self)
      // The name stands in parentheses and may hold anything: the last one closes it (proc_pid_stat(5)).
      guard let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")") else { return nil }
      let name = text[text.index(after: open)..<close]
      let fields = text[text.index(after: close)...].split(separator: " ")
      guard fields.count > 19 else { return nil }
      parent = Int32(fields[1]) ?? 0
      terminal = Self.terminal(Int64(fields[4]) ?? 0)
      ticks = (UInt64(fields[11]) ?? 0) &+ (UInt64(fields[12]) ?? 0)
      start = UInt64(fields[19]) ?? 0
      let line = (try? Sys.readFile("/proc/\(pid)/cmdline", limit: 64 << 10)) ?? []
      let words = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      command = words.isEmpty ? "[\(name)]" : words.joined(separator: " ")
    }

    private static func terminal(_ device: Int64) -> String {
      guard device != 0 else { return "?" }
      let major = device >> 8 & 0xfff
      let minor = (device & 0xff) | (device >> 12 & 0xfff00)
      if (136...143).contains(major) { return "pts/\((major - 136) * 256 + minor)" }
      return major == 4 ? "tty\(minor)" : "?"
    }
  }

  private struct Clock {
    let now = Sys.realtimeNanoseconds() / 1_000_000_000
    let perSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    let up: UInt64

    init() {
      let text = (try? Sys.readFile("/proc/uptime", limit: 128)).map { String(decoding: $0, as: UTF8.self) } ?? ""
      up = text.split(separator: ".").first.flatMap { UInt64($0) } ?? 0
    }

    func started(_ process: Process) -> String {
      let age = Int64(up) - Int64(process.start / perSecond)
      var time = time_t(now - max(0, age))
      var local = tm()
      localtime_r(&time, &local)
      func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
      if age < 86_400 { return two(local.tm_hour) + ":" + two(local.tm_min) }
      let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
      return months[Int(max(0, min(11, local.tm_mon)))] + two(local.tm_mday)
    }

    func time(_ process: Process) -> String {
      let seconds = process.ticks / perSecond
      func two(_ value: UInt64) -> String { value < 10 ? "0\(value)" : "\(value)" }
      return two(seconds / 3600) + ":" + two(seconds / 60 % 60) + ":" + two(seconds % 60)
    }

    func percent(_ process: Process) -> String {
      let age = max(1, up &- process.start / perSecond)
      return "\(min(99, process.ticks / perSecond * 100 / age))"
    }
  }

  /// Names of the host's users, as `ps` on the host shows them.
  private struct Users {
    private let names: [UInt32: String]

    init() {
      var names: [UInt32: String] = [:]
      let text = (try? Sys.readFile("/etc/passwd", limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) } ?? ""
      for line in text.split(separator: "\n") {
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        if fields.count > 2, let uid = UInt32(fields[2]), names[uid] == nil { names[uid] = String(fields[0]) }
      }
      self.names = names
    }

    func name(_ uid: UInt32) -> String {
      guard let name = names[uid] else { return "\(uid)" }
      // ps shortens what doesn't fit.
      return name.utf8.count > 8 ? String(name.prefix(7)) + "+" : name
    }
  }

  // MARK: The host's ps

  /// daemon/top_unix.go: arguments that are no options of ps's are refused, since they would reach a program of the host.
  static func ps(_ arguments: [String], _ pids: [Int32]) throws -> ProcessList {
    for word in arguments where word.contains("pid") && word.contains("=") {
      throw EngineError.invalidParameter("specifying \"\(word)\" is not allowed")
    }
    let output = try run(arguments, pids)
    var lines = output.split(separator: "\n")
    guard !lines.isEmpty else { throw EngineError.system("ps has written nothing") }
    let titles = lines.removeFirst().split(separator: " ").map(String.init)
    guard let column = titles.firstIndex(of: "PID") else {
      throw EngineError.invalidParameter("couldn't find PID field in ps output")
    }
    let wanted = Set(pids)
    let rows = lines.compactMap { line -> [String]? in
      let fields = line.split(separator: " ", maxSplits: max(0, titles.count - 1)).map(String.init)
      guard fields.count > column, let pid = Int32(fields[column]), wanted.contains(pid) else { return nil }
      return fields
    }
    return ProcessList(titles: titles, processes: rows)
  }

  private static func run(_ arguments: [String], _ pids: [Int32]) throws -> String {
    guard let program = ["/usr/bin/ps", "/bin/ps"].first(where: { Sys.exists($0) }) else {
      throw EngineError.notImplemented("ps is not installed on the host: only the default arguments are served")
    }
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    let pid: pid_t
    do {
      let writer = Descriptor(owning: pipe.write)
      pid = try Sys.spawn(
        program, ["ps"] + arguments, environment: ["PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"], output: writer.raw)
    }
    let bytes: [UInt8]
    do { bytes = try Sys.readAll(reader.raw, limit: 16 << 20) } catch {
      try Sys.kill(pid, SIGKILL)
      _ = try reap(pid)
      throw error
    }
    let status = try reap(pid)
    guard status == 0 else {
      throw EngineError.invalidParameter("error running ps \(arguments.joined(separator: " ")): exit status \(status)")
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// The exit status, 128 + signal for a signal.
  private static func reap(_ pid: pid_t) throws(SyscallError) -> Int32 {
    let pidfd = try Sys.pidfdOpen(pid)
    return try Sys.wait(pidfd: pidfd.raw)?.code ?? 0
  }
}

import CLinux
import Kernel

/// What stands before the command.
struct Globals {
  /// Absolute.
  let root: String
  let logPath: String?
  let logsJSON: Bool
  let debug: Bool
  let systemdCgroup: Bool
  /// crun's `--cgroup-manager=disabled`.
  let withoutCgroup: Bool
  let criu: String

  static let flags: [Flag] = [
    Flag("root", value: "DIR", "directory of the containers' state (\(Self.defaultRoot))"),
    Flag("log", value: "FILE", "where errors and warnings are written, beside standard error"),
    Flag("log-format", value: "text|json", "how they are written"),
    Flag("log-level", value: "LEVEL", "error, warning (the default) or debug"),
    Flag("debug", nil, "log more"),
    Flag("systemd-cgroup", nil, "cgroupsPath is SLICE:PREFIX:NAME, a scope that systemd makes"),
    Flag("cgroup-manager", value: "NAME", "cgroupfs, systemd or disabled"),
    Flag("rootless", value: "auto|true|false", "accepted; what the user may do decides"),
    Flag("criu", value: "PATH", "the program that checkpoints"),
    Flag("version", "v", "show the version"),
  ]

  static var defaultRoot: String {
    if geteuid() != 0, let directory = Environment.value("XDG_RUNTIME_DIR"), !directory.isEmpty {
      return directory + "/berth-runtime"
    }
    return "/run/berth-runtime"
  }

  init(_ options: Options) throws(CommandError) {
    root = try Environment.absolute(options.value("root") ?? Self.defaultRoot)
    logPath = options.value("log").flatMap { $0.isEmpty ? nil : $0 }
    switch options.value("log-format") {
    case nil, "text"?, ""?: logsJSON = false
    case "json"?: logsJSON = true
    case let other?: throw CommandError("invalid log format \"\(other)\"")
    }
    debug = options.has("debug") || options.value("log-level") == "debug"
    let manager = options.value("cgroup-manager") ?? "cgroupfs"
    guard ["cgroupfs", "systemd", "disabled"].contains(manager) else {
      throw CommandError("unknown cgroup manager \"\(manager)\"")
    }
    systemdCgroup = manager != "disabled" && (options.has("systemd-cgroup") || manager == "systemd")
    withoutCgroup = manager == "disabled"
    criu = options.value("criu") ?? "criu"
  }
}

enum Environment {
  static func value(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// All of it, `NAME=value` each.
  static func all() -> [String] {
    var result: [String] = []
    guard var entry = cl_environ() else { return [] }
    while let text = entry.pointee {
      result.append(String(cString: text))
      entry += 1
    }
    return result
  }

  static func absolute(_ path: String) throws(CommandError) -> String {
    guard !path.hasPrefix("/") else { return path }
    let current = try attempt("getcwd") { () throws(SyscallError) in try Sys.getcwd() }
    return path.isEmpty || path == "." ? current : current + "/" + path
  }
}

enum Output {
  /// To standard output; a reader that is gone is no error of ours.
  static func write(_ text: String) { try? Sys.writeAll(1, text) }
}

import CLinux
import Kernel
import OCI

/// Errors and warnings: to the log file of `--log`, in logrus' text or JSON form, and errors to standard error too.
///
/// containerd and podman read the file's last line of `"level":"error"` for its `msg`.
struct RuntimeLog {
  private let file: SharedDescriptor?
  private let isJSON: Bool
  private let debug: Bool

  init() {
    file = nil
    isJSON = false
    debug = false
  }

  init(_ globals: Globals) throws(CommandError) {
    isJSON = globals.logsJSON
    debug = globals.debug
    guard var path = globals.logPath else {
      file = nil
      return
    }
    // crun's forms: file:PATH; journald: and syslog: are left to standard error.
    if path.hasPrefix("file:") { path.removeFirst(5) }
    guard !path.hasPrefix("journald:"), !path.hasPrefix("syslog:") else {
      file = nil
      return
    }
    file = SharedDescriptor(
      try attempt("open log") { () throws(SyscallError) in
        try Sys.open(path, O_WRONLY | O_CREAT | O_APPEND, mode: 0o644)
      })
  }

  func error(_ message: String) {
    note("error", message)
    // With JSON asked for and no file, standard error is the log.
    if file != nil || !isJSON { try? Sys.writeAll(2, message + "\n") }
  }

  func warning(_ message: String) {
    note("warning", message)
    if file == nil, !isJSON { try? Sys.writeAll(2, "warning: \(message)\n") }
  }

  func debug(_ message: String) { if debug { note("debug", message) } }

  private func note(_ level: String, _ message: String) {
    guard file != nil || isJSON else { return }
    let time = Timestamp(nanosecondsSinceEpoch: Sys.realtimeNanoseconds()).text(fractionDigits: 0)
    let line: String
    if isJSON {
      let entry: JSON = ["level": .string(level), "msg": .string(message), "time": .string(time)]
      line = entry.text
    } else {
      line = "time=\"\(time)\" level=\(level) msg=\(JSON.string(message).text)"
    }
    try? Sys.writeAll(file?.raw ?? 2, line + "\n")
  }
}

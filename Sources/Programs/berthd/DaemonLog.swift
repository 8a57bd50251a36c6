import CLinux
import Kernel
import Logging
import OCI

/// Lines on standard error in dockerd's form: `time="…" level=info msg="…"`.
struct DaemonLog: LogHandler {
  var logLevel: Logger.Level
  var metadata: Logger.Metadata = [:]
  var metadataProvider: Logger.MetadataProvider?

  init(level: Logger.Level) { logLevel = level }

  /// dockerd's names of the levels.
  static func level(_ name: String) -> Logger.Level {
    switch name {
    case "debug": .debug
    case "warn": .warning
    case "error", "fatal": .error
    default: .info
    }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    let name =
      switch event.level {
      case .trace, .debug: "debug"
      case .info, .notice: "info"
      case .warning: "warning"
      case .error, .critical: "error"
      }
    let stamp = Timestamp(seconds: Int64(time.tv_sec), nanoseconds: Int32(time.tv_nsec))
    var line = "time=\"\(stamp.text(fractionDigits: 9))\" level=\(name) msg=\(Self.quoted(event.message.description))"
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(Self.quoted(value.description))" }
    line += "\n"
    // One write a line, so that lines of several threads don't mix; where standard error is gone there is nobody to tell.
    _ = try? Sys.writeAll(2, line)
  }

  private static func quoted(_ text: String) -> String { JSON.string(text).text }
}

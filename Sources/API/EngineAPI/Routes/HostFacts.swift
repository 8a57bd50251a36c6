import CLinux
import Kernel

/// What `version` and `info` say of this machine, read when asked.
struct HostFacts: Sendable {
  var kernel = ""
  var hostName = ""
  var machine = ""
  var operatingSystem = "<unknown>"
  var operatingSystemVersion = ""
  var processors = 1
  /// Bytes.
  var memory: Int64 = 0
  var openFiles = 0
  var threads = 0
  var forwards = false

  static func read() -> HostFacts {
    var facts = HostFacts()
    if let system = try? Sys.uname() {
      facts.kernel = system.release
      facts.machine = system.machine
      facts.hostName = system.nodename
    }
    let release = fields(of: "/etc/os-release", separator: "=")
    facts.operatingSystem = release["PRETTY_NAME"] ?? release["NAME"] ?? "<unknown>"
    facts.operatingSystemVersion = release["VERSION_ID"] ?? ""
    facts.processors = max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    let memory = fields(of: "/proc/meminfo", separator: ":")["MemTotal"] ?? ""
    facts.memory = (Int64(memory.prefix { $0.isNumber }) ?? 0) * 1024
    facts.openFiles = (try? Sys.entries(of: "/proc/self/fd").count) ?? 0
    facts.threads = Int(fields(of: "/proc/self/status", separator: ":")["Threads"] ?? "") ?? 0
    facts.forwards = text(of: "/proc/sys/net/ipv4/ip_forward").hasPrefix("1")
    return facts
  }

  /// GOARCH of this machine.
  var architecture: String {
    switch machine {
    case "x86_64": "amd64"
    case "aarch64": "arm64"
    default: machine
    }
  }

  private static func text(of path: String) -> String {
    guard let bytes = try? Sys.readFile(path, limit: 1 << 20) else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func fields(of path: String, separator: Character) -> [String: String] {
    var result: [String: String] = [:]
    for line in text(of: path).split(separator: "\n") {
      guard let split = line.firstIndex(of: separator) else { continue }
      var value = String(line[line.index(after: split)...]).trimmed
      if value.count >= 2, value.hasPrefix("\""), value.hasSuffix("\"") { value = String(value.dropFirst().dropLast()) }
      result[String(line[..<split])] = value
    }
    return result
  }
}

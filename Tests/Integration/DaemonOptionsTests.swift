import Kernel
import OCI
import Testing

@Suite("what the daemon is told decides for containers that don't say")
struct DaemonOptionsTests {
  @Test("default ulimits, log options and init reach the container, its execs, and not those that say otherwise")
  func defaults() throws {
    let flags = ["--default-ulimit", "nofile=300:400", "--log-opt", "max-size=1m", "--init"]
    try Daemon.with(flags: flags) { daemon in
      try daemon.ok("run", "-d", "--name", "plain", "busybox", "sleep", "1000")
      #expect(try daemon.ok("exec", "plain", "sh", "-c", "ulimit -n; ulimit -Hn").out == "300\n400\n")
      #expect(try daemon.ok("exec", "plain", "sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline").out != "sleep 1000 ")
      #expect(try daemon.inspect("plain")["HostConfig"]?["LogConfig"]?["Config"]?["max-size"]?.stringValue == "1m")
      try daemon.ok("run", "-d", "--name", "own", "--ulimit", "nofile=64:128", "busybox", "sleep", "1000")
      #expect(try daemon.ok("exec", "own", "sh", "-c", "ulimit -n; ulimit -Hn").out == "64\n128\n")
    }
  }

  @Test("the daemon takes as many files as it may, containers the limit that the daemon was started with")
  func files() throws {
    try Daemon.with { daemon in
      let own = try Sys.getrlimit(7)
      let pid = try #require(daemon.process?.pid)
      let limits = String(decoding: try Sys.readFile("/proc/\(pid)/limits"), as: UTF8.self)
      let line = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max open files") })
      let columns = line.dropFirst("Max open files".count).split(separator: " ")
      #expect(columns.first == columns.dropFirst().first, "soft and hard: \(line)")
      #expect(try daemon.ok("run", "--rm", "busybox", "sh", "-c", "ulimit -n").line == "\(own.soft)")
    }
  }
}

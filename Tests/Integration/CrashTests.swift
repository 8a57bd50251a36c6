import CLinux
import Kernel
import OCI
import Testing

@Suite("the daemon dies, the containers don't", .serialized)
struct CrashTests {
  @Test("kill -9 of the daemon loses no container, no log line and no exit code")
  func killedDaemon() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "-d", "--name", "counter", "busybox", "sh", "-c",
        "i=0; while true; do echo $i; i=$((i+1)); usleep 20000; done")
      try daemon.ok("run", "-d", "--name", "ends", "busybox", "sh", "-c", "usleep 300000; echo bye; exit 9")
      try daemon.kill()
      _ = try Command(path: "/bin/sleep").run(["0.8"])
      try daemon.start()
      #expect(try daemon.ok("ps", "--format", "{{.Names}}").line == "counter")
      #expect(try daemon.ok("inspect", "-f", "{{.State.ExitCode}} {{.State.Status}}", "ends").line == "9 exited")
      #expect(try daemon.ok("logs", "ends").out == "bye\n")
      #expect(try daemon.ok("exec", "counter", "echo", "alive").line == "alive")
      try daemon.ok("stop", "-t", "0", "counter")
      let lines = try daemon.ok("logs", "counter").lines
      #expect(lines.count > 20)
      #expect(lines == (0..<lines.count).map(String.init), "every line once and in order")
    }
  }

  @Test("shims that wait for a container end with a killed daemon")
  func waitingShims() throws {
    try Daemon.with { daemon in
      func waiting() throws -> [String] {
        try Sys.entries(of: "/proc").map(\.name).filter { name in
          guard name.allSatisfy(\.isNumber) else { return false }
          let command = String(decoding: (try? Sys.readFile("/proc/\(name)/cmdline")) ?? [], as: UTF8.self)
          return command.contains(daemon.folder + "/run" + Inventory.waitingShim)
        }
      }
      func until(_ condition: () throws -> Bool) throws -> Bool {
        for _ in 0..<200 {
          if try condition() { return true }
          _ = try Command(path: "/bin/sleep").run(["0.05"])
        }
        return false
      }
      try daemon.ok("run", "--rm", "busybox", "true")
      #expect(try until { try waiting().count == 4 })
      let killed = try waiting()
      try daemon.kill()
      #expect(try until { try waiting().isEmpty })
      try daemon.start()
      #expect(try until { try waiting().count == 4 })
      let mounts = String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self)
      for line in mounts.split(separator: "\n") where line.contains(" - cgroup ") {
        let fields = line.split(separator: " ")
        let groups = ((try? Sys.entries(of: "\(fields[4])/berth")) ?? []).map(\.name)
        #expect(!groups.contains { name in killed.contains { name.hasPrefix(".spare-\($0)-") } }, "\(groups)")
      }
      #expect(try daemon.ok("run", "--rm", "busybox", "echo", "on").line == "on")
    }
  }

  @Test("a container that removes itself can be restarted")
  func volatileRestart() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "-d", "--rm", "--name", "again", "busybox", "sleep", "1000")
      try daemon.ok("restart", "-t", "0", "again")
      #expect(try daemon.ok("exec", "again", "echo", "on").line == "on")
    }
  }

  @Test("an attached client outlives the daemon")
  func attachedClient() throws {
    try Daemon.with { daemon in
      let script = "i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); usleep 20000; done"
      let client = try daemon.berth.start(["run", "--name", "attached", "busybox", "sh", "-c", script])
      while try client.output().isEmpty { _ = try Command(path: "/bin/sleep").run(["0.02"]) }
      try daemon.kill()
      let result = try client.wait(deadline: 30)
      #expect(result.out == (0..<50).map { "\($0)\n" }.joined())
      try daemon.start()
      #expect(try daemon.ok("inspect", "-f", "{{.State.ExitCode}}", "attached").line == "0")
    }
  }

  @Test("killed at any moment of a busy life, the next start finds everything and sweeps the rest")
  func killedAtAnyMoment() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "-d", "--name", "steady", "busybox", "sleep", "1000")
      // Learnt from a container: before, not beside what is looked for at the end.
      _ = try daemon.cgroupParent()
      var generator = SystemRandomNumberGenerator()
      for round in 0..<12 {
        let work = try (0..<4).map { index in
          try daemon.berth.start(["run", "--name", "r\(round)-\(index)", "busybox", "sh", "-c", "echo x; exit 3"])
        }
        _ = try Command(path: "/bin/sleep").run(["0.0\(Int.random(in: 1...9, using: &generator))"])
        try daemon.kill()
        for client in work { _ = try client.wait(deadline: 20) }
        try daemon.start()
        for line in try daemon.ok("ps", "-a", "--format", "{{.Names}} {{.State}}").lines
        where line.hasPrefix("r\(round)-") {
          let parts = line.split(separator: " ").map(String.init)
          try #require(parts.count == 2)
          #expect(["created", "exited", "running"].contains(parts[1]), "\(line)")
          if parts[1] == "running" { _ = try daemon.ok("wait", parts[0]) }
          let code = try daemon.ok("inspect", "-f", "{{.State.ExitCode}}", parts[0]).line
          #expect(["0", "3"].contains(code) || parts[1] == "created", "\(line): exit code \(code)")
          try daemon.ok("rm", "-f", parts[0])
        }
        #expect(try daemon.ok("ps", "--format", "{{.Names}}").line == "steady")
      }
      try daemon.ok("rm", "-f", "steady")
      try daemon.stop()
      try daemon.start()
      // Shims that are being made for later look like the daemon until they are executed.
      var left = try Inventory(of: daemon)
      for _ in 0..<50 where left.processes != 1 {
        _ = try Command(path: "/bin/sleep").run(["0.1"])
        left = try Inventory(of: daemon)
      }
      #expect(left.files.isEmpty, "\(left)")
      #expect(left.processes == 1, "the daemon alone: \(left)")
      #expect(left.cgroups.isEmpty, "\(left)")
    }
  }

  @Test("restart policies hold over the daemon's restart")
  func restartPolicy() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "-d", "--name", "always", "--restart", "always", "busybox", "sleep", "1000")
      let pid = try daemon.ok("inspect", "-f", "{{.State.Pid}}", "always").line
      try daemon.kill()
      // The container dies while nobody watches.
      let number = try #require(pid_t(pid))
      let process = try Sys.pidfdOpen(number)
      try Sys.sendSignal(pidfd: process.raw, SIGKILL)
      var poll = pollfd(fd: process.raw, events: Int16(POLLIN), revents: 0)
      _ = try Sys.retrying("poll") { CLinux.poll(&poll, 1, 10_000) }
      try daemon.start()
      let deadline = Sys.monotonicNanoseconds() + 10_000_000_000
      var state = ""
      while state != "running", Sys.monotonicNanoseconds() < deadline {
        state = try daemon.ok("inspect", "-f", "{{.State.Status}}", "always").line
      }
      #expect(state == "running")
      #expect(try daemon.ok("inspect", "-f", "{{.State.Pid}}", "always").line != pid)
      try daemon.berth.run(["run", "--name", "thrice", "--restart", "on-failure:2", "busybox", "false"]).discard()
      while try daemon.ok("inspect", "-f", "{{.State.Status}}", "thrice").line != "exited",
        Sys.monotonicNanoseconds() < deadline
      {}
      #expect(try daemon.ok("inspect", "-f", "{{.RestartCount}}", "thrice").line == "2")
    }
  }
}

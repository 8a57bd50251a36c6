import Kernel
import OCI
import Testing

@Suite("a container from outside", .serialized)
struct FirstContainerTests {
  @Test("run prints the program's output and answers with its exit status")
  func outputAndStatus() throws {
    try Daemon.with { daemon in
      #expect(try daemon.ok("run", "--rm", "busybox", "echo", "hello").out == "hello\n")
      let failed = try daemon.berth.run(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 42"])
      #expect(failed.status == 42)
      #expect(failed.out == "out\n")
      #expect(failed.err == "err\n")
      #expect(try daemon.berth.run(["run", "--rm", "--init", "busybox", "sh", "-c", "kill -9 $$"]).status == 137)
      #expect(try daemon.ok("ps", "-aq").out.isEmpty, "--rm removes")
    }
  }

  @Test("what can't start is told apart: 127 not found, 126 not executable, 125 Berth's own")
  func exitStatusesOfFailures() throws {
    try Daemon.with { daemon in
      let absent = try daemon.berth.run(["run", "--rm", "busybox", "no-such-program"])
      #expect(absent.status == 127)
      #expect(absent.err.contains("exec: \"no-such-program\": executable file not found in $PATH"))
      let denied = try daemon.berth.run(["run", "--rm", "busybox", "/etc/passwd"])
      #expect(denied.status == 126)
      #expect(denied.err.contains("permission denied"))
      let noImage = try daemon.berth.run(["run", "--rm", "--pull", "never", "no-such-image", "true"])
      #expect(noImage.status == 125)
      #expect(noImage.err.contains("No such image: no-such-image:latest"))
      let flag = try daemon.berth.run(["run", "--no-such-flag", "busybox", "true"])
      #expect(flag.status == 125)
      #expect(flag.err.contains("unknown flag: --no-such-flag"))
      #expect(try daemon.ok("ps", "-aq").out.isEmpty, "nothing is left of what did not start")
    }
  }

  @Test("standard input reaches the program, and its end too")
  func standardInput() throws {
    try Daemon.with { daemon in
      let echoed = try daemon.ok("run", "--rm", "-i", "busybox", "cat", input: "one\ntwo\n").out
      #expect(echoed == "one\ntwo\n")
      let large = String(repeating: "0123456789abcdef", count: 200_000)
      let counted = try daemon.ok("run", "--rm", "-i", "busybox", "wc", "-c", input: large).line
      #expect(counted == "3200000")
    }
  }

  @Test("a detached container is listed, inspected, asked, stopped and removed")
  func lifeOfADetachedContainer() throws {
    try Daemon.with { daemon in
      let id = try daemon.ok(
        "run", "-d", "--name", "web", "--label", "a=b", "busybox", "sh", "-c", "echo up; exec sleep 1000"
      ).line
      #expect(id.count == 64)
      #expect(try daemon.ok("ps", "--format", "{{.Names}} {{.State}} {{.Image}}").line == "web running busybox")
      #expect(try daemon.ok("ps", "-q", "--no-trunc", "--filter", "label=a=b").line == id)
      #expect(try daemon.ok("ps", "-q", "--filter", "label=a=c").line.isEmpty)
      let state = try daemon.inspect("web")["State"]
      #expect(state?["Running"] == true)
      #expect((state?["Pid"]?.intValue ?? 0) > 1)
      #expect(try daemon.ok("exec", "web", "echo", "inside").out == "inside\n")
      #expect(try daemon.berth.run(["exec", "web", "sh", "-c", "exit 7"]).status == 7)
      #expect(try daemon.berth.run(["exec", "web", "no-such"]).status == 127)
      #expect(try daemon.ok("logs", "web").out == "up\n")
      #expect(try daemon.ok("top", "web").out.contains("sleep 1000"))
      try daemon.ok("pause", "web")
      #expect(try daemon.ok("inspect", "-f", "{{.State.Status}}", "web").line == "paused")
      try daemon.ok("unpause", "web")
      try daemon.ok("rename", "web", "web2")
      try daemon.ok("kill", "-s", "KILL", "web2")
      #expect(try daemon.ok("wait", "web2").line == "137")
      try daemon.ok("start", "web2")
      try daemon.ok("restart", "-t", "0", "web2")
      #expect(try daemon.ok("inspect", "-f", "{{.State.Running}}", "web2").line == "true")
      try daemon.ok("stop", "-t", "0", "web2")
      #expect(try daemon.ok("inspect", "-f", "{{.State.ExitCode}}", "web2").line == "137")
      try daemon.ok("rm", "web2")
      let gone = try daemon.berth.run(["inspect", "web2"])
      #expect(gone.status == 1)
      #expect(gone.err.lowercased().contains("no such object: web2"))
    }
  }

  @Test("logs keep both streams, every byte, and --tail counts lines")
  func logs() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "--name", "talk", "busybox", "sh", "-c", "for i in 1 2 3; do echo o$i; echo e$i >&2; done")
      let all = try daemon.ok("logs", "talk")
      #expect(all.out == "o1\no2\no3\n")
      #expect(all.err == "e1\ne2\ne3\n")
      let tail = try daemon.ok("logs", "--tail", "2", "talk")
      #expect(tail.out.count + tail.err.count == 6)
      #expect(try daemon.ok("logs", "-t", "--tail", "1", "talk").err.contains("Z e3"))
      let long = String(repeating: "x", count: 100_000)
      try daemon.ok("run", "--name", "long", "-i", "busybox", "cat", input: long + "\n")
      #expect(try daemon.ok("logs", "long").out == long + "\n", "a line longer than a log record comes back whole")
    }
  }

  @Test("200 containers in a row leave the host as it was")
  func nothingIsLeft() throws {
    try Daemon.with { daemon in
      // The pools are filled by the first run, and the forwarder's thread begins with the first port.
      for _ in 0..<3 { try daemon.ok("run", "--rm", "-p", "18080:80", "busybox", "true") }
      let before = try settled(daemon)
      for _ in 0..<200 { try daemon.ok("run", "--rm", "-p", "18080:80", "busybox", "true") }
      let after = try settled(daemon)
      #expect(after == before, "before:\n\(before)\nafter:\n\(after)")
      // The inventory sees what is there: a container that runs is in each part of it.
      try daemon.ok("run", "-d", "--name", "seen", "busybox", "sleep", "1000")
      let during = try Inventory(of: daemon)
      #expect(!during.cgroups.isEmpty && !during.files.isEmpty, "\(during)")
      #expect(during.processes > after.processes, "\(during)")
    }
  }

  /// The inventory once it no longer changes: refilling pools and deleting behind take their time.
  private func settled(_ daemon: Daemon) throws -> Inventory {
    var last = try Inventory(of: daemon)
    var stable = 0
    // A slow machine takes namespaces apart seconds after their last process.
    for _ in 0..<200 where stable < 15 {
      _ = try Command(path: "/bin/sleep").run(["0.1"])
      let now = try Inventory(of: daemon)
      stable = now == last ? stable + 1 : 0
      last = now
    }
    return last
  }
}

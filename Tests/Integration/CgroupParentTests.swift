import CLinux
import Kernel
import OCI
import Testing

/// The group above the containers' own, of a daemon with an exec root that isn't the default.
@Suite("the containers' parent group", .serialized)
struct CgroupParentTests {
  /// Its directories, in every hierarchy that has it.
  private func directories(_ parent: String) throws -> [String] {
    String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self).split(separator: "\n").filter {
      $0.contains(" - cgroup")
    }.map { line in "\(line.split(separator: " ")[4])\(parent)" }.filter { Sys.exists($0) }
  }

  private func parent(of name: String, _ daemon: Daemon) throws -> String {
    let pid = try daemon.ok("inspect", "-f", "{{.State.Pid}}", name).line
    let text = String(decoding: try Sys.readFile("/proc/\(pid)/cgroup"), as: UTF8.self)
    let path = try #require(text.split(separator: "\n").first { $0.contains("/berth") }?.split(separator: ":").last)
    return "/" + (path.split(separator: "/").first ?? "")
  }

  /// The shims that a daemon left when it ended, those that wait too, and those that still look like the daemon on the way to their program.
  private func shims(_ daemon: Daemon) throws -> [SharedDescriptor] {
    try Sys.entries(of: "/proc").compactMap { entry in
      guard let pid = pid_t(entry.name), let line = try? Sys.readFile("/proc/\(pid)/cmdline"),
        String(decoding: line, as: UTF8.self).contains("\(daemon.folder)/")
      else { return nil }
      do throws(SyscallError) { return SharedDescriptor(try Sys.pidfdOpen(pid)) } catch { return nil }
    }
  }

  private func wait(for processes: [SharedDescriptor]) throws {
    for process in processes {
      #expect(try Sys.poll(process.raw, Int16(POLLIN), timeout: 20_000) != 0, "a shim hasn't ended")
    }
  }

  @Test("goes with the last shim after an orderly stop, and when a container outlives the daemon with that one's")
  func removed() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "-d", "--name", "first", "busybox", "sleep", "1000")
      let parent = try parent(of: "first", daemon)
      #expect(try !directories(parent).isEmpty)
      try daemon.ok("rm", "-f", "first")
      try daemon.stop()
      // After the stop: one may have been on its way.
      try wait(for: shims(daemon))
      #expect(try directories(parent) == [])

      // The next daemon makes it again; what runs keeps it.
      try daemon.start()
      for name in ["one", "two"] {
        try daemon.ok("run", "-d", "--name", name, "busybox", "sh", "-c", "trap 'exit 3' TERM; sleep 1000 & wait")
      }
      let pids = try ["one", "two"].map {
        try #require(pid_t(try daemon.ok("inspect", "-f", "{{.State.Pid}}", $0).line))
      }
      try daemon.stop()
      let all = try shims(daemon)
      #expect(try !directories(parent).isEmpty)
      for pid in pids { try Sys.kill(pid, SIGTERM) }
      try wait(for: all)
      #expect(try directories(parent) == [])
      try daemon.start()
      #expect(try daemon.ok("inspect", "-f", "{{.State.ExitCode}}", "one").line == "3")
      #expect(try daemon.ok("run", "--rm", "busybox", "echo", "again").line == "again")
    }
  }

  @Test("a container starts while the last one's shim takes the group away")
  func race() throws {
    try Daemon.with { daemon in
      for round in 0..<8 {
        try daemon.ok("run", "-d", "--name", "last", "busybox", "sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait")
        let pid = try #require(pid_t(try daemon.ok("inspect", "-f", "{{.State.Pid}}", "last").line))
        if round % 2 == 0 { try daemon.stop() } else { try daemon.kill() }
        try Sys.kill(pid, SIGTERM)
        try daemon.start()
        #expect(try daemon.ok("run", "--rm", "busybox", "echo", "\(round)").line == "\(round)")
        try daemon.ok("rm", "-f", "last")
      }
    }
  }

  @Test("a group that --cgroup-parent names stays")
  func named() throws {
    try Daemon.with { daemon in
      let parent = "/berth-test-parent-\(getpid())"
      defer { for directory in (try? directories(parent)) ?? [] { try? Sys.rmdir(directory) } }
      try daemon.ok("run", "-d", "--name", "own", "--cgroup-parent", parent, "busybox", "sleep", "1000")
      let pid = try #require(pid_t(try daemon.ok("inspect", "-f", "{{.State.Pid}}", "own").line))
      let all = try shims(daemon)
      try daemon.stop()
      try Sys.kill(pid, SIGKILL)
      try wait(for: all)
      #expect(try !directories(parent).isEmpty)
    }
  }
}

import Kernel
import OCI
import Testing

/// The unmodified docker CLI on Berth's socket; skipped, saying so, where it isn't installed.
@Suite(
  "the docker CLI on the socket", .serialized,
  .enabled(if: ProcessEnvironment.find("docker") != nil, "no docker CLI on PATH"))
struct DockerCLITests {
  private func docker(_ daemon: Daemon, _ arguments: String..., input: String? = nil) throws -> Command.Result {
    let docker = try #require(daemon.docker)
    let result = try docker.run(arguments, input: input)
    try #require(result.status == 0, "docker \(arguments.joined(separator: " ")): \(result)")
    return result
  }

  @Test("load, images, tag, inspect, rmi")
  func images() throws {
    try Daemon.with(busybox: false) { daemon in
      let loaded = try docker(daemon, "load", "-i", try BusyboxArchive.path())
      #expect(loaded.out.hasSuffix("Loaded image: busybox:latest\n"))
      #expect(try docker(daemon, "images", "--format", "{{.Repository}}:{{.Tag}}").line == "busybox:latest")
      _ = try docker(daemon, "tag", "busybox", "other:1")
      let id = try docker(daemon, "inspect", "-f", "{{.Id}}", "other:1").line
      #expect(id.hasPrefix("sha256:"))
      #expect(try docker(daemon, "rmi", "other:1").line == "Untagged: other:1")
      #expect(try docker(daemon, "rmi", "busybox").lines.contains("Deleted: \(id)"))
      #expect(try docker(daemon, "images", "-q").out.isEmpty)
    }
  }

  @Test("run, run -d, ps, logs, wait, stop, rm -f, inspect, top, stats")
  func containers() throws {
    try Daemon.with { daemon in
      #expect(try docker(daemon, "run", "--rm", "busybox", "echo", "hello").out == "hello\n")
      #expect(try docker(daemon, "run", "--rm", "-i", "busybox", "cat", input: "x").out == "x")
      _ = try docker(
        daemon, "run", "-d", "--name", "det", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; done; sleep 1000")
      #expect(try docker(daemon, "ps").lines.last?.hasSuffix("   det") == true)
      #expect(try docker(daemon, "logs", "--tail", "2", "det").out == "2\n3\n")
      #expect(try docker(daemon, "exec", "-i", "det", "cat", input: "through exec").out == "through exec")
      #expect(try docker(daemon, "top", "det").out.contains("sleep 1000"))
      let stats = try docker(daemon, "stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "det").line
      #expect(stats == "det 2" || stats == "det 1")
      #expect(
        try docker(daemon, "inspect", "-f", "{{.State.Running}} {{.HostConfig.NetworkMode}}", "det").line.hasPrefix(
          "true "))
      _ = try docker(daemon, "stop", "-t", "0", "det")
      #expect(try docker(daemon, "wait", "det").line == "137")
      _ = try docker(daemon, "rm", "-f", "det")
      #expect(try docker(daemon, "ps", "-aq").out.isEmpty)
      let failing = try #require(daemon.docker).run(["run", "--rm", "busybox", "no-such"])
      #expect(failing.status == 127)
      let version = try docker(daemon, "version", "--format", "{{.Server.APIVersion}}").line
      #expect(version == "1.55")
      #expect(try docker(daemon, "info", "--format", "{{.Containers}} {{.Images}}").line == "0 1")
    }
  }

  @Test("logs -f follows and ends with the container")
  func followedLogs() throws {
    try Daemon.with { daemon in
      _ = try docker(
        daemon, "run", "-d", "--name", "fol", "busybox", "sh", "-c",
        "for i in 1 2 3 4 5; do echo $i; usleep 100000; done"
      )
      #expect(try docker(daemon, "logs", "-f", "fol").out == "1\n2\n3\n4\n5\n")
    }
  }

  @Test("run -it, resize, exec -it, detach and attach again")
  func terminal() throws {
    try Daemon.with { daemon in
      let docker = try #require(daemon.docker)
      let shell = try TerminalSession(
        docker, ["run", "-it", "--name", "term", "busybox", "sh"], rows: 30, columns: 100)
      try shell.type("stty size; tty; echo done-$((40+2))\n")
      #expect(try shell.expect("done-42"), "\(shell.screen)")
      #expect(shell.screen.contains("30 100"), "\(shell.screen)")
      #expect(shell.screen.contains("/dev/pts/0"), "\(shell.screen)")
      let other = try TerminalSession(docker, ["exec", "-it", "term", "sh"])
      try other.type("echo in-$((1+1))-exec; exit 5\n")
      #expect(try other.expect("in-2-exec"))
      #expect(try other.end() == 5)
      shell.clear()
      try shell.type("\u{10}\u{11}")
      #expect(try shell.end() == 0, "detached by ctrl-p ctrl-q: \(shell.screen)")
      #expect(try self.docker(daemon, "inspect", "-f", "{{.State.Running}}", "term").line == "true")
      let again = try TerminalSession(docker, ["attach", "term"])
      try again.type("echo back-$((20+3)); exit 4\n")
      #expect(try again.expect("back-23"), "\(again.screen)")
      #expect(try again.end() == 4)
    }
  }

  @Test("what isn't built yet says so")
  func notImplemented() throws {
    try Daemon.with(busybox: false) { daemon in
      let docker = try #require(daemon.docker)
      let pull = try docker.run(["pull", "127.0.0.1:1/nobody"])
      #expect(pull.status == 1)
      #expect(pull.err.contains("dial tcp 127.0.0.1:1: connect: connection refused"), "\(pull)")
      let swarm = try docker.run(["service", "ls"])
      #expect(swarm.err.contains("not a swarm manager"), "\(swarm)")
    }
  }
}

import CLinux
import Kernel
import OCI
import Testing

/// `--ipc`, `--pid`, `--network` and `--uts` of another container or of the host, and what Docker says when that can't be.
@Suite("namespaces of others", .serialized)
struct SharedNamespacesTests {
  private static let own = "/dev/shm/berth-test-\(getpid())"

  @Test("an ipc namespace comes with its shared memory and message queues")
  func sharedMemory() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "-d", "--name", "donor", "--ipc", "shareable", "--shm-size", "3m", "busybox", "sh", "-c",
        "echo kept >/dev/shm/file; touch /dev/mqueue/queue; sleep 1000")
      let script =
        "cat /dev/shm/file; ls /dev/mqueue; df -k /dev/shm | awk 'NR==2{print $2}'; echo back >/dev/shm/answer; "
        + "grep ' /dev/shm ' /proc/self/mountinfo | grep -c nosuid,nodev,noexec"
      let joined = try daemon.ok("run", "--rm", "--ipc", "container:donor", "busybox", "sh", "-c", script)
      #expect(joined.lines == ["kept", "queue", "3072", "1"], "\(joined)")
      #expect(try daemon.ok("exec", "donor", "cat", "/dev/shm/answer").line == "back")
      // Who joins a joiner joins whom that one joined.
      try daemon.ok("run", "-d", "--name", "second", "--ipc", "container:donor", "busybox", "sleep", "1000")
      let third = try daemon.ok("run", "--rm", "--ipc", "container:second", "busybox", "cat", "/dev/shm/file")
      #expect(third.line == "kept")
      // The user's own mount there is the user's.
      let own = try daemon.ok(
        "run", "--rm", "--ipc", "container:donor", "--tmpfs", "/dev/shm", "busybox", "ls", "/dev/shm")
      #expect(own.out.isEmpty, "\(own)")
      // The donor's end leaves the others what they have.
      try daemon.ok("rm", "-f", "donor")
      #expect(try daemon.ok("exec", "second", "cat", "/dev/shm/file").line == "kept")
    }
  }

  @Test("the host's ipc namespace comes with the host's /dev/shm, none has none, private is one's own")
  func modes() throws {
    try Daemon.with { daemon in
      try Sys.replaceFile(Self.own, with: Array("host\n".utf8), durable: false)
      defer { try? Sys.unlink(Self.own) }
      #expect(try daemon.ok("run", "--rm", "--ipc", "host", "busybox", "cat", Self.own).line == "host")
      let none = try daemon.ok(
        "run", "--rm", "--ipc", "none", "busybox", "sh", "-c",
        "grep -c ' /dev/shm ' /proc/mounts; ls -d /dev/shm 2>&1; true")
      #expect(none.lines == ["0", "ls: /dev/shm: No such file or directory"], "\(none)")
      let host = try Sys.readlink("/proc/self/ns/ipc")
      for mode in ["none", "private", "shareable"] {
        let inside = try daemon.ok("run", "--rm", "--ipc", mode, "busybox", "readlink", "/proc/self/ns/ipc").line
        #expect(inside != host, "\(mode)")
        #expect(try daemon.ok("create", "--ipc", mode, "--name", "of-\(mode)", "busybox").status == 0)
        #expect(try daemon.ok("inspect", "-f", "{{.HostConfig.IpcMode}}", "of-\(mode)").line == mode)
      }
      try daemon.ok("create", "--name", "unsaid", "busybox")
      #expect(try daemon.ok("inspect", "-f", "{{.HostConfig.IpcMode}}", "unsaid").line == "private")
    }
  }

  @Test("a link or a file system of the donor's in place of its /dev/shm isn't followed")
  func hostileDonor() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "-d", "--name", "donor", "--ipc", "shareable", "--privileged", "busybox", "sh", "-c",
        "umount /dev/shm && rmdir /dev/shm && ln -s /proc /dev/shm && sleep 1000")
      _ = try daemon.ok("exec", "donor", "sh", "-c", "until [ -L /dev/shm ]; do usleep 1000; done")
      let link = try daemon.berth.run(["run", "--rm", "--ipc", "container:donor", "busybox", "ls", "/dev/shm"])
      #expect(link.status == 125 && link.err.contains("share /dev/shm of process"), "\(link)")
      try daemon.ok("exec", "donor", "sh", "-c", "rm /dev/shm; mkdir /dev/shm; mount -t proc proc /dev/shm")
      let proc = try daemon.berth.run(["run", "--rm", "--ipc", "container:donor", "busybox", "ls", "/dev/shm"])
      #expect(proc.status == 125 && proc.err.contains("not a tmpfs"), "\(proc)")
      // The shim that looked into the donor's namespace is back in its own.
      #expect(try daemon.ok("run", "--rm", "busybox", "echo", "fine").line == "fine")
    }
  }

  @Test("what can't be joined is refused in Docker's words")
  func refusals() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "-d", "--name", "alone", "busybox", "sleep", "1000")
      try daemon.ok("create", "--name", "idle", "--ipc", "shareable", "busybox")
      let alone = try daemon.ok("inspect", "-f", "{{.Id}}", "alone").line
      let idle = try daemon.ok("inspect", "-f", "{{.Id}}", "idle").line
      func refused(_ flags: String, _ text: String, _ location: SourceLocation = #_sourceLocation) throws {
        let words = flags.split(separator: " ").map(String.init)
        let result = try daemon.berth.run(["run", "--rm"] + words + ["busybox", "true"])
        #expect(result.status == 125, "\(flags)", sourceLocation: location)
        #expect(result.err.contains("Error response from daemon: \(text)"), "\(result)", sourceLocation: location)
      }
      try refused(
        "--ipc container:alone",
        "failed to join IPC namespace: container \(alone): non-shareable IPC (hint: use IpcMode:shareable for the donor "
          + "container)")
      try refused("--ipc container:idle", "failed to join IPC namespace: container \(idle) is not running")
      try refused("--ipc container:nobody", "failed to join IPC namespace: No such container: nobody")
      try refused("--pid container:idle", "failed to join PID namespace: container \(idle) is not running")
      try refused("--pid container:nobody", "failed to join PID namespace: No such container: nobody")
      try refused(
        "--network container:idle",
        "cannot join network namespace of a non running container: container idle is created")
      try refused(
        "--network container:nobody", "joining network namespace of container: No such container: nobody")
      try refused("--ipc wrong", "invalid IPC mode: wrong")
      try refused("--uts host --hostname box", "conflicting options: hostname and the UTS mode")
      // A mount of the donor's own at /dev/shm is nothing to share.
      try daemon.ok(
        "run", "-d", "--name", "mounted", "--ipc", "shareable", "--tmpfs", "/dev/shm", "busybox", "sleep", "1000")
      let result = try daemon.berth.run(["run", "--rm", "--ipc", "container:mounted", "busybox", "true"])
      #expect(result.err.contains("non-shareable IPC"), "\(result)")
    }
  }

  @Test("the daemon's defaults: --default-ipc-mode and --default-shm-size")
  func defaults() throws {
    try Daemon.with(flags: ["--default-ipc-mode", "shareable", "--default-shm-size", "2m"]) { daemon in
      try daemon.ok("run", "-d", "--name", "donor", "busybox", "sh", "-c", "echo x >/dev/shm/x; sleep 1000")
      let joined = try daemon.ok(
        "run", "--rm", "--ipc", "container:donor", "busybox", "sh", "-c", "cat /dev/shm/x; df -k /dev/shm | tail -1")
      #expect(joined.lines.first == "x" && joined.out.contains(" 2048 "), "\(joined)")
    }
    let wrong = try Command(path: "\(Daemon.bin)/berthd").run(["--default-ipc-mode", "host"])
    #expect(wrong.status == 1)
    #expect(wrong.err.contains("IPC mode \"host\" is not supported as default value"), "\(wrong)")
  }

  @Test("the docker CLI joins, and shows what it was told")
  func docker() throws {
    guard ProcessEnvironment.find("docker") != nil else { return print("skipped: no docker CLI on PATH") }
    try Daemon.with { daemon in
      let docker = try #require(daemon.docker)
      let donor = try docker.run(["run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sleep", "1000"])
      try #require(donor.status == 0, "\(donor)")
      _ = try docker.run(["exec", "donor", "sh", "-c", "echo kept >/dev/shm/file"])
      let result = try docker.run([
        "run", "--name", "joiner", "--ipc", "container:donor", "--pid", "container:donor", "busybox", "sh", "-c",
        "cat /dev/shm/file; tr '\\0' ' ' </proc/1/cmdline",
      ])
      #expect(result.lines == ["kept", "sleep 1000 "], "\(result)")
      let shown = try docker.run(["inspect", "-f", "{{.HostConfig.IpcMode}}", "joiner"]).line
      #expect(shown == "container:\(donor.line)")
    }
  }
}

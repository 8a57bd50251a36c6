import CLinux
import Kernel
import OCI
import Testing

/// `--userns-remap` and `--userns`: containers whose users aren't the host's. The daemon reads files of the test's own in place of `/etc/passwd`,
/// `/etc/group`, `/etc/subuid` and `/etc/subgid`.
@Suite("user namespaces of containers", .serialized)
struct UserNamespaceTests {
  private static let etc = [
    "passwd": "root:x:0:0:root:/root:/bin/sh\ndockremap:x:997:996::/:/bin/false\nother:x:500:500::/:/bin/false\n",
    "group": "root:x:0:\ndockremap:x:996:\nother:x:500:\n",
    // Two ranges, one by name and one by number, not in their order.
    "subuid": "# ranges\n997:300000:5000\ndockremap:200000:1000\nother:400000:65536\n",
    "subgid": "dockremap:210000:70000\nother:400000:65536\n",
  ]

  private func with(_ flags: [String] = ["--userns-remap", "default"], _ body: (Daemon) throws -> Void) throws {
    try Daemon.with(flags: flags, etc: Self.etc, body)
  }

  @Test("ids, files and devices of a remapped container")
  func remapped() throws {
    try with { daemon in
      let script = """
        cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; id -u
        stat -c '%u:%g' / /bin/busybox /etc/hosts /etc/resolv.conf /dev/null /dev/pts /sys/fs/cgroup
        touch /made && stat -c '%u:%g' /made && chown 1500:6 /made && stat -c '%u:%g' /made
        echo x >>/etc/hosts && echo written; echo x >/dev/null && echo null
        (echo x >/proc/sys/kernel/domainname) 2>/dev/null && echo bad
        ls /sys/class/net
        """
      let result = try daemon.ok("run", "--name", "first", "busybox", "sh", "-c", script)
      #expect(
        result.lines == [
          " 0 200000 1000", " 1000 300000 5000", " 0 210000 70000", "0", "0:0", "0:0", "0:0", "0:0", "65534:65534",
          "0:0",
          "0:0", "0:0", "1500:6", "written", "null", "eth0", "lo",
        ], "\(result)")
      // On the disk the files have the ids that they have inside.
      let id = try daemon.ok("inspect", "-f", "{{.Id}}", "first").line
      let made = try Sys.status("\(daemon.folder)/data/snapshots/\(id)/upper/made")
      #expect([made.st_uid, made.st_gid] == [1500, 6])
      let info = try daemon.ok("info", "-f", "{{.SecurityOptions}}")
      #expect(info.out.contains("name=userns"), "\(info)")
      // From the host, its processes are the range's.
      try daemon.ok("run", "-d", "--name", "lasting", "-u", "1200", "busybox", "sleep", "1000")
      let pid = try daemon.ok("inspect", "-f", "{{.State.Pid}}", "lasting").line
      #expect(try Sys.status("/proc/\(pid)").st_uid == 300_200)
      #expect(try daemon.ok("exec", "lasting", "id", "-u").line == "1200")
      #expect(
        try daemon.ok("exec", "-u", "0", "lasting", "sh", "-c", "id -u; touch /by-exec; stat -c %u /by-exec").lines == [
          "0", "0",
        ])
    }
  }

  @Test("terminals and streams belong to the container's user, also of an exec; an init; and nothing is left")
  func streams() throws {
    try with { daemon in
      let script = "echo out >/dev/stdout; echo err >/dev/stderr; stat -Lc %u /dev/stdout"
      for user in ["0", "1000"] {
        let result = try daemon.ok("run", "--rm", "-u", user, "busybox", "sh", "-c", script)
        #expect(result.lines == ["out", user] && result.err == "err\n", "\(result)")
      }
      try daemon.ok("run", "-d", "--name", "lasting", "--init", "busybox", "sleep", "1000")
      let exec = try daemon.ok("exec", "-u", "1000", "lasting", "sh", "-c", script)
      #expect(exec.lines == ["out", "1000"] && exec.err == "err\n", "\(exec)")
      let session = try TerminalSession(
        daemon.berth,
        ["run", "--rm", "-it", "-u", "1000", "busybox", "sh", "-c", "tty; stat -c %u /dev/pts/0 /dev/console"])
      #expect(try session.end() == 0)
      #expect(session.screen.contains("/dev/pts/0") && session.screen.contains("1000\r\n1000"), "\(session.screen)")
      func counts() throws -> [Int] {
        let pid = try #require(daemon.process?.pid)
        return [
          try Sys.entries(of: "/proc/\(pid)/fd").count, try Sys.entries(of: "\(daemon.folder)/run/containers").count,
          try Sys.entries(of: "\(daemon.folder)/data/containers").count,
        ]
      }
      for _ in 0..<4 { try daemon.ok("run", "--rm", "busybox", "true") }
      let before = try counts()
      for _ in 0..<15 { try daemon.ok("run", "--rm", "busybox", "true") }
      let after = try counts()
      // What has ended is removed behind: one or two may still be on their way.
      #expect(zip(after, before).allSatisfy { $0 <= $1 + 8 }, "\(before) \(after)")
    }
  }

  @Test("the network is the user namespace's own: sysctls, ping and addresses; published ports")
  func network() throws {
    try with { daemon in
      let script = """
        ip link set lo down && ip link set lo up && echo admin
        ping -c 1 -w 2 127.0.0.1 >/dev/null && echo ping; ip -4 addr show eth0 | grep -c inet
        """
      let result = try daemon.ok("run", "--rm", "--cap-add", "NET_ADMIN", "busybox", "sh", "-c", script)
      #expect(result.lines == ["admin", "ping", "1"], "\(result)")
      let sysctl = try daemon.ok(
        "run", "--rm", "--sysctl", "net.ipv4.ip_forward=0", "busybox", "cat", "/proc/sys/net/ipv4/ip_forward",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start")
      #expect(sysctl.lines == ["0", "0"], "\(sysctl)")
      // Ordinary users may ping: all groups that there are.
      let ping = try daemon.ok("run", "--rm", "busybox", "cat", "/proc/sys/net/ipv4/ping_group_range")
      #expect(ping.line == "0\t69999", "\(ping)")
      // A network of one's own with names, and a published port.
      try daemon.ok("network", "create", "own")
      try daemon.ok(
        "run", "-d", "--name", "web", "--network", "own", "-p", "127.0.0.1:0:80", "busybox", "sh", "-c",
        "mkdir /w; echo page >/w/index.html; httpd -h /w; touch /up; sleep 1000")
      try daemon.ok("exec", "web", "sh", "-c", "until [ -e /up ]; do usleep 1000; done")
      let page = try daemon.ok("run", "--rm", "--network", "own", "busybox", "wget", "-qO-", "http://web/")
      #expect(page.line == "page", "\(page)")
      let port = try daemon.ok("port", "web", "80/tcp").line
      let busybox = try #require(ProcessEnvironment.find("busybox"))
      #expect(try Command(path: busybox).run(["wget", "-qO-", "http://\(port)/"]).line == "page")
      try daemon.ok("rm", "-f", "web")
      try daemon.ok("network", "rm", "own")
      let none = try daemon.ok("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net")
      #expect(none.line == "lo")
    }
  }

  @Test("volumes keep their ids, binds show the host's, and one with idmap is the container's")
  func mounts() throws {
    try with { daemon in
      let source = "\(daemon.folder)/shared"
      try Sys.mkdir(source)
      let inside = "stat -c '%u:%g' /data; touch /data/new && stat -c '%u:%g' /data/new"
      let volume = try daemon.ok("run", "--rm", "-v", "vol:/data", "busybox", "sh", "-c", inside)
      #expect(volume.lines == ["0:0", "0:0"], "\(volume)")
      let file = try Sys.status("\(daemon.folder)/data/volumes/vol/_data/new")
      #expect(file.st_uid == 0)
      // Shared with a container of the host's users.
      let host = try daemon.ok(
        "run", "--rm", "--userns", "host", "-v", "vol:/data", "busybox", "stat", "-c", "%u", "/data/new")
      #expect(host.line == "0")
      let bind = try daemon.berth.run(["run", "--rm", "-v", "\(source):/data", "busybox", "sh", "-c", inside])
      #expect(bind.out == "65534:65534\n" && bind.err.contains("Permission denied"), "\(bind)")
      let mapped = try daemon.ok(
        "run", "--rm", "--mount", "type=bind,src=\(source),dst=/data,idmap", "busybox", "sh", "-c", inside)
      #expect(mapped.lines == ["0:0", "0:0"], "\(mapped)")
      #expect(try Sys.status("\(source)/new").st_uid == 0)
      let tmpfs = try daemon.ok("run", "--rm", "--tmpfs", "/data", "busybox", "sh", "-c", inside)
      #expect(tmpfs.lines == ["0:0", "0:0"], "\(tmpfs)")
    }
  }

  @Test("cp, archive, export, commit and diff have the container's ids, running or not")
  func files() throws {
    try with { daemon in
      let file = "\(daemon.folder)/file"
      try Sys.replaceFile(file, with: Array("content\n".utf8), durable: false)
      try daemon.ok(
        "run", "-d", "--name", "files", "busybox", "sh", "-c", "echo own >/own; chown 1500:6 /own; sleep 1000")
      try daemon.ok(
        "exec", "files", "sh", "-c", "until [ -s /own ] && [ $(stat -c %u /own) = 1500 ]; do usleep 1000; done")
      for state in ["running", "stopped"] {
        try daemon.ok("cp", file, "files:/copied-\(state)")
        let tar = "\(daemon.folder)/\(state).tar"
        try daemon.ok("cp", "files:/own", "\(daemon.folder)/own-\(state)")
        try daemon.ok("export", "-o", tar, "files")
        let listed = try Command(path: "/usr/bin/tar").run(["-tvf", tar, "--numeric-owner", "own", "copied-\(state)"])
        #expect(listed.out.contains(" 1500/6 ") && listed.out.contains(" 0/0 "), "\(state): \(listed)")
        if state == "running" {
          let inside = try daemon.ok("exec", "files", "sh", "-c", "stat -c %u:%g /copied-running; cat /copied-running")
          #expect(inside.lines == ["0:0", "content"], "\(inside)")
          try daemon.ok("stop", "-t", "0", "files")
        }
      }
      #expect(try daemon.ok("diff", "files").out.contains("A /own"))
      try daemon.ok("commit", "files", "made")
      let made = try daemon.ok("run", "--rm", "made", "stat", "-c", "%u:%g", "/own", "/copied-stopped")
      #expect(made.lines == ["1500:6", "0:0"], "\(made)")
      let host = try daemon.ok("run", "--rm", "--userns", "host", "made", "stat", "-c", "%u:%g", "/own")
      #expect(host.line == "1500:6")
    }
  }

  @Test("namespaces are shared between remapped containers, through a restart of the daemon too")
  func shared() throws {
    try with { daemon in
      try daemon.ok(
        "run", "-d", "--name", "donor", "--ipc", "shareable", "busybox", "sh", "-c", "echo shm >/dev/shm/x; sleep 1000")
      try daemon.stop()
      try daemon.start()
      for flag in ["--network", "--pid", "--ipc"] {
        let mine = try daemon.ok("exec", "donor", "readlink", "/proc/self/ns/user").line
        let other = try daemon.ok("run", "--rm", flag, "container:donor", "busybox", "readlink", "/proc/self/ns/user")
          .line
        #expect(mine == other, "\(flag)")
      }
      #expect(try daemon.ok("run", "--rm", "--ipc", "container:donor", "busybox", "cat", "/dev/shm/x").line == "shm")
      #expect(try daemon.ok("run", "--rm", "busybox", "readlink", "/proc/self/ns/user").line.hasPrefix("user:"))
      try daemon.ok("run", "-d", "--name", "hosts", "--userns", "host", "busybox", "sleep", "1000")
      let refused = try daemon.berth.run(["run", "--rm", "--pid", "container:hosts", "busybox", "true"])
      #expect(refused.err.contains("which has the host's users: use --userns=host"), "\(refused)")
    }
  }

  @Test("--userns host and private; what Docker refuses is refused in its words")
  func modes() throws {
    try with { daemon in
      let own = try Sys.readlink("/proc/self/ns/user")
      #expect(try daemon.ok("run", "--rm", "--userns", "host", "busybox", "readlink", "/proc/self/ns/user").line == own)
      for (flags, text) in [
        (
          ["--privileged"],
          "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode"
        ),
        (["--network", "host"], "cannot share the host's network namespace when user namespaces are enabled"),
        (["--pid", "host"], "cannot share the host PID namespace when user namespaces are enabled"),
      ] {
        let refused = try daemon.berth.run(["run", "--rm"] + flags + ["busybox", "true"])
        #expect(refused.status == 125 && refused.err.contains(text), "\(refused)")
        #expect(try daemon.berth.run(["run", "--rm", "--userns", "host"] + flags + ["busybox", "true"]).status == 0)
      }
    }
    // Without --userns-remap a container may have it alone.
    try with([]) { daemon in
      let host = try daemon.ok("run", "--rm", "busybox", "cat", "/proc/self/uid_map").line
      #expect(host.split(separator: " ") == ["0", "0", "4294967295"])
      for mode in ["private", "auto"] {
        let result = try daemon.ok(
          "run", "--rm", "--userns", mode, "busybox", "sh", "-c", "head -1 /proc/self/uid_map; stat -c %u /bin/busybox")
        #expect(
          result.lines.first?.split(separator: " ") == ["0", "200000", "1000"] && result.lines.last == "0", "\(result)")
      }
      let privileged = try daemon.berth.run(["run", "--rm", "--userns", "private", "--privileged", "busybox", "true"])
      #expect(privileged.err.contains("privileged mode is incompatible with user namespaces"), "\(privileged)")
      #expect(!(try daemon.ok("info", "-f", "{{.SecurityOptions}}").out.contains("userns")))
    }
  }

  @Test("what is missing is told with what to do")
  func advice() throws {
    for (value, etc, text) in [
      ("default", ["passwd": "root:x:0:0::/:/bin/sh\n"], "useradd --system --user-group --no-create-home dockremap"),
      ("other", ["subuid": ""], "/etc/subuid has no range of other: add a line such as \"other:100000:65536\""),
      ("other", ["subuid": "other:1:x\n"], "/etc/subuid: \"other:1:x\" isn't owner:start:count"),
      ("nobody-here", [:], "Error during uid lookup for \"nobody-here\": no such user"),
      ("4711", [:], "Uid 4711 has no entry in /etc/passwd"),
      ("other:4711", [:], "Gid 4711 has no entry in /etc/group"),
      ("a:b:c", [:], "Invalid user/group specification in --userns-remap: \"a:b:c\""),
    ] {
      let files = Self.etc.merging(etc) { $1 }
      let result = try Daemon.refusal(flags: ["--userns-remap", value], etc: files)
      #expect(result.status == 1 && result.err.contains(text), "\(value): \(result)")
    }
    try Daemon.with(etc: Self.etc.merging(["subuid": ""]) { $1 }) { daemon in
      let result = try daemon.berth.run(["run", "--rm", "--userns", "private", "busybox", "true"])
      #expect(
        result.status == 125 && result.err.contains("add a line such as \"containers:100000:65536\""), "\(result)")
    }
  }
}

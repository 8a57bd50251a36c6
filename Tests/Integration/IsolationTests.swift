import Kernel
import OCI
import Testing

/// What a program inside sees: a table of flags, a probe in the container, and the answer it must give.
@Suite("isolation, as a program inside sees it", .serialized)
struct IsolationTests {
  struct Probe: Sendable, CustomStringConvertible {
    let flags: [String]
    let script: String
    let answer: String
    init(_ flags: String, _ script: String, _ answer: String) {
      self.flags = flags.split(separator: " ").map(String.init)
      self.script = script
      self.answer = answer
    }
    var description: String { "[\(flags.joined(separator: " "))] \(script)" }
  }

  static let probes: [Probe] = [
    // Capabilities: Docker's fourteen, in bounding, effective and permitted; none inheritable.
    Probe(
      "", "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | awk '{printf \"%s \", $2}'",
      "0000000000000000 00000000a80425fb 00000000a80425fb 00000000a80425fb 0000000000000000 "),
    Probe("--cap-drop ALL", "awk '/^CapEff/{print $2}' /proc/self/status", "0000000000000000"),
    Probe("--cap-drop ALL --cap-add NET_ADMIN", "awk '/^CapEff/{print $2}' /proc/self/status", "0000000000001000"),
    Probe("--cap-add SYS_TIME", "awk '/^CapEff/{print $2}' /proc/self/status", "00000000aa0425fb"),
    Probe(
      "-u 1000", "awk '/^CapEff/{print $2}' /proc/self/status; awk '/^CapBnd/{print $2}' /proc/self/status",
      "0000000000000000\n00000000a80425fb"),
    // Seccomp and no-new-privileges
    Probe("", "awk '/^(Seccomp|NoNewPrivs):/{printf \"%s \", $2}' /proc/self/status", "0 2 "),
    Probe("--security-opt seccomp=unconfined", "awk '/^Seccomp:/{print $2}' /proc/self/status", "0"),
    Probe("--security-opt no-new-privileges", "awk '/^NoNewPrivs:/{print $2}' /proc/self/status", "1"),
    Probe("", "unshare -U true 2>/dev/null && echo made || echo refused", "refused"),
    // Namespaces
    Probe("", "echo $$", "1"),
    Probe("--init", "awk '/^PPid/{print $2}' /proc/self/status", "1"),
    Probe("--hostname box", "hostname; cat /etc/hostname", "box\nbox"),
    Probe("--network none", "ls /sys/class/net", "lo"),
    Probe("--cgroupns private", "cat /proc/self/cgroup | grep -c -v ':/$'", "0"),
    // Masked and read-only
    Probe("", "cat /proc/kcore | wc -c; cat /proc/keys | wc -c; ls /sys/firmware | wc -l", "0\n0\n0"),
    Probe("", "echo 1 >/proc/sys/kernel/domainname 2>/dev/null && echo written || echo refused", "refused"),
    Probe("", "mkdir /sys/x 2>/dev/null && echo made || echo refused", "refused"),
    Probe("", "echo b >/proc/sysrq-trigger 2>/dev/null && echo written || echo refused", "refused"),
    Probe("--privileged", "echo x >/proc/sys/kernel/domainname && cat /proc/sys/kernel/domainname", "x"),
    Probe("--privileged", "awk '/^Seccomp:/{print $2}' /proc/self/status", "0"),
    // Devices and mounts
    Probe(
      "", "ls /dev | grep -v core | tr '\\n' ' '",
      "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
    ),
    Probe("", "stat -c '%t:%T %a' /dev/null", "1:3 666"),
    Probe("", "mknod /tmp/mem c 1 1 && cat /tmp/mem 2>&1 | grep -c 'Operation not permitted'", "1"),
    Probe("", "df -k /dev/shm | awk 'NR==2{print $2}'", "65536"),
    Probe("--shm-size 1m", "df -k /dev/shm | awk 'NR==2{print $2}'", "1024"),
    Probe("", "grep -c ' /dev/mqueue ' /proc/self/mountinfo", "1"),
    Probe("--read-only", "touch /x 2>&1 | grep -c 'Read-only file system'", "1"),
    Probe("--tmpfs /scratch:size=1m", "df -k /scratch | awk 'NR==2{print $2}'", "1024"),
    // Users
    Probe("-u nobody", "id -u; id -g; echo $HOME", "65534\n65534\n/home"),
    Probe("-u 12:34", "id -u; id -g", "12\n34"),
    Probe("-u 12 --group-add 99", "id -G", "0 99"),
    Probe("-w /a/new/folder", "pwd", "/a/new/folder"),
    // Limits
    Probe("--ulimit nofile=64:128", "ulimit -n; ulimit -Hn", "64\n128"),
    Probe("--sysctl net.ipv4.ip_forward=1", "cat /proc/sys/net/ipv4/ip_forward", "1"),
    Probe("--oom-score-adj 500", "cat /proc/self/oom_score_adj", "500"),
    // Environment
    Probe(
      "-e A=1 -e B", "echo $A; env | grep -c '^B='; echo $PATH",
      "1\n0\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    Probe("", "ls -l /proc/self/fd | grep -c -- '->'", "3"),
    Probe("--hostname box --add-host db:10.9.8.7", "grep -c '10.9.8.7[[:space:]]*db' /etc/hosts", "1"),
  ]

  @Test("each probe answers as it must")
  func table() throws {
    try Daemon.with { daemon in
      for probe in Self.probes {
        let result = try daemon.berth.run(["run", "--rm"] + probe.flags + ["busybox", "sh", "-c", probe.script])
        #expect(result.line == probe.answer, "\(probe): \(result)")
      }
    }
  }

  @Test("namespaces are shared with a container when asked")
  func sharedNamespaces() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "-d", "--name", "first", "--ipc", "shareable", "busybox", "sleep", "1000")
      for (flag, name) in [("--network", "net"), ("--pid", "pid"), ("--ipc", "ipc")] {
        let mine = try daemon.ok("exec", "first", "readlink", "/proc/self/ns/\(name)").line
        let other = try daemon.ok(
          "run", "--rm", flag, "container:first", "busybox", "readlink", "/proc/self/ns/\(name)"
        ).line
        #expect(mine == other, "\(flag) container:first")
        let apart = try daemon.ok("run", "--rm", "busybox", "readlink", "/proc/self/ns/\(name)").line
        #expect(mine != apart)
        let host = try Sys.readlink("/proc/self/ns/\(name)")
        #expect(try daemon.ok("run", "--rm", flag, "host", "busybox", "readlink", "/proc/self/ns/\(name)").line == host)
      }
      let host = try Sys.readlink("/proc/self/ns/uts")
      #expect(try daemon.ok("run", "--rm", "--uts", "host", "busybox", "readlink", "/proc/self/ns/uts").line == host)
    }
  }

  @Test("a memory hog is killed, and inspect says so")
  func memoryLimit() throws {
    try Daemon.with { daemon in
      let hog = try daemon.berth.run([
        "run", "--name", "hog", "-m", "16m", "--memory-swap", "16m", "busybox", "sh", "-c", "tail -c 200m /dev/zero",
      ])
      #expect(hog.status == 137)
      #expect(try daemon.ok("inspect", "-f", "{{.State.OOMKilled}}", "hog").line == "true")
      try daemon.ok("run", "--name", "calm", "-m", "64m", "busybox", "true")
      #expect(try daemon.ok("inspect", "-f", "{{.State.OOMKilled}}", "calm").line == "false")
    }
  }

  @Test("a fork bomb stops at --pids-limit")
  func pidsLimit() throws {
    try Daemon.with { daemon in
      let script = "i=0; while [ $i -lt 40 ]; do sleep 5 & i=$((i+1)); done; echo all-forked"
      let bomb = try daemon.berth.run(["run", "--rm", "--pids-limit", "10", "busybox", "sh", "-c", script])
      #expect(bomb.err.contains("fork") && !bomb.out.contains("all-forked"), "\(bomb)")
    }
  }

  @Test("a bind mount shows the host's file, and :ro protects it")
  func bindMount() throws {
    try Daemon.with { daemon in
      let folder = "\(daemon.folder)/shared"
      try Sys.mkdir(folder)
      try Sys.replaceFile("\(folder)/file", with: Array("content\n".utf8), durable: false)
      #expect(try daemon.ok("run", "--rm", "-v", "\(folder):/data", "busybox", "cat", "/data/file").line == "content")
      let refused = try daemon.berth.run(["run", "--rm", "-v", "\(folder):/data:ro", "busybox", "touch", "/data/new"])
      #expect(refused.status == 1)
      #expect(refused.err.contains("Read-only file system"))
      try daemon.ok("run", "--rm", "-v", "\(folder):/data", "busybox", "touch", "/data/new")
      #expect(Sys.exists("\(folder)/new"))
    }
  }
}

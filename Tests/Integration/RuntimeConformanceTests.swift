import CLinux
import Kernel
import OCI
import Testing

/// The specification's fields and commands: a table, each row run by berth-runtime, and by crun and runc as the references where they
/// are installed. A row that a reference fails must say why the specification sides with us.
@Suite("conformance of the runtime", .serialized)
struct RuntimeConformanceTests {
  struct Case: Sendable, CustomStringConvertible {
    let description: String
    let script: String
    /// Standard output without the last line break; `nil`: isn't looked at.
    let answer: String?
    var status: Int32 = 0
    /// Part of what is said on standard error, by berth-runtime.
    var says: String?
    /// Runtimes that differ, with the reason.
    var differs: [String: String] = [:]
    let change: @Sendable (inout RuntimeSpec) -> Void

    init(
      _ description: String, _ script: String, _ answer: String?, status: Int32 = 0, says: String? = nil,
      differs: [String: String] = [:], _ change: @escaping @Sendable (inout RuntimeSpec) -> Void = { _ in }
    ) {
      self.description = description
      self.script = script
      self.answer = answer
      self.status = status
      self.says = says
      self.differs = differs
      self.change = change
    }
  }

  static func capabilities(_ names: [String], ambient: Bool = false) -> RuntimeSpec.Capabilities {
    var sets = RuntimeSpec.Capabilities()
    (sets.bounding, sets.effective, sets.permitted) = (names, names, names)
    if ambient { (sets.inheritable, sets.ambient) = (names, names) }
    return sets
  }

  static let cases: [Case] = [
    Case("exit status", "exit 7", "", status: 7),
    Case("end by a signal", "kill -9 $$", "", status: 137) { spec in
      // As the first process of a namespace it couldn't kill itself.
      spec.linux.namespaces.removeAll { $0.kind == .pid }
    },
    Case("arguments", "", "a b|c") { spec in spec.process?.args = ["/bin/printf", "%s|%s", "a b", "c"] },
    Case("program by PATH", "", "found") { spec in spec.process?.args = ["echo", "found"] },
    Case("environment", "echo $A; env | grep -c =", "x\n3") { spec in
      spec.process?.env = ["PATH=/bin", "A=x", "HOME=/"]
      spec.process?.cwd = "/"
      // The shell adds PWD, SHLVL and OLDPWD of its own: env -i's count is of what it was given.
      spec.process?.args = ["/bin/busybox", "sh", "-c", "echo $A; tr '\\0' '\\n' </proc/$$/environ | grep -c ="]
    },
    Case("working directory", "pwd", "/tmp") { spec in spec.process?.cwd = "/tmp" },
    Case("user", "id -u; id -g; id -G", "12\n34\n34 56") { spec in
      spec.process?.user.uid = 12
      spec.process?.user.gid = 34
      spec.process?.user.additionalGids = [56]
    },
    Case("umask", "umask", "0027") { spec in spec.process?.user.umask = 0o027 },
    Case(
      "capabilities", "awk '/^Cap/{print $2}' /proc/self/status | tr '\\n' ' '",
      "0000000000000000 0000000000000420 0000000000000420 0000000000000420 0000000000000000 "
    ) { spec in spec.process?.capabilities = capabilities(["CAP_NET_BIND_SERVICE", "CAP_KILL"].map { $0 }) },
    Case(
      "ambient capabilities", "awk '/^Cap(Amb|Eff)/{print $2}' /proc/self/status | tr '\\n' ' '",
      "0000000000000400 0000000000000400 "
    ) { spec in
      spec.process?.user.uid = 1000
      spec.process?.capabilities = capabilities(["CAP_NET_BIND_SERVICE"], ambient: true)
    },
    Case("no capabilities", "awk '/^CapBnd/{print $2}' /proc/self/status", "0000000000000000") { spec in
      spec.process?.capabilities = RuntimeSpec.Capabilities()
    },
    Case("rlimits", "ulimit -n; ulimit -Hn", "100\n200") { spec in
      spec.process?.rlimits = [RuntimeSpec.Rlimit(type: "RLIMIT_NOFILE", soft: 100, hard: 200)]
    },
    Case("no_new_privs", "awk '/^NoNewPrivs/{print $2}' /proc/self/status", "1"),
    Case("without no_new_privs", "awk '/^NoNewPrivs/{print $2}' /proc/self/status", "0") { spec in
      spec.process?.noNewPrivileges = false
    },
    Case("oom_score_adj", "cat /proc/self/oom_score_adj", "321") { spec in spec.process?.oomScoreAdj = 321 },
    Case("read-only root", "touch /x 2>/dev/null || echo refused", "refused"),
    Case("writable root", "touch /x && rm /x && echo written", "written") { spec in spec.root?.readonly = false },
    Case(
      "host name", "hostname; cat /proc/sys/kernel/domainname", "box\nexample.org",
      differs: ["runc": "domainname came with version 1.2"]
    ) { spec in
      spec.hostname = "box"
      spec.domainname = "example.org"
    },
    Case("pid namespace", "echo $$", "1"),
    Case("network namespace", "ls /sys/class/net", "lo"),
    Case("tmpfs", "df -k /data | awk 'NR==2{print $2}'; stat -c %a /data", "1024\n711") { spec in
      spec.mounts.append(
        RuntimeSpec.Mount(destination: "/data", type: "tmpfs", source: "tmpfs", options: ["size=1m", "mode=711"]))
    },
    Case("bind", "cat /data/hello; touch /data/x 2>/dev/null || echo refused", "hello\nrefused") { spec in
      spec.mounts.append(
        RuntimeSpec.Mount(destination: "/data", type: "bind", source: "bound", options: ["rbind", "ro"]))
    },
    Case("bind, read-only with all below", "touch /data/below/x 2>/dev/null || echo refused", "refused") { spec in
      spec.mounts.append(
        RuntimeSpec.Mount(destination: "/data", type: "bind", source: "bound", options: ["rbind", "rro"]))
    },
    Case("bind of a file", "cat /etc/one", "hello") { spec in
      spec.mounts.append(
        RuntimeSpec.Mount(destination: "/etc/one", type: "bind", source: "bound/hello", options: ["bind"]))
      spec.root?.readonly = false
    },
    Case("mount options", "grep ' /data ' /proc/self/mountinfo | awk '{print $6}'", "rw,nosuid,nodev,noexec,noatime") {
      spec in
      spec.mounts.append(
        RuntimeSpec.Mount(
          destination: "/data", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "noexec", "noatime"]))
    },
    Case("a missing source is refused", "true", nil, status: 1, says: "no such file or directory") { spec in
      spec.mounts.append(RuntimeSpec.Mount(destination: "/data", type: "bind", source: "/no/such", options: ["bind"]))
    },
    Case("default devices", "ls /dev | tr '\\n' ' '", nil) { _ in },
    Case("a device", "stat -c '%t:%T %a %u:%g' /dev/fuse2", "a:e5 640 1:2") { spec in
      spec.linux.devices = [
        RuntimeSpec.Device(type: "c", path: "/dev/fuse2", major: 10, minor: 229, fileMode: 0o640, uid: 1, gid: 2)
      ]
    },
    Case("devices are denied", "mknod /tmp/mem c 1 1 && cat /tmp/mem 2>&1 | grep -c 'Operation not permitted'", "1") {
      spec in
      spec.mounts.append(RuntimeSpec.Mount(destination: "/tmp", type: "tmpfs", source: "tmpfs"))
      spec.process?.capabilities = capabilities(["CAP_MKNOD"])
    },
    Case("a masked directory of the image", "ls /data | wc -l", "0") { spec in spec.linux.maskedPaths = ["/data"] },
    Case("a masked file of the image", "wc -c </etc/secret", "0") { spec in spec.linux.maskedPaths = ["/etc/secret"] },
    Case("read-only paths", "echo 1 >/proc/sys/kernel/domainname 2>/dev/null || echo refused", "refused"),
    Case("sysctl", "cat /proc/sys/net/ipv4/ip_forward", "1") { spec in
      spec.linux.sysctl = ["net.ipv4.ip_forward": "1"]
    },
    Case("a sysctl of the host's is refused", "true", nil, status: 1, says: "kernel.panic") { spec in
      spec.linux.sysctl = ["kernel.panic": "1"]
    },
    Case("seccomp", "mkdir /tmp/x 2>&1 | grep -c 'Value too large'", "1") { spec in
      spec.mounts.append(RuntimeSpec.Mount(destination: "/tmp", type: "tmpfs", source: "tmpfs"))
      spec.linux.seccomp = RuntimeSpec.Seccomp(
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [
          RuntimeSpec.Seccomp.Rule(names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 75)
        ])
    },
    Case("memory limit", "true", "") { spec in
      var memory = RuntimeSpec.Resources.Memory()
      memory.limit = 64 << 20
      spec.linux.resources?.memory = memory
    },
    Case(
      "pids limit", "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done 2>&1 | grep -c fork; true", nil,
      differs: ["runc": "its own threads count, for how long depends"]
    ) { spec in
      spec.linux.resources?.pids = 4
    },
    Case("personality", "uname -m", "i686", differs: ["runc": "personality came with version 1.2"]) { spec in
      spec.linux.personality = "LINUX32"
    },
    Case("no such program", "", nil, status: 1, says: "executable file not found in $PATH") { spec in
      spec.process?.args = ["nosuchprogram"]
    },
    Case("no permission to execute", "", nil, status: 1, says: "permission denied") { spec in
      spec.process?.args = ["/etc/passwd"]
    },
    Case("no working directory", "", nil, status: 1, says: "/etc/passwd") { spec in spec.process?.cwd = "/etc/passwd" },
    Case("an unknown namespace path is refused", "true", nil, status: 1, says: "/no/such") { spec in
      spec.linux.namespaces.removeAll { $0.kind == .network }
      spec.linux.namespaces.append(RuntimeSpec.Namespace(.network, path: "/no/such"))
    },
    Case("a namespace by path", "readlink /proc/self/ns/uts", nil) { spec in
      spec.linux.namespaces.removeAll { $0.kind == .uts }
      spec.linux.namespaces.append(RuntimeSpec.Namespace(.uts, path: "/proc/self/ns/uts"))
      spec.hostname = nil
    },
  ]

  @Test("each row holds, here and on the references")
  func table() throws { try check(Self.cases) }

  @Test("mount options, propagation, labels and limits of the process")
  func mounts() throws { try check(Self.mountCases) }

  @Test("resources")
  func resources() throws { try check(Self.resourceCases) }

  @Test("seccomp")
  func seccomp() throws { try check(Self.seccompCases) }

  /// Runs each row by berth-runtime and by the references, all rows of a reference in one command: entering their tree costs more than
  /// they do.
  func check(_ rows: [Case]) throws {
    let bundle = try Bundle()
    try Sys.mkdirAll(bundle.path + "/bound/below")
    try Sys.mkdir(bundle.path + "/rootfs/data/hidden")
    try Sys.replaceFile(bundle.path + "/bound/hello", with: Array("hello\n".utf8), durable: false)
    try Sys.symlink("hello", bundle.path + "/bound/link")
    try Sys.replaceFile(bundle.path + "/rootfs/etc/secret", with: Array("secret\n".utf8), durable: false)
    for (index, row) in rows.enumerated() {
      var spec = try bundle.specification(row.script)
      spec.root?.path = bundle.path + "/rootfs"
      row.change(&spec)
      try Sys.mkdir("\(bundle.folder)/\(index)")
      try Sys.symlink("../bundle/bound", "\(bundle.folder)/\(index)/bound")
      try Sys.replaceFile("\(bundle.folder)/\(index)/config.json", with: spec.encoded(), durable: false)
      let result = try bundle.berth.run(["run", "-b", "\(bundle.folder)/\(index)", "case"])
      compare(row, "berth-runtime", result)
      if let says = row.says { #expect(result.err.contains(says), "\(row): \(result)") }
      _ = try bundle.berth.run(["delete", "-f", "case"])
    }
    #expect(try Sys.entries(of: bundle.folder + "/berth").allSatisfy { $0.name.hasPrefix(".") })
    if bundle.references.isEmpty { print("➜ conformance: crun and runc aren't compared: \(Peers.absence)") }
    for runtime in bundle.references {
      let script = """
        cd \(bundle.folder)
        for row in $(seq 0 \(rows.count - 1)); do
          \(runtime.name) --root \(bundle.folder)/\(runtime.name) run -b $row case$row >$row/out 2>$row/err </dev/null
          echo $? >$row/status
          \(runtime.name) --root \(bundle.folder)/\(runtime.name) delete -f case$row >/dev/null 2>&1
        done
        """
      _ = try runtime.shell(script)
      for (index, row) in rows.enumerated() where row.differs[runtime.name] == nil {
        func text(_ name: String) throws -> String {
          String(decoding: try Sys.readFile("\(bundle.folder)/\(index)/\(name)"), as: UTF8.self)
        }
        let status = Int32(try text("status").dropLast()) ?? -1
        compare(row, runtime.name, Command.Result(status: status, out: try text("out"), err: try text("err")))
      }
    }
  }

  private func compare(_ row: Case, _ runtime: String, _ result: Command.Result) {
    let failed = row.status == 1 && row.says != nil
    #expect(failed ? result.status != 0 : result.status == row.status, "\(runtime): \(row): \(result)")
    if let answer = row.answer { #expect(result.line == answer, "\(runtime): \(row): \(result)") }
  }

  @Test("create, state, start, exec, pause, update, kill and delete, here and on the references")
  func commands() throws {
    let bundle = try Bundle()
    try bundle.write(try bundle.specification("trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"))
    for runtime in [bundle.berth] + bundle.references {
      func expect(_ words: [String], status: Int32 = 0, says: String? = nil, line: Int = #line) throws {
        let result = try runtime.run(words)
        let place = "\(runtime) \(words.joined(separator: " ")) (line \(line)): \(result)"
        #expect(status == 0 ? result.status == 0 : result.status != 0, Comment(rawValue: place))
        if let says, runtime.name == "berth-runtime" || status == 0 {
          #expect((result.out + result.err).contains(says), Comment(rawValue: place))
        }
      }
      func status() throws -> String? {
        let result = try runtime.run(["state", "c"])
        return result.status == 0 ? try JSON.parse(Array(result.out.utf8))["status"]?.stringValue : nil
      }
      #expect(try status() == nil)
      try expect(["create", "-b", bundle.path, "--pid-file", bundle.folder + "/pid", "c"])
      #expect(try status() == "created")
      let pid = String(decoding: try Sys.readFile(bundle.folder + "/pid"), as: UTF8.self)
      #expect(Int32(pid) != nil)
      try expect(["create", "-b", bundle.path, "c"], status: 1, says: "already exists")
      try expect(["start", "c"])
      #expect(try status() == "running")
      try expect(["start", "c"], status: 1, says: "already running")
      try expect(["delete", "c"], status: 1, says: "not stopped")
      try expect(["exec", "c", "echo", "inside"], says: "inside")
      try expect(["exec", "-e", "A=b", "--cwd", "/tmp", "c", "/bin/sh", "-c", "echo $A $PWD"], says: "b /tmp")
      try expect(["exec", "c", "sh", "-c", "exit 9"], status: 9)
      try expect(["exec", "c", "nosuch"], status: 1, says: "executable file not found in $PATH")
      try expect(["exec", "-d", "--pid-file", bundle.folder + "/exec", "c", "sleep", "100"])
      try expect(["pause", "c"])
      #expect(try status() == "paused")
      try expect(["exec", "c", "true"], status: 1, says: "paused")
      try expect(["resume", "c"])
      // crun lets it pass.
      if runtime.name != "crun" { try expect(["resume", "c"], status: 1, says: "not paused") }
      #expect(try status() == "running")
      try expect(["update", "--pids-limit", "50", "c"])
      try expect(["kill", "c", "NOSUCH"], status: 1, says: "unknown signal")
      try expect(["kill", "c", "TERM"])
      try waitUntil { try status() == "stopped" }
      try expect(["exec", "c", "true"], status: 1, says: "not running")
      try expect(["kill", "c", "KILL"], status: 1, says: "not running")
      try expect(["delete", "c"])
      #expect(try status() == nil)
      try expect(["delete", "c"], status: 1, says: "does not exist")
      try expect(["delete", "--force", "c"])
      try expect(["start", "c"], status: 1, says: "does not exist")
      try expect(["create", "-b", bundle.path, "../c"], status: 1, says: "invalid container ID format")
    }
  }

  @Test("errors go to the log as JSON")
  func log() throws {
    let bundle = try Bundle()
    let result = try bundle.berth.run(["--log", bundle.folder + "/log", "--log-format", "json", "start", "c"])
    #expect(result.status == 1)
    #expect(result.err == "container \"c\" does not exist\n")
    let entry = try JSON.parse(try Sys.readFile(bundle.folder + "/log"))
    #expect(entry["level"]?.stringValue == "error")
    #expect(entry["msg"]?.stringValue == "container \"c\" does not exist")
    #expect(entry["time"]?.stringValue.flatMap { Timestamp($0) } != nil)
  }

  /// Looks every 10 ms: runtimes tell nobody when a container ends.
  private func waitUntil(_ condition: () throws -> Bool) throws {
    for _ in 0..<500 {
      if try condition() { return }
      var pause = timespec(tv_sec: 0, tv_nsec: 10_000_000)
      nanosleep(&pause, nil)
    }
    Issue.record("it didn't come to that within 5 s")
  }
}

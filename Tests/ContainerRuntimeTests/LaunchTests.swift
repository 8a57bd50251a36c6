import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

/// What a program finds itself in.
struct LaunchTests {
  let sandbox: Sandbox

  init() throws { sandbox = try Sandbox() }

  @Test func aProgramRunsAndItsStatusComesBack() throws {
    let outcome = try sandbox.sh("echo hello; exit 7")
    #expect(outcome.output == "hello\n")
    #expect(outcome.code == 7)
    #expect(outcome.failure == nil && outcome.left.isEmpty && !outcome.groupRemains)
  }

  @Test func aSignalIsTold() throws {
    #expect(try sandbox.sh("kill -9 $$; sleep 9", { $0.initProcess = true }).code == 137)
  }

  @Test func everyNamespaceIsItsOwn() throws {
    let kinds = ["mnt", "uts", "pid", "ipc", "net", "cgroup"]
    let output = try sandbox.sh("for n in \(kinds.joined(separator: " ")); do readlink /proc/self/ns/$n; done").output
    let inside = output.split(separator: "\n").map(String.init)
    try #require(inside.count == kinds.count, "\(output)")
    for (kind, link) in zip(kinds, inside) { #expect(try Sys.readlink("/proc/self/ns/" + kind) != link, "\(kind)") }
  }

  @Test func namespacesThatAreNotListedAreTheHosts() throws {
    let output = try sandbox.sh(
      "for n in net ipc uts; do readlink /proc/self/ns/$n; done; set -- /proc/[0-9]*; echo $#"
    ) {
      $0.spec.hostname = nil
      $0.spec.linux.namespaces = [.init(.mount), .init(.cgroup)]
    }
    let lines = output.output.split(separator: "\n").map(String.init)
    try #require(lines.count == 4, "\(output)")
    #expect(lines[0] == (try Sys.readlink("/proc/self/ns/net")))
    #expect(lines[1] == (try Sys.readlink("/proc/self/ns/ipc")))
    #expect(lines[2] == (try Sys.readlink("/proc/self/ns/uts")))
    #expect(Int(lines[3]) ?? 0 > 3, "the host's processes are seen")
  }

  @Test func aNamespaceIsJoinedByPath() throws {
    let own = try Sys.readlink("/proc/self/ns/net")
    let outcome = try sandbox.sh("readlink /proc/self/ns/net") {
      $0.spec.linux.namespaces.removeAll { $0.kind == .network }
      $0.spec.linux.namespaces.append(.init(.network, path: "/proc/\(getpid())/ns/net"))
    }
    #expect(outcome.output == own + "\n")
  }

  @Test func aTimeNamespaceHasItsOffsets() throws {
    let outcome = try sandbox.sh("cut -d. -f1 /proc/uptime") {
      $0.spec.linux.namespaces.append(.init(.time))
      $0.spec.linux.timeOffsets = ["boottime": .init(secs: 1_000_000)]
    }
    #expect(Int(outcome.output.split(separator: "\n").first ?? "") ?? 0 > 1_000_000, "\(outcome)")
  }

  @Test func aUserNamespaceMapsRoot() throws {
    try Sys.chown(sandbox.rootfs, 100_000, 100_000)
    let outcome = try sandbox.sh(
      "id -u; cat /proc/self/uid_map; touch /made; ls /dev/null /dev/pts/ptmx; echo x > /dev/null"
    ) {
      $0.spec.linux.namespaces.append(.init(.user))
      $0.spec.linux.uidMappings = [.init(containerID: 0, hostID: 100_000, size: 65536)]
      $0.spec.linux.gidMappings = [.init(containerID: 0, hostID: 100_000, size: 65536)]
    }
    let lines = outcome.output.split(separator: "\n")
    #expect(outcome.failure == nil && outcome.code == 0, "\(outcome)")
    #expect(lines.first == "0" && lines.dropFirst().first?.split(separator: " ") == ["0", "100000", "65536"])
    #expect(try Sys.status(sandbox.rootfs + "/made").st_uid == 100_000)
  }

  @Test func aUserNamespaceMayHaveAnOverlayAndBindsThatItsRootCouldNotReach() throws {
    // As the engine's own directories are: nobody but the host's root looks into them.
    let closed = sandbox.directory + "/closed"
    try Sys.mkdir(closed, mode: 0o700)
    for name in ["upper", "work", "data"] { try Sys.mkdir(closed + "/" + name) }
    for name in ["upper", "data"] { try Sys.chown(closed + "/" + name, 100_000, 100_000) }
    try Sys.chown(sandbox.rootfs, 100_000, 100_000)
    let outcome = try sandbox.sh("touch /data/made /new/made && ls -ld /data && cat /proc/self/mountinfo | wc -l") {
      $0.rootfs = .overlay(
        lower: [sandbox.rootfs], upper: closed + "/upper", work: closed + "/work", volatile: false)
      $0.spec.mounts += [
        .init(destination: "/data", type: "bind", source: closed + "/data", options: ["rbind", "rslave"]),
        .init(destination: "/new", type: "tmpfs", source: "tmpfs", options: []),
      ]
      $0.spec.linux.namespaces.append(.init(.user))
      $0.spec.linux.uidMappings = [.init(containerID: 0, hostID: 100_000, size: 65536)]
      $0.spec.linux.gidMappings = [.init(containerID: 0, hostID: 100_000, size: 65536)]
    }
    #expect(outcome.code == 0 && outcome.failure == nil && outcome.mounts.isEmpty, "\(outcome)")
    #expect(try Sys.status(closed + "/data/made").st_uid == 100_000)
  }

  @Test func nothingButTheStreamsIsOpen() throws {
    // A descriptor of the parent that is not close-on-exec is one the container must not get.
    let leak = try Sys.open("/", O_PATH)
    _ = try Sys.fcntl(leak.raw, F_SETFD, 0)
    let output = try sandbox.sh("echo /proc/self/fd/*").output
    // The shell has its own directory open while it lists.
    #expect(output.hasPrefix("/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2"), "\(output)")
    #expect(output.split(separator: " ").count <= 4, "\(output)")
  }

  @Test func capabilitiesAreDockers() throws {
    let output = try sandbox.sh("grep -E 'Cap|NoNew' /proc/self/status").output
    let fields = Dictionary(
      uniqueKeysWithValues: output.split(separator: "\n").map { line in
        let parts = line.split(separator: "\t")
        return (String(parts[0]), String(parts[1]))
      })
    #expect(fields["CapEff:"] == "00000000a80425fb" && fields["CapBnd:"] == "00000000a80425fb")
    #expect(fields["CapInh:"] == "0000000000000000" && fields["CapAmb:"] == "0000000000000000")
    #expect(fields["NoNewPrivs:"] == "0")
  }

  @Test func anotherUserHasNoCapabilities() throws {
    let output = try sandbox.sh("grep -E 'CapEff|CapPrm|NoNew' /proc/self/status") {
      $0.user = "1000"
      $0.spec.process?.noNewPrivileges = true
    }.output
    #expect(output == "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n")
  }

  @Test func ambientCapabilitiesSurviveTheUser() throws {
    let output = try sandbox.sh("grep -E 'CapEff|CapAmb' /proc/self/status") {
      $0.user = "1000"
      for set in [\RuntimeSpec.Capabilities.inheritable, \.ambient] {
        $0.spec.process?.capabilities?[keyPath: set] = ["CAP_NET_BIND_SERVICE"]
      }
    }.output
    #expect(output == "CapEff:\t0000000000000400\nCapAmb:\t0000000000000400\n")
  }

  /// config.md: what can't be mapped to the kernel's is logged as a warning.
  @Test func anUnknownCapabilityIsAWarning() throws {
    let outcome = try sandbox.sh("echo ran") { $0.spec.process?.capabilities?.bounding.append("CAP_NONSENSE") }
    #expect(outcome.output == "ran\n", "\(outcome)")
    #expect(outcome.warnings.contains("unknown capabilities are left out: CAP_NONSENSE"), "\(outcome)")
  }

  @Test func whatCannotBeRaisedIsKeptAndTold() throws {
    let own = try Sys.getrlimit(7)
    let outcome = try sandbox.sh("ulimit -Hn; cat /proc/self/oom_score_adj") {
      $0.spec.process?.rlimits = [.init(type: "RLIMIT_NOFILE", soft: 512, hard: 1 << 40)]
      $0.spec.process?.oomScoreAdj = -999
    }
    #expect(outcome.code == 0, "\(outcome)")
    if outcome.warnings.contains(where: { $0.hasPrefix("RLIMIT_NOFILE") }) {
      #expect(outcome.output.split(separator: "\n").first.map(String.init) == String(own.hard))
    }
    let low = try sandbox.sh("ulimit -n; cat /proc/self/oom_score_adj") {
      $0.spec.process?.rlimits = [.init(type: "RLIMIT_NOFILE", soft: 512, hard: 512)]
      $0.spec.process?.oomScoreAdj = 321
    }
    #expect(low.output == "512\n321\n" && low.warnings.isEmpty)
  }

  @Test func standardStreamsBelongToTheUser() throws {
    let outcome = try sandbox.sh("echo again >> /dev/stdout; umask; env") {
      $0.user = "ann"
      $0.spec.process?.user.umask = 0o077
    }
    #expect(
      outcome.output.contains("again") && outcome.output.contains("0077") && outcome.output.contains("HOME=/home/ann"))
  }

  @Test func theWorkingDirectoryIsMade() throws {
    #expect(try sandbox.sh("pwd") { $0.spec.process?.cwd = "/not/there/yet" }.output == "/not/there/yet\n")
  }

  @Test func aDirectoryThatTheUserMayNotEnterIsNamed() throws {
    try Sys.mkdir(sandbox.rootfs + "/closed", mode: 0o700)
    let plan = sandbox.plan(["true"]) {
      $0.user = "1000"
      $0.spec.process?.cwd = "/closed"
      $0.spec.process?.capabilities = .init()
    }
    // Root may enter before it becomes the user: as runc has it, that is enough.
    #expect(try sandbox.run(plan).failure == nil)
  }

  @Test func initPassesSignalsOnAndReaps() throws {
    #expect(try sandbox.sh("kill -TERM 1; sleep 30", { $0.initProcess = true }).code == 143)
    #expect(try sandbox.sh("(sleep 0.1 &) ; exit 5", { $0.initProcess = true }).code == 5)
    let output = try sandbox.sh("cat /proc/1/comm; echo $$; ls /proc/1/fd | wc -l", { $0.initProcess = true }).output
    #expect(output.hasPrefix("init\n2\n"), "\(output)")
  }

  @Test func initsProgramThatIsMissingIsAFailure() throws {
    let outcome = try sandbox.run(sandbox.plan(["nope"]) { $0.initProcess = true })
    #expect(outcome.failure?.message == "exec: \"nope\": executable file not found in $PATH")
    #expect(!outcome.groupRemains)
  }

  @Test func programsThatCannotRunAreToldInDockersWords() throws {
    try sandbox.write("#!/nowhere\n", to: "/bin/script")
    try Sys.chmod(sandbox.rootfs + "/bin/script", 0o755)
    try sandbox.write("neither", to: "/bin/format")
    try Sys.chmod(sandbox.rootfs + "/bin/format", 0o755)
    let messages = [
      ("foo", "exec: \"foo\": executable file not found in $PATH"),
      ("/x", "exec: \"/x\": stat /x: no such file or directory"),
      ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"), ("/etc", "exec: \"/etc\": is a directory"),
      ("script", "exec /bin/script: no such file or directory"), ("format", "exec /bin/format: exec format error"),
    ]
    for (program, message) in messages {
      let outcome = try sandbox.run(sandbox.plan([program]))
      #expect(outcome.failure?.message == message)
      #expect(!outcome.groupRemains)
    }
  }

  @Test func terminalIsTheContainersOwn() throws {
    let outcome = try sandbox.sh("tty; stat -c %u:%t:%T /dev/console; stty size; echo out > /dev/console") {
      $0.stdio.terminal = true
      $0.user = "1000"
      $0.spec.process?.consoleSize = (132, 43)
    }
    #expect(outcome.output == "/dev/pts/0\r\n1000:88:0\r\n43 132\r\nout\r\n", "\(outcome)")
  }
}

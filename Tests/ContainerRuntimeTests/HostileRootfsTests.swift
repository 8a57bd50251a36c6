import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

/// Images made to reach the host: the shapes of the runtimes' CVEs.
struct HostileRootfsTests {
  let sandbox: Sandbox
  /// What an image must not reach; empty but for one file.
  var host: String { sandbox.directory + "/host" }

  init() throws {
    sandbox = try Sandbox()
    try Sys.mkdir(host)
    try Sys.replaceFile(host + "/secret", with: Array("secret\n".utf8), durable: false)
  }

  private func untouched() throws -> Bool { try Sys.entries(of: host).map(\.name) == ["secret"] }

  /// CVE-2026-41579: device nodes and links are written through the image's /dev.
  @Test func devIsALink() throws {
    try Sys.rmdir(sandbox.rootfs + "/dev")
    try Sys.symlink(host, sandbox.rootfs + "/dev")
    let outcome = try sandbox.sh("ls -ld /dev; ls /dev/null")
    #expect(outcome.code == 0 && outcome.output.hasPrefix("drwxr-xr-x"), "\(outcome)")
    #expect(try untouched())
  }

  /// CVE-2026-41579 without a mount on /dev.
  @Test func devIsALinkAndNothingIsMountedThere() throws {
    try Sys.rmdir(sandbox.rootfs + "/dev")
    try Sys.symlink("../../" + host, sandbox.rootfs + "/dev")
    let outcome = try sandbox.sh("true") { $0.spec.mounts.removeAll { $0.destination.hasPrefix("/dev") } }
    #expect(outcome.failure?.step == "devices" && !outcome.groupRemains, "\(outcome)")
    #expect(try untouched())
  }

  /// CVE-2019-19921, CVE-2023-27561: /proc leads elsewhere, so that what is written there isn't procfs.
  @Test(arguments: ["/tmp", "../../../../tmp", "/proc2"])
  func procIsALink(_ target: String) throws {
    try Sys.rmdir(sandbox.rootfs + "/proc")
    try Sys.symlink(target, sandbox.rootfs + "/proc")
    let outcome = try sandbox.sh("true")
    #expect(outcome.failure?.message.contains("must be mounted on ordinary directory") == true, "\(outcome)")
    #expect(!outcome.groupRemains && outcome.mounts.isEmpty)
  }

  /// CVE-2019-16884: a volume over /proc, directly or by a link of the image.
  @Test func nothingIsMountedInsideProc() throws {
    try Sys.symlink("/proc/self", sandbox.rootfs + "/innocent")
    try Sys.symlink("proc", sandbox.rootfs + "/innocent2")
    for destination in ["/proc/self/attr", "/proc/sys", "/innocent/attr", "/innocent2/sys/kernel", "/x/../proc/1"] {
      let outcome = try sandbox.sh("true") {
        $0.spec.mounts.append(.init(destination: destination, type: "bind", source: host, options: ["rbind"]))
      }
      #expect(outcome.failure?.step == "mount" && outcome.failure?.errno != 0, "\(destination): \(outcome)")
      #expect(!outcome.groupRemains)
    }
    // What lxcfs does stays possible.
    let allowed = try sandbox.sh("cat /proc/uptime") {
      $0.spec.mounts.append(
        .init(destination: "/proc/uptime", type: "bind", source: host + "/secret", options: ["bind"]))
    }
    #expect(allowed.output == "secret\n", "\(allowed)")
  }

  /// CVE-2021-30465 and its kin: a destination that leads out of the root, here by links and `..`.
  @Test(arguments: ["/evil/inner", "/evil", "/up/inner", "/evil/../../../x", "/chain/inner"])
  func destinationsStayInside(_ destination: String) throws {
    let up = String(repeating: "../", count: 20)
    try Sys.symlink(up + host, sandbox.rootfs + "/evil")
    try Sys.symlink(up, sandbox.rootfs + "/up")
    try Sys.symlink("evil", sandbox.rootfs + "/chain")
    let outcome = try sandbox.sh("cat \(destination)/file || cat /x/file") {
      $0.spec.mounts.append(
        .init(destination: destination, type: "tmpfs", source: "tmpfs", options: ["nosuid"]))
      $0.spec.process?.args = ["true"]
    }
    #expect(outcome.failure == nil, "\(outcome)")
    #expect(try untouched())
    #expect(!Sys.exists("/inner"))
  }

  /// CVE-2024-45310: files made for binds stay inside.
  @Test func filesForBindsStayInside() throws {
    try Sys.symlink(host, sandbox.rootfs + "/evil")
    try Sys.symlink(host + "/made", sandbox.rootfs + "/dangling")
    for destination in ["/evil/new", "/dangling"] {
      let outcome = try sandbox.sh("cat \(destination)") {
        $0.spec.mounts.append(
          .init(destination: destination, type: "bind", source: host + "/secret", options: ["bind"]))
      }
      #expect(outcome.output == "secret\n", "\(outcome)")
    }
    #expect(try untouched())
  }

  @Test func aLoopOfLinksEnds() throws {
    try Sys.symlink("b", sandbox.rootfs + "/a")
    try Sys.symlink("a", sandbox.rootfs + "/b")
    let outcome = try sandbox.sh("true") {
      $0.spec.mounts.append(.init(destination: "/a/x", type: "tmpfs", source: "tmpfs", options: []))
    }
    #expect(outcome.failure?.errno == ELOOP, "\(outcome)")
  }

  /// CVE-2025-31133: the null device that masks is not the container's.
  @Test func nullIsALinkInTheImage() throws {
    try sandbox.write("writable", to: "/etc/core_pattern")
    try Sys.symlink("/etc/core_pattern", sandbox.rootfs + "/dev/null")
    let outcome = try sandbox.sh("cat /proc/keys; stat -c %t:%T /proc/keys") {
      $0.spec.mounts.removeAll { $0.destination == "/dev" || $0.destination.hasPrefix("/dev/") }
    }
    #expect(outcome.output == "1:3\n", "\(outcome)")
  }

  /// A mask's path leads to the host's file.
  @Test func aMaskedPathIsALink() throws {
    try Sys.symlink(host + "/secret", sandbox.rootfs + "/etc/masked")
    let outcome = try sandbox.sh("true") { $0.spec.linux.maskedPaths.append("/etc/masked") }
    #expect(outcome.code == 0, "\(outcome)")
    #expect(try Sys.readFile(host + "/secret") == Array("secret\n".utf8))
  }

  /// CVE-2025-52565: /dev/console and /dev/pts of the image.
  @Test func consoleIsALink() throws {
    try Sys.symlink(host + "/secret", sandbox.rootfs + "/dev/console")
    let outcome = try sandbox.sh("stat -c %F /dev/console") {
      $0.stdio.terminal = true
      $0.spec.mounts.removeAll { $0.destination == "/dev" }
    }
    #expect(outcome.output == "character special file\r\n", "\(outcome)")
    #expect(try Sys.readFile(host + "/secret") == Array("secret\n".utf8))
    #expect(try untouched())
  }

  @Test func ptsIsNoDevpts() throws {
    let outcome = try sandbox.sh("true") {
      $0.stdio.terminal = true
      $0.spec.mounts.removeAll { $0.destination == "/dev/pts" }
    }
    #expect(outcome.failure?.step == "console" && !outcome.groupRemains, "\(outcome)")
  }

  /// CVE-2024-21626: a working directory that is a descriptor of the engine's. One that lies in the container is as good as its path.
  @Test func theWorkingDirectoryIsADescriptor() throws {
    // Inherited by the runtime, as a careless daemon would leave it.
    let leak = try Sys.open(host, O_PATH | O_DIRECTORY)
    _ = try Sys.fcntl(leak.raw, F_SETFD, 0)
    try sandbox.write("", to: "/inside")
    for number in [leak.raw] + Array(3...16) {
      let outcome = try sandbox.sh("pwd; ls") { $0.spec.process?.cwd = "/proc/self/fd/\(number)" }
      #expect(outcome.failure != nil || outcome.output.contains("inside\n"), "\(number): \(outcome)")
      let byImage = try sandbox.sh("pwd; ls") { plan in
        try? Sys.unlink(sandbox.rootfs + "/work")
        try? Sys.symlink("/proc/self/fd/\(number)", sandbox.rootfs + "/work")
        plan.spec.process?.cwd = "/work"
      }
      #expect(byImage.failure != nil || byImage.output.contains("inside\n"), "\(number): \(byImage)")
    }
  }

  @Test func execIntoADescriptorIsRefusedToo() throws {
    let leak = try Sys.open(host, O_PATH | O_DIRECTORY)
    _ = try Sys.fcntl(leak.raw, F_SETFD, 0)
    let numbers = [leak.raw] + Array(3...16)
    let outcome = try sandbox.run(
      sandbox.plan(["sleep", "100"]),
      execs: numbers.map { number in
        sandbox.exec(["sh", "-c", "test -e secret && echo out"]) { $0.process.cwd = "/proc/self/fd/\(number)" }
      }, options: ["--kill"])
    #expect(outcome.execs.count == numbers.count && !outcome.output.contains("out"), "\(outcome)")
    #expect(outcome.execs[0].failure != nil, "\(outcome)")
  }

  /// CVE-2019-5736: what runs as init can't be opened for writing, or at all, from inside.
  @Test func initsProgramIsOutOfReach() throws {
    let outcome = try sandbox.sh(
      "cat /proc/1/exe > /dev/null; echo $?; ls /proc/1/fd; cat /proc/1/environ; echo x > /proc/1/mem"
    ) {
      $0.initProcess = true
    }
    #expect(outcome.output.hasPrefix("cat: can't open '/proc/1/exe': Permission denied\n1\n"), "\(outcome)")
  }

  /// A program of the image under the name of a shared library that somebody might load, and hooks for NSS: never touched,
  /// since nothing is executed or loaded before the program.
  @Test func nothingOfTheImageRunsBeforeTheProgram() throws {
    try Sys.mkdirAll(sandbox.rootfs + "/lib/x86_64-linux-gnu")
    for name in ["libnss_files.so.2", "libc.so.6"] {
      try sandbox.write("not a library", to: "/lib/x86_64-linux-gnu/" + name)
    }
    try sandbox.write("passwd: evil\n", to: "/etc/nsswitch.conf")
    #expect(try sandbox.sh("id -un", { $0.user = "ann" }).output == "ann\n")
  }
}

import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

/// What is mounted where, and how.
struct MountTests {
  let sandbox: Sandbox

  init() throws {
    sandbox = try Sandbox()
    try Sys.mkdir(sandbox.directory + "/host")
    try Sys.replaceFile(sandbox.directory + "/host/file", with: Array("of the host\n".utf8), durable: false)
  }

  private func bind(_ source: String, _ destination: String, _ options: [String] = ["rbind"]) -> RuntimeSpec.Mount {
    .init(destination: destination, type: "bind", source: sandbox.directory + source, options: options)
  }

  @Test func theUsualFileSystemsAreThere() throws {
    let output = try sandbox.sh("cat /proc/mounts; ls -l /dev; test -c /dev/pts/ptmx && echo ptmx").output
    for line in [
      "proc /proc proc rw,nosuid,nodev,noexec,relatime", "tmpfs /dev tmpfs rw,nosuid,size=65536k,mode=755",
      "sysfs /sys sysfs ro,nosuid,nodev,noexec,relatime", "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime",
      "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k",
    ] { #expect(output.contains(line), "\(line) is missing in \(output)") }
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
      #expect(
        output.split(separator: "\n").contains { $0.hasPrefix("crw-rw-rw-") && $0.hasSuffix(" " + name) }, "\(name)")
    }
    for link in ["fd -> /proc/self/fd", "stdin -> /proc/self/fd/0", "ptmx -> pts/ptmx"] {
      #expect(output.contains(link))
    }
    #expect(output.contains("\nptmx\n"))
    #expect(!output.contains(sandbox.directory) || output.contains(" / "), "no mount of the host is left")
  }

  @Test func nothingIsSeenOnTheHost() throws {
    let outcome = try sandbox.sh("true") { $0.spec.mounts.append(bind("/host", "/data")) }
    #expect(outcome.mounts.isEmpty && outcome.code == 0)
  }

  @Test func bindsOfDirectoriesAndFiles() throws {
    let outcome = try sandbox.sh("cat /data/file /deep/er/file; echo new > /data/made; echo no > /ro/made || true") {
      $0.spec.mounts += [
        bind("/host", "/data"), bind("/host/file", "/deep/er/file"), bind("/host", "/ro", ["rbind", "ro", "nosuid"]),
      ]
    }
    #expect(outcome.output.hasPrefix("of the host\nof the host\n"), "\(outcome)")
    #expect(outcome.output.contains("Read-only file system"))
    #expect(Sys.exists(sandbox.directory + "/host/made"))
  }

  @Test func aDirectoryCannotCoverAFile() throws {
    let outcome = try sandbox.sh("true") { $0.spec.mounts.append(bind("/host", "/etc/passwd")) }
    #expect(
      outcome.failure?.message.hasPrefix("error mounting \"\(sandbox.directory)/host\" to rootfs at \"/etc/passwd\"")
        == true)
    #expect(
      outcome.failure?.message.contains("Are you trying to mount a directory onto a file (or vice-versa)?") == true)
    #expect(!outcome.groupRemains && outcome.mounts.isEmpty)
  }

  @Test func aMissingSourceIsNamed() throws {
    let outcome = try sandbox.sh("true") { $0.spec.mounts.append(bind("/nowhere", "/x")) }
    #expect(outcome.failure?.message.contains("\"\(sandbox.directory)/nowhere\" to rootfs at \"/x\"") == true)
    #expect(outcome.failure?.errno == ENOENT)
  }

  @Test func recursiveReadOnlyReachesMountsBelow() throws {
    let outcome = try sandbox.sh("echo x > /data/below/f; echo $?; echo x > /half/below/g; echo $?") {
      $0.spec.mounts += [bind("/host", "/data", ["rbind", "rro"]), bind("/host", "/half", ["rbind", "ro"])]
      $0.rootfs = .directory(sandbox.rootfs)
    }
    // No mount below here: both are read-only at the top, and there is no directory.
    #expect(outcome.output.contains("1\n"))
    try Sys.mkdir(sandbox.directory + "/host/below")
    try Sys.mount("tmpfs", sandbox.directory + "/host/below", type: "tmpfs")
    defer { try? Sys.umount(sandbox.directory + "/host/below") }
    let again = try sandbox.sh("touch /data/below/f 2>/dev/null; echo $?; touch /half/below/g; echo $?") {
      $0.spec.mounts += [bind("/host", "/data", ["rbind", "rro"]), bind("/host", "/half", ["rbind", "ro"])]
    }
    #expect(again.output == "1\n0\n", "\(again)")
  }

  @Test func aSlaveSeesWhatTheHostMountsLater() throws {
    let host = sandbox.directory + "/host"
    try Sys.mount(host, host, flags: UInt(MS_BIND))
    defer { try? Sys.umount(host, flags: 2) }
    try Sys.mount(nil, host, flags: UInt(MS_SHARED))
    let output = try sandbox.sh("grep -E ' /(slave|shared|plain) ' /proc/self/mountinfo | cut -d' ' -f5,7") {
      $0.spec.mounts += [
        bind("/host", "/slave", ["rbind", "rslave"]), bind("/host", "/shared", ["rbind", "rshared"]),
        bind("/host", "/plain", ["rbind", "rprivate"]),
      ]
    }.output
    let lines = output.split(separator: "\n")
    try #require(lines.count == 3, "\(output)")
    #expect(
      lines[0].hasPrefix("/slave master:") && lines[1].hasPrefix("/shared shared:") && lines[2] == "/plain -",
      "\(output)")
  }

  @Test func aTmpfsTakesItsOptionsAndTheModeOfWhatItHides() throws {
    try Sys.mkdir(sandbox.rootfs + "/hidden", mode: 0o750)
    try Sys.chmod(sandbox.rootfs + "/hidden", 0o750)
    try sandbox.write("from the image", to: "/hidden/file")
    let output = try sandbox.sh(
      "stat -c %a /hidden; ls /hidden; stat -c %a /new; ls /copied; grep ' /new ' /proc/mounts"
    ) {
      $0.spec.mounts += [
        .init(destination: "/hidden", type: "tmpfs", source: "tmpfs", options: ["nosuid"]),
        .init(destination: "/new", type: "tmpfs", source: "tmpfs", options: ["noexec", "size=1m", "mode=1770"]),
      ]
    }.output
    #expect(output.hasPrefix("750\n1770\n") && output.contains("rw,noexec,relatime,size=1024k,mode=1770"), "\(output)")
    let copied = try sandbox.sh("cat /hidden/file") {
      $0.spec.mounts.append(.init(destination: "/hidden", type: "tmpfs", source: "tmpfs", options: ["tmpcopyup"]))
    }
    #expect(copied.output == "from the image")
  }

  @Test func anOptionThatTheFileSystemRefusesIsToldInItsWords() throws {
    let outcome = try sandbox.sh("true") {
      $0.spec.mounts.append(.init(destination: "/x", type: "tmpfs", source: "tmpfs", options: ["nonsense=1"]))
    }
    #expect(outcome.failure?.message.contains("Unknown parameter 'nonsense'") == true, "\(outcome)")
  }

  @Test func aReadOnlyRootTakesNoWrites() throws {
    let outcome = try sandbox.sh("touch /x; touch /dev/x && touch /data/y && echo others") {
      $0.spec.root = .init(path: "", readonly: true)
      $0.spec.mounts.append(bind("/host", "/data"))
    }
    #expect(outcome.output.contains("Read-only file system") && outcome.output.hasSuffix("others\n"), "\(outcome)")
  }

  @Test func pathsAreMaskedAndReadOnly() throws {
    try sandbox.write("secret", to: "/etc/secret")
    let outcome = try sandbox.sh("cat /etc/secret; ls -A /tmp; ls -A /sys/firmware; echo 1 > /proc/sys/kernel/hostname")
    {
      $0.spec.linux.maskedPaths += ["/etc/secret", "/tmp", "/not/there"]
    }
    #expect(outcome.output.hasPrefix("sh: can't create /proc/sys/kernel/hostname: Read-only file system"), "\(outcome)")
  }

  @Test func sysctlsAreSetAndForeignOnesRefused() throws {
    let outcome = try sandbox.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced") {
      $0.spec.linux.sysctl = ["net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"]
    }
    #expect(outcome.output == "1\n1\n")
    let refused = try sandbox.sh("true") { $0.spec.linux.sysctl = ["vm.swappiness": "1"] }
    #expect(refused.failure?.message == "linux.sysctl: sysctl \"vm.swappiness\" is not in a separate kernel namespace")
    let host = try sandbox.sh("true") {
      $0.spec.linux.namespaces.removeAll { $0.kind == .network }
      $0.spec.linux.sysctl = ["net.ipv4.ip_forward": "1"]
    }
    #expect(
      host.failure?.message == "linux.sysctl: sysctl \"net.ipv4.ip_forward\" is not in a separate kernel namespace")
  }

  @Test func devicesAreMade() throws {
    let output = try sandbox.sh("stat -c '%a %u %g %t:%T %F' /dev/net/tun /dev/mine; ls -l /dev/null") {
      $0.spec.linux.devices = [
        .init(type: "c", path: "/dev/net/tun", major: 10, minor: 200, fileMode: 0o666),
        .init(type: "b", path: "/dev/mine", major: 7, minor: 3, fileMode: 0o640, uid: 5, gid: 6),
      ]
    }.output
    #expect(output.hasPrefix("666 0 0 a:c8 character special file\n640 5 6 7:3 block special file\n"), "\(output)")
  }

  @Test func cgroupsShowTheContainersOwnOnly() throws {
    let output = try sandbox.sh("grep cgroup /proc/mounts; cat /proc/self/cgroup").output
    #expect(output.contains("/sys/fs/cgroup") && !output.contains("berth-test"), "\(output)")
    #expect(!output.split(separator: "\n").contains { $0.contains(" cgroup") && $0.contains("rw,") }, "\(output)")
  }

  @Test func anOverlayKeepsItsLowerLayers() throws {
    for name in ["upper", "work", "top"] { try Sys.mkdir(sandbox.directory + "/" + name) }
    try Sys.replaceFile(sandbox.directory + "/top/layer", with: Array("top\n".utf8), durable: false)
    let outcome = try sandbox.sh("cat /layer; echo changed > /etc/passwd; cat /etc/passwd") {
      $0.rootfs = .overlay(
        lower: [sandbox.directory + "/top", sandbox.rootfs], upper: sandbox.directory + "/upper",
        work: sandbox.directory + "/work", volatile: false)
    }
    #expect(outcome.output == "top\nchanged\n", "\(outcome)")
    #expect(Sys.exists(sandbox.directory + "/upper/etc/passwd"))
    #expect(try Sys.readFile(sandbox.rootfs + "/etc/passwd").starts(with: Array("root".utf8)))
  }

  @Test func anOverlayOfLongNamesAndManyLayersMounts() throws {
    let long = sandbox.directory + "/" + String(repeating: "n", count: 200) + "/" + String(repeating: "m", count: 200)
    try Sys.mkdirAll(long)
    for name in ["upper", "work"] { try Sys.mkdir(long + "/" + name) }
    var lower: [String] = []
    for index in 0..<100 {
      lower.append(long + "/l\(index)")
      try Sys.mkdir(lower[index])
    }
    let outcome = try sandbox.sh("echo deep") {
      $0.rootfs = .overlay(
        lower: lower + [sandbox.rootfs], upper: long + "/upper", work: long + "/work", volatile: true)
    }
    #expect(outcome.output == "deep\n", "\(outcome)")
  }
}

import CLinux
import Kernel
import OCI
import Testing

/// What hostile root file systems and configurations have done to runc, crun and youki, tried on berth-runtime: one test a CVE.
///
/// In each there is a folder of the host's, `victim`, with one file, which nothing of a container may read, change, execute or add to.
/// CVE-2021-43784 (lengths of a netlink message that runc's two halves speak) has no counterpart here: nothing of that kind is encoded.
@Suite("hostile bundles", .serialized)
struct HostileBundleTests {
  let bundle: Bundle
  let victim: String
  var rootfs: String { bundle.path + "/rootfs" }

  init() throws {
    bundle = try Bundle()
    victim = bundle.folder + "/victim"
    try Sys.mkdir(victim)
    // For containers that aren't root's.
    try Sys.chmod(bundle.path + "/rootfs", 0o777)
    try write("host\n", to: victim + "/secret")
  }

  private func write(_ text: String, to path: String, mode: mode_t = 0o644) throws {
    try Sys.replaceFile(path, with: Array(text.utf8), mode: mode, durable: false)
    try Sys.chmod(path, mode)
  }

  private var isUntouched: Bool {
    (try? Sys.entries(of: victim).map(\.name)) == ["secret"]
      && (try? Sys.readFile(victim + "/secret")) == Array("host\n".utf8)
  }

  private func run(_ script: String, _ change: (inout RuntimeSpec) -> Void = { _ in }) throws -> Command.Result {
    var spec = try bundle.specification(script)
    change(&spec)
    try bundle.write(spec)
    let result = try bundle.berth.run(["run", "-b", bundle.path, "evil"])
    _ = try bundle.berth.run(["delete", "-f", "evil"])
    return result
  }

  /// A container that goes on until the body is through.
  private func running(
    _ script: String, _ change: (inout RuntimeSpec) -> Void = { _ in }, _ body: () throws -> Void
  ) throws {
    var spec = try bundle.specification("touch /ready; \(script)")
    spec.root?.readonly = false
    change(&spec)
    try bundle.write(spec)
    let made = try bundle.berth.run(["run", "-d", "-b", bundle.path, "evil"])
    defer { _ = try? bundle.berth.run(["delete", "-f", "evil"]) }
    try #require(made.status == 0, "\(made)")
    try waitFor(rootfs + "/ready")
    try body()
  }

  private func waitFor(_ path: String) throws {
    for _ in 0..<500 where !Sys.exists(path) {
      var pause = timespec(tv_sec: 0, tv_nsec: 10_000_000)
      nanosleep(&pause, nil)
    }
    try #require(Sys.exists(path), "\(path) doesn't come")
  }

  /// A directory of the host's, open in everything that this process starts, as a careless daemon would leave it.
  private func leak(_ body: (Int32) throws -> Void) throws {
    let directory = try Sys.open(victim, O_PATH | O_DIRECTORY)
    _ = try Sys.fcntl(directory.raw, F_SETFD, 0)
    try body(directory.raw)
  }

  // MARK: Descriptors

  @Test("CVE-2024-21626: a working directory that is a descriptor of the host's, of run and of exec")
  func workingDirectoryIsADescriptor() throws {
    try leak { leaked in
      for number in [leaked] + Array(3...15) {
        let result = try run("cat secret; ls") { $0.process?.cwd = "/proc/self/fd/\(number)" }
        #expect(!result.out.contains("host") && !result.out.contains("secret"), "\(number): \(result)")
        try? Sys.unlink(rootfs + "/work")
        try Sys.symlink("/proc/self/fd/\(number)", rootfs + "/work")
        let linked = try run("cat secret; ls") { $0.process?.cwd = "/work" }
        #expect(!linked.out.contains("host") && !linked.out.contains("secret"), "\(number): \(linked)")
      }
      try running("sleep 1000") {
        for number in [leaked] + Array(3...15) {
          let result = try bundle.berth.run([
            "exec", "--cwd", "/proc/self/fd/\(number)", "evil", "sh", "-c", "cat secret; ls",
          ])
          #expect(!result.out.contains("host") && !result.out.contains("secret"), "\(number): \(result)")
        }
      }
    }
    #expect(isUntouched)
  }

  @Test("CVE-2024-21626: a program and an interpreter of the host's, reached by an open directory's `..`")
  func programByADescriptor() throws {
    // What shows that it was executed: itself as another program's argument.
    try write("#!/bin/echo executed\n", to: victim + "/tool", mode: 0o755)
    defer { try? Sys.unlink(victim + "/tool") }
    let up = String(repeating: "../", count: 24)
    try leak { leaked in
      func tries(_ number: Int32) -> [String] {
        ["/proc/self/fd/\(number)/tool", "/proc/self/fd/\(number)/\(up)\(victim.dropFirst())/tool"]
      }
      for number in [leaked] + Array(3...15) {
        for path in tries(number) {
          let result = try run("") { $0.process?.args = [path] }
          #expect(!result.out.contains("executed"), "\(path): \(result)")
          try write("#!\(path)\n", to: rootfs + "/script", mode: 0o755)
          let interpreted = try run("") { $0.process?.args = ["/script"] }
          #expect(!interpreted.out.contains("executed"), "\(path): \(interpreted)")
        }
      }
      try running("sleep 1000") {
        for number in [leaked] + Array(3...15) {
          for path in tries(number) {
            let result = try bundle.berth.run(["exec", "evil", path])
            #expect(!result.out.contains("executed"), "\(path): \(result)")
          }
        }
      }
    }
  }

  @Test("CVE-2016-9962: a process of the container looks into an exec before its program runs")
  func execIsLookedInto() throws {
    // Standard streams are the program's own, and come from outside.
    let watch = """
      while :; do for d in /proc/[0-9]*; do [ $d = /proc/$$ ] && continue
      for f in $d/exe $d/cwd $d/root $d/fd/[3-9] $d/fd/??; do l=$(readlink $f) && case $l in *berth*|*victim*|/memfd*|*cgroup*) echo "$f $l" >>/seen;; esac; done
      cat $d/mem >/dev/null 2>&1 && echo "$d mem" >>/seen; done; done
      """
    try leak { _ in
      try running(watch) {
        for _ in 0..<60 { _ = try bundle.berth.run(["exec", "evil", "true"]) }
      }
    }
    #expect(
      !Sys.exists(rootfs + "/seen"), "\(String(decoding: (try? Sys.readFile(rootfs + "/seen")) ?? [], as: UTF8.self))")
  }

  @Test("CVE-2019-5736: the container opens the runtime's program for writing by /proc/PID/exe")
  func programIsOverwritten() throws {
    let before = try Sys.readFile(bundle.program)
    // An exec of this is the runtime itself, executed inside.
    try write("#!/proc/self/exe\n", to: rootfs + "/tool", mode: 0o755)
    let attack = """
      while :; do for d in /proc/[0-9]*; do case $(readlink $d/exe) in */busybox|"") continue;; esac
      exec 9<$d/exe || continue; n=0; while [ $n -lt 50 ]; do n=$((n+1)); echo evil 2>/dev/null >/proc/self/fd/9 && echo written >>/seen; done; exec 9<&-; done; done
      """
    try running(attack) {
      for _ in 0..<30 { _ = try bundle.berth.run(["exec", "evil", "/tool", "list"], deadline: 20) }
    }
    #expect(!Sys.exists(rootfs + "/seen"))
    #expect(try Sys.readFile(bundle.program) == before)
    // As the first process, too.
    let result = try run("") { $0.process?.args = ["/tool", "--version"] }
    #expect(!result.out.contains("evil"), "\(result)")
    #expect(try Sys.readFile(bundle.program) == before)
  }

  // MARK: Links and mounts

  @Test(
    "CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642: mounts and links that put something else in procfs's place"
  )
  func fakeProc() throws {
    try Sys.symlink("/proc", rootfs + "/straight")
    try Sys.symlink("/proc/self", rootfs + "/deep")
    let binds = [
      "/proc", "/proc/", "/x/../proc", "/proc/self", "/proc/self/attr", "/proc/sys", "/proc/1", "/straight",
      "/straight/sys", "/deep/attr", "/data/../proc/self/attr",
    ]
    for place in binds {
      for mount in [
        RuntimeSpec.Mount(destination: place, type: "bind", source: victim, options: ["rbind"]),
        RuntimeSpec.Mount(destination: place, type: "tmpfs", source: "tmpfs"),
      ] {
        let result = try run("echo started") { $0.mounts.append(mount) }
        #expect(result.status != 0 && !result.out.contains("started"), "\(mount.type ?? "") on \(place): \(result)")
      }
    }
    let own = try run("cat /proc/1/comm") {
      $0.mounts.append(RuntimeSpec.Mount(destination: "/proc", type: "bind", source: "/proc", options: ["rbind"]))
    }
    #expect(own.status == 0, "a procfs may go there: \(own)")
    for name in ["proc", "sys"] {
      try? Sys.rmdir("\(rootfs)/\(name)")
      try Sys.symlink("data", "\(rootfs)/\(name)")
      let result = try run("echo started")
      #expect(result.status != 0 && !result.out.contains("started"), "\(name): \(result)")
      try Sys.unlink("\(rootfs)/\(name)")
      try Sys.mkdir("\(rootfs)/\(name)")
    }
    #expect(isUntouched)
  }

  @Test("CVE-2021-30465, CVE-2024-45310: destinations that lead out of the root, and what is made for them")
  func destinations() throws {
    let up = String(repeating: "../", count: 24)
    try Sys.symlink(up + victim.dropFirst(), rootfs + "/evil")
    try Sys.symlink(victim, rootfs + "/absolute")
    try Sys.symlink("/", rootfs + "/slash")
    try Sys.symlink(victim + "/made", rootfs + "/dangling")
    for place in [
      "/evil", "/evil/new/deep", "/absolute/new", "/slash\(victim)/new", "/dangling", "/\(up)\(victim)/new",
    ] {
      for mount in [
        RuntimeSpec.Mount(destination: place, type: "tmpfs", source: "tmpfs"),
        RuntimeSpec.Mount(destination: place, type: "bind", source: victim, options: ["bind", "ro"]),
        RuntimeSpec.Mount(
          destination: place + "/f", type: "bind", source: victim + "/secret", options: ["bind", "ro"]),
      ] {
        let result = try run("echo started") { spec in
          spec.root?.readonly = false
          spec.mounts.append(mount)
        }
        #expect(isUntouched, "\(place): \(result)")
      }
    }
  }

  @Test("CVE-2025-31133: a null device of the image's in the place of the one that masks")
  func maskByTheImagesNull() throws {
    try write("writable\n", to: rootfs + "/etc/target")
    try Sys.mkdir(rootfs + "/dev")
    for link in ["/etc/target", victim + "/secret", "/proc/sys/kernel/core_pattern"] {
      try? Sys.unlink(rootfs + "/dev/null")
      try Sys.symlink(link, rootfs + "/dev/null")
      let result = try run("stat -c %t:%T /proc/keys; wc -c </proc/keys; echo x >/proc/keys; cat /etc/target") { spec in
        spec.mounts.removeAll { $0.destination == "/dev" || $0.destination.hasPrefix("/dev/") }
        spec.root?.readonly = false
      }
      #expect(result.out == "1:3\n0\nwritable\n", "\(link): \(result)")
    }
    #expect(isUntouched)
  }

  @Test("CVE-2025-52565: a console and a /dev/pts of the image's")
  func console() throws {
    try Sys.mkdirAll(rootfs + "/dev/pts")
    try Sys.symlink(victim + "/secret", rootfs + "/dev/console")
    try Sys.symlink(victim + "/secret", rootfs + "/dev/pts/0")
    try Sys.symlink(victim + "/secret", rootfs + "/dev/pts/ptmx")
    func terminal(_ without: Set<String>) throws -> Command.Result {
      try run("stat -c %F /dev/console; tty; echo typed >/dev/console") { spec in
        spec.process?.terminal = true
        spec.root?.readonly = false
        spec.mounts.removeAll { without.contains($0.destination) }
      }
    }
    #expect(try terminal([]).out.contains("character special file"))
    #expect(try terminal(["/dev"]).out.contains("character special file"))
    let none = try terminal(["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"])
    #expect(none.status != 0, "\(none)")
    #expect(isUntouched)
  }

  @Test("CVE-2026-41579, CVE-2026-47766: an image whose /dev is a link")
  func devIsALink() throws {
    for target in [victim, "../../victim", String(repeating: "../", count: 24) + victim.dropFirst()] {
      try? Sys.removeTree(rootfs + "/dev")
      try Sys.symlink(target, rootfs + "/dev")
      let result = try run("ls -ld /dev | cut -c1; echo >/dev/null && echo null") { $0.root?.readonly = false }
      #expect(result.out == "d\nnull\n", "\(result)")
      try? Sys.removeTree(rootfs + "/dev")
      try Sys.symlink(target, rootfs + "/dev")
      let bare = try run("echo started") { spec in
        spec.mounts.removeAll { $0.destination.hasPrefix("/dev") }
        spec.linux.devices = [RuntimeSpec.Device(type: "c", path: "/dev/evil", major: 1, minor: 3)]
      }
      #expect(bare.status != 0, "\(bare)")
      #expect(isUntouched)
    }
  }

  @Test("CVE-2025-24965: a configuration of a virtual machine that the image brings")
  func krun() throws {
    try Sys.symlink(victim + "/secret", rootfs + "/.krun_vm.json")
    try Sys.symlink(victim + "/new", rootfs + "/.krun_config.json")
    _ = try run("true") { $0.annotations = ["run.oci.handler": "krun", "run.oci.hooks.stdout": victim + "/new"] }
    #expect(isUntouched)
  }

  @Test("groups' paths that lead out of the hierarchies")
  func cgroupPaths() throws {
    for path in ["/../../victim", "..", "/a/../../../tmp/x", "/", "a/./../../b"] {
      let result = try run("echo started") { $0.linux.cgroupsPath = path }
      #expect(result.status != 0 && !result.out.contains("started"), "\(path): \(result)")
    }
  }

  @Test("CVE-2022-0811: parameters of the host's by names that begin as the container's own")
  func sysctls() throws {
    let names = [
      "kernel.core_pattern", "net/../kernel/core_pattern", "net.//.kernel.core_pattern", "net./kernel.core_pattern",
      "fs.mqueue.//.//.kernel.core_pattern", "net/ipv4/../../kernel/core_pattern", "net..kernel.core_pattern", "net.",
      "kernel.shm_rmid_forced+kernel.core_pattern", "kernel/msgmax/../core_pattern", "",
    ]
    // What is there: nothing changes where a name gets through.
    let pattern = String(decoding: try Sys.readFile("/proc/sys/kernel/core_pattern"), as: UTF8.self)
    let value = String(pattern.prefix { $0 != "\n" })
    for name in names {
      let result = try run("echo started") { $0.linux.sysctl = [name: value] }
      #expect(result.status != 0 && !result.out.contains("started"), "\(name): \(result)")
    }
    for name in ["net.ipv4.conf.all.forwarding", "net/ipv4/conf/all/forwarding", "kernel.shm_rmid_forced"] {
      #expect(try run("echo started") { $0.linux.sysctl = [name: "1"] }.out == "started\n", "\(name)")
    }
  }

  // MARK: Rights

  @Test("CVE-2026-30892: a user that isn't a number becomes root")
  func users() throws {
    try write("root:x:0:0::/root:/bin/sh\nboss:x:4294967295:4294967295::/:/bin/sh\n", to: rootfs + "/etc/passwd")
    try running("sleep 1000", { $0.process?.user.uid = 1000 }) {
      for user in [
        "1000x", "x", "0x3e8", "1e3", " 1000", "1000 ", "1000:x", ":x", "-1", "1000:-1", "4294967295", "4294967296",
        "18446744073709551616", "1000:4294967295", "boss", "1000:1000:0", "٠", "+0", "--",
      ] {
        let result = try bundle.berth.run(["exec", "--user=\(user)", "evil", "id", "-u"])
        #expect(result.status != 0 && result.out.isEmpty, "\"\(user)\": \(result)")
      }
      #expect(try bundle.berth.run(["exec", "--user", "7:8", "evil", "id"]).out.hasPrefix("uid=7 gid=8"))
      #expect(try bundle.berth.run(["exec", "evil", "id", "-u"]).out == "1000\n")
    }
    for (uid, gid) in [(UInt32.max, UInt32(5)), (5, .max)] {
      let result = try run("id") { spec in
        spec.process?.user.uid = uid
        spec.process?.user.gid = gid
      }
      #expect(result.status != 0 && result.out.isEmpty, "\(uid):\(gid): \(result)")
    }
  }

  @Test("CVE-2024-9341, CVE-2026-47262: user files that block or never end")
  func userFiles() throws {
    try running("sleep 1000") {
      for (name, make) in [
        ("a pipe", { try Sys.mknod(rootfs + "/etc/passwd", mode: 0o010644, device: 0) }),
        ("a device", { try Sys.mknod(rootfs + "/etc/passwd", mode: 0o020644, device: cl_makedev(1, 5)) }),
        ("a link to the host's", { try Sys.symlink(victim + "/secret", rootfs + "/etc/passwd") }),
        (
          "endless",
          {
            let file = try Sys.open(rootfs + "/etc/passwd", O_WRONLY | O_CREAT)
            try Sys.ftruncate(file.raw, 1 << 40)
          }
        ),
        ("a directory", { try Sys.mkdir(rootfs + "/etc/passwd") }),
      ] as [(String, () throws -> Void)] {
        try? Sys.removeTree(rootfs + "/etc/passwd")
        try make()
        let result = try bundle.berth.run(["exec", "--user", "evil", "evil", "id"], deadline: 10)
        #expect(result.status == 255 && result.out.isEmpty, "\(name): \(result)")
      }
    }
    #expect(isUntouched)
  }

  @Test("CVE-2022-24769, CVE-2022-27650, CVE-2022-29162: inheritable capabilities, of run and of exec")
  func inheritable() throws {
    let script = "awk '/^Cap(Inh|Amb)/{print $2}' /proc/self/status"
    #expect(try run(script).out == "0000000000000000\n0000000000000000\n")
    try running("sleep 1000") {
      for flags in [[], ["--cap", "CAP_SYS_ADMIN"], ["--user", "1000"], ["--cap", "CAP_NET_RAW", "--user", "1000"]] {
        let result = try bundle.berth.run(["exec"] + flags + ["evil", "sh", "-c", script])
        #expect(result.out == "0000000000000000\n0000000000000000\n", "\(flags): \(result)")
      }
      try write(
        "{\"args\":[\"/bin/sh\",\"-c\",\"awk '/^CapEff/{print $2}' /proc/self/status\"],\"cwd\":\"/\"}",
        to: victim + "/../process.json")
      let result = try bundle.berth.run(["exec", "--process", bundle.folder + "/process.json", "evil"])
      #expect(
        result.out.hasSuffix("0000000020000420\n"),
        "a process that doesn't speak of them has the container's: \(result)")
    }
  }

  @Test("a configuration without capabilities gives none")
  func noCapabilities() throws {
    let result = try run("awk '/^Cap/{print $2}' /proc/self/status | sort -u") { $0.process?.capabilities = nil }
    #expect(result.out == "0000000000000000\n", "\(result)")
  }

  @Test("CVE-2023-25809: groups that can be written where the group namespace is the host's")
  func hostsGroups() throws {
    let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/evil 2>/dev/null && echo made; done; echo end"
    let result = try run(script) { spec in spec.linux.namespaces.removeAll { $0.kind == .cgroup } }
    #expect(result.out == "end\n", "\(result)")
  }

  @Test("CVE-2022-0492: a release agent of v1's groups")
  func releaseAgent() throws {
    let script = """
      for f in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do echo /evil 2>/dev/null >$f && echo written; done
      mkdir -p /data/c; for t in rdma memory pids; do mount -t cgroup -o $t none /data/c 2>/dev/null && echo mounted; done
      unshare -UrmC sh -c 'mount -t cgroup -o rdma none /data/c && echo /evil >/data/c/release_agent' 2>/dev/null && echo written
      echo end
      """
    #expect(try run(script) { $0.root?.readonly = false }.out == "end\n")
  }

  @Test("CVE-2025-23266: variables of an image reach the hooks")
  func hooksEnvironment() throws {
    for point in [\RuntimeSpec.Hooks.prestart, \.createRuntime, \.createContainer, \.poststart, \.poststop] {
      let result = try run("true") { spec in
        spec.process?.env += ["LD_PRELOAD=./evil.so", "BASH_ENV=/evil", "PYTHONPATH=/evil"]
        var hook = RuntimeSpec.Hook(path: "/bin/sh")
        hook.args = ["sh", "-c", "cat >/dev/null; env >>\(bundle.folder)/environment"]
        var hooks = RuntimeSpec.Hooks()
        hooks[keyPath: point] = [hook]
        spec.hooks = hooks
      }
      #expect(result.status == 0, "\(result)")
    }
    let environment = String(decoding: try Sys.readFile(bundle.folder + "/environment"), as: UTF8.self)
    #expect(environment.contains("PATH=") && !environment.contains("evil"), "\(environment)")
  }
}

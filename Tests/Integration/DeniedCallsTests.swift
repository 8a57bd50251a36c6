import CLinux
import Kernel
import OCI
import Testing

/// Calls that older kernels lack (ENOSYS) and that filters of container engines deny (EPERM, from those that know of none newer than
/// themselves): denied in truth, by a seccomp filter on everything that is started (launch-probe's `deny`).
@Suite("calls that the kernel denies", .serialized)
struct DeniedCallsTests {
  /// Those that have a substitute, or that nothing depends on.
  static let substituted = [
    "clone3", "close_range", "faccessat2", "keyctl", "epoll_pwait2", "execveat",
  ]
  /// PIDFD_GET_…_NAMESPACE, Linux 6.11; an unknown request is ENOTTY.
  static let requests =
    "ioctl:65281,ioctl:65282,ioctl:65283,ioctl:65284,ioctl:65285,ioctl:65287,ioctl:65289,ioctl:65290=25"
  /// Those without: Linux 5.12, and CAP_SYS_ADMIN by a filter that knows them.
  static let needed = ["fsopen", "open_tree", "move_mount", "mount_setattr", "openat2", "pidfd_send_signal"]

  private func probe() throws -> String {
    let own = try Sys.readlink("/proc/self/exe")
    // Beside the tests; a toolchain's test runner lies elsewhere.
    for folder in [own.split(separator: "/").dropLast().map { "/" + $0 }.joined(), Self.testFolder]
    where Sys.exists(folder + "/launch-probe") {
      return folder + "/launch-probe"
    }
    throw SyscallError("find", "launch-probe", .noSuchFile)
  }

  /// The folder of the bundle that this code was loaded from.
  private static let testFolder: String = {
    let maps = String(decoding: (try? Sys.readFile("/proc/self/maps")) ?? [], as: UTF8.self)
    let line = maps.split(separator: "\n").first { $0.contains("PackageTests.xctest") }
    guard let path = line?.split(separator: " ").last, let slash = path.lastIndex(of: "/") else { return "" }
    return String(path[..<slash])
  }()

  private func denied(_ rules: [String], _ bundle: Bundle) throws -> Bundle.Runtime {
    Bundle.Runtime(
      name: "berth-runtime", command: Command(path: try probe()),
      prefix: ["deny"] + rules + ["--", bundle.program, "--root", bundle.folder + "/berth"])
  }

  @Test("the filter denies what it is told", arguments: [ENOSYS, EPERM])
  func filter(_ errno: Int32) throws {
    let bundle = try Bundle()
    let busybox = try #require(ProcessEnvironment.find("busybox"))
    let plain = try Command(path: busybox).run(["mkdir", bundle.folder + "/one"])
    #expect(plain.status == 0, "\(plain)")
    let result = try Command(path: try probe()).run(
      ["deny", "mkdir,mkdirat=\(errno)", "--", busybox, "mkdir", bundle.folder + "/two"])
    #expect(
      result.status != 0 && result.err.contains(errno == ENOSYS ? "not implemented" : "not permitted"), "\(result)")
  }

  @Test(
    "with a substitute: a whole life of a container, each call by itself and all at once", arguments: [ENOSYS, EPERM])
  func substitutes(_ errno: Int32) throws {
    let bundle = try Bundle()
    let each = Self.substituted.map { ["\($0)=\(errno)"] }
    for rules in each + [[Self.requests], [Self.substituted.joined(separator: ",") + "=\(errno)", Self.requests]] {
      let runtime = try denied(rules, bundle)
      func expect(_ words: [String], status: Int32 = 0, out: String? = nil, line: Int = #line) throws {
        let result = try runtime.run(words, deadline: 30)
        #expect(result.status == status, "\(rules) \(words) (line \(line)): \(result)")
        if let out { #expect(result.out == out, "\(rules) \(words) (line \(line)): \(result)") }
      }
      // Its own group, and nothing open but the three streams and ls's own directory.
      var spec = try bundle.specification("echo $$; ls /proc/self/fd | wc -l; grep -c evil /proc/self/cgroup; exit 3")
      spec.linux.namespaces.removeAll { $0.kind == .cgroup }
      spec.linux.cgroupsPath = "/evil-\(getpid())"
      spec.linux.resources?.pids = 100
      let groups = String(decoding: try Sys.readFile("/proc/self/cgroup"), as: UTF8.self).split(separator: "\n").count
      try bundle.write(spec)
      let run = try runtime.run(["run", "-b", bundle.path, "c"], deadline: 30)
      #expect(run.status == 3 && run.lines.prefix(2) == ["1", "4"], "\(rules): \(run)")
      #expect(Int(run.lines.last ?? "") ?? 0 >= min(groups, 1), "\(rules): \(run)")

      var hook = RuntimeSpec.Hook(path: "/bin/sh")
      hook.args = ["sh", "-c", "cat >\(bundle.folder)/state"]
      spec.process?.args = ["/bin/sleep", "1000"]
      var hooks = RuntimeSpec.Hooks()
      hooks.createRuntime = [hook]
      spec.hooks = hooks
      try bundle.write(spec)
      try expect(["create", "-b", bundle.path, "c"])
      try expect(["start", "c"])
      try expect(["exec", "c", "sh", "-c", "ls /proc/self/fd | wc -l; exit 5"], status: 5, out: "4\n")
      try expect(["pause", "c"])
      try expect(["resume", "c"])
      try expect(["kill", "c", "KILL"])
      try expect(["delete", "--force", "c"])
      #expect(
        String(decoding: try Sys.readFile(bundle.folder + "/state"), as: UTF8.self).contains("\"status\":\"creating\""))
    }
    #expect(try Sys.entries(of: bundle.folder + "/berth").allSatisfy { $0.name.hasPrefix(".") })
  }

  @Test("in a user namespace, without clone3", arguments: [ENOSYS, EPERM])
  func userNamespace(_ errno: Int32) throws {
    let bundle = try Bundle()
    // The container's root is another user here.
    try Sys.chmod(bundle.folder, 0o755)
    try Sys.chown(bundle.path + "/rootfs", 100_000, 100_000)
    var spec = try bundle.specification("id -u; cat /proc/self/uid_map | tr -s ' '; sleep 0")
    spec.linux.namespaces.append(RuntimeSpec.Namespace(.user))
    spec.linux.uidMappings = [RuntimeSpec.IDMapping(containerID: 0, hostID: 100_000, size: 1000)]
    spec.linux.gidMappings = spec.linux.uidMappings
    try bundle.write(spec)
    let result = try denied(["clone3,close_range=\(errno)"], bundle).run(["run", "-b", bundle.path, "c"])
    #expect(result.out == "0\n 0 100000 1000\n", "\(result)")
  }

  @Test("without a substitute: an error that names the call, and nothing left", arguments: [ENOSYS, EPERM])
  func errors(_ errno: Int32) throws {
    let bundle = try Bundle()
    try bundle.write(try bundle.specification("echo started"))
    for call in Self.needed {
      let runtime = try denied(["\(call)=\(errno)"], bundle)
      let result = try runtime.run(["run", "-b", bundle.path, "c"], deadline: 30)
      // Signals are the one thing that a short run doesn't need.
      if call == "pidfd_send_signal", result.status == 0 { continue }
      #expect(result.status == 1 && !result.out.contains("started"), "\(call): \(result)")
      #expect(result.err.contains(call), "\(call): \(result)")
      #expect(
        result.err.contains(errno == ENOSYS ? "Linux 5.12 or later is needed" : "seccomp filter"), "\(call): \(result)")
      #expect(result.err.split(separator: "\n").count == 1, "\(call): \(result)")
    }
    #expect(try bundle.berth.run(["list", "-q"]).out == "")
    #expect(!String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self).contains(bundle.folder))
  }

  @Test("the daemon, its shims and their containers without clone3, close_range and what else is new")
  func engine() throws {
    let rules = ["clone3,close_range,faccessat2,keyctl,epoll_pwait2=\(ENOSYS)", Self.requests]
    try Daemon.with(through: [try probe(), "deny"] + rules + ["--"]) { daemon in
      try daemon.ok("run", "-d", "--name", "cc", "busybox", "sleep", "1000")
      #expect(
        try daemon.ok("exec", "cc", "sh", "-c", "ls /proc/self/fd | wc -l; hostname | wc -c").lines == ["4", "13"])
      #expect(
        try daemon.ok("run", "--rm", "-i", "--init", "-u", "nobody", "busybox", "cat", input: "through\n").out
          == "through\n")
      #expect(
        try daemon.berth.run(["run", "--rm", "-t", "--memory", "64m", "busybox", "sh", "-c", "exit 7"]).status == 7)
      #expect(try daemon.berth.run(["run", "--rm", "busybox", "nosuch"]).status == 127)
      try daemon.ok("stop", "-t", "1", "cc")
      try daemon.ok("rm", "cc")
    }
  }
}

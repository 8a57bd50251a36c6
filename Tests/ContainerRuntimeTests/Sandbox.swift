import CLinux
import Cgroups
import ContainerRuntime
import Kernel
import OCI

/// A rootfs of busybox in a directory of its own, and plans run in it by `launch-probe`. Gone with its last owner.
final class Sandbox {
  let directory: String
  var rootfs: String { directory + "/rootfs" }
  private var count = 0
  private var groups: [String] = []

  static let docker = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
  ]

  init() throws {
    directory = "/tmp/berth-runtime-test-" + Sys.random(8).map { String($0, radix: 16) }.joined()
    for name in [
      "", "/rootfs", "/rootfs/bin", "/rootfs/etc", "/rootfs/tmp", "/rootfs/proc", "/rootfs/sys", "/rootfs/dev",
    ] {
      try Sys.mkdir(directory + name)
    }
    let busybox = try Sys.readFile("/bin/busybox")
    try Sys.replaceFile(rootfs + "/bin/busybox", with: busybox, mode: 0o755, durable: false)
    for applet in [
      "sh", "cat", "ls", "id", "true", "sleep", "echo", "mkdir", "stat", "mount", "hostname", "readlink", "grep", "tty",
      "touch",
      "stty", "ps", "pwd", "env", "kill", "test", "head", "ln", "chroot", "umount", "dd", "wc", "mknod", "date", "cut",
    ] { try Sys.symlink("busybox", rootfs + "/bin/" + applet) }
    try write("root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n", to: "/etc/passwd")
    try write("root:x:0:\nwheel:x:10:root,ann\nann:x:1001:\naudio:x:29:\nstaff:x:50:\n", to: "/etc/group")
  }

  deinit {
    // A probe that had to be killed leaves its container.
    if let layout = try? CgroupLayout.probe() {
      for path in groups {
        guard let group = try? Cgroup(path: path, layout: layout), group.exists else { continue }
        try? group.killAll()
        try? group.remove()
      }
    }
    try? Sys.removeTree(directory)
  }

  func write(_ text: String, to path: String) throws {
    try Sys.replaceFile(rootfs + path, with: Array(text.utf8), durable: false)
  }

  /// As Docker would have it, with fresh namespaces and no network but loopback.
  func plan(_ arguments: [String], _ change: (inout LaunchPlan) -> Void = { _ in }) -> LaunchPlan {
    count += 1
    let id = "berth-test-" + (directory.split(separator: "-").last ?? "") + "-\(count)"
    groups.append("/" + id)
    var spec = RuntimeSpec()
    spec.hostname = "box"
    spec.process = process(arguments)
    spec.mounts = [
      .init(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]),
      .init(
        destination: "/dev", type: "tmpfs", source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
      .init(
        destination: "/dev/pts", type: "devpts", source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
      .init(destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]),
      .init(
        destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro", "nosuid", "noexec", "nodev"]),
      .init(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
      .init(
        destination: "/dev/shm", type: "tmpfs", source: "shm",
        options: ["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
    ]
    spec.linux.namespaces = [.init(.mount), .init(.uts), .init(.pid), .init(.ipc), .init(.network), .init(.cgroup)]
    spec.linux.cgroupsPath = "/" + id
    spec.linux.maskedPaths = ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/sys/firmware"]
    spec.linux.readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    var plan = LaunchPlan(
      id: id, spec: spec, rootfs: .directory(rootfs), user: "",
      stdio: .init(terminal: false, openStdin: false, stdinOnce: false), exitRecord: directory + "/exit.json")
    change(&plan)
    return plan
  }

  func process(_ arguments: [String]) -> RuntimeSpec.Process {
    var process = RuntimeSpec.Process()
    process.args = arguments
    process.env = ["PATH=/usr/bin:/bin"]
    var capabilities = RuntimeSpec.Capabilities()
    (capabilities.bounding, capabilities.effective, capabilities.permitted) = (Self.docker, Self.docker, Self.docker)
    process.capabilities = capabilities
    return process
  }

  func exec(_ arguments: [String], _ change: (inout ExecPlan) -> Void = { _ in }) -> ExecPlan {
    var plan = ExecPlan(
      id: "exec", process: process(arguments), user: nil, seccompFilter: nil,
      stdio: .init(terminal: false, openStdin: false, stdinOnce: false))
    change(&plan)
    return plan
  }

  struct Outcome {
    var output = ""
    var code: Int64?
    var failure: LaunchFailure?
    var warnings: [String] = []
    var execs: [Exec] = []
    var left: [String] = []
    var descriptors: [Int64] = []
    /// The cgroup still exists.
    var groupRemains = false
    /// Lines of the host's mount table that name the sandbox.
    var mounts: [String] = []

    struct Exec {
      var code: Int64?
      var failure: LaunchFailure?
    }
  }

  /// Runs shell text in a new container.
  func sh(_ text: String, _ change: (inout LaunchPlan) -> Void = { _ in }) throws -> Outcome {
    try run(plan(["sh", "-c", text], change))
  }

  func run(_ plan: LaunchPlan, execs: [ExecPlan] = [], options: [String] = []) throws -> Outcome {
    count += 1
    let prefix = directory + "/\(count)"
    try Sys.replaceFile(prefix + ".plan", with: plan.encoded(), durable: false)
    var arguments = [prefix + ".plan", "--result", prefix + ".result"] + options
    for (index, exec) in execs.enumerated() {
      try Sys.replaceFile(prefix + ".exec\(index)", with: exec.encoded(), durable: false)
      arguments += ["--exec", prefix + ".exec\(index)"]
    }
    let output = try Probe.run(arguments, output: prefix + ".output")
    var outcome = Outcome(output: output)
    let result = try JSON.parse(try Sys.readFile(prefix + ".result"))
    outcome.code = result["code"]?.intValue
    outcome.failure = try result["failure"].map { try LaunchFailure(try JSONFields($0)) }
    outcome.warnings = result["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? []
    outcome.left = result["left"]?.arrayValue?.compactMap(\.stringValue) ?? []
    outcome.descriptors = result["descriptors"]?.arrayValue?.compactMap(\.intValue) ?? []
    for exec in result["execs"]?.arrayValue ?? [] {
      outcome.execs.append(
        .init(code: exec["code"]?.intValue, failure: try exec["failure"].map { try LaunchFailure(try JSONFields($0)) }))
    }
    let group = plan.spec.linux.cgroupsPath ?? ""
    for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"] {
      if Sys.exists(root + group) { outcome.groupRemains = true }
    }
    outcome.mounts = String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self).split(separator: "\n")
      .filter { $0.contains(directory) }.map(String.init)
    return outcome
  }
}

/// `launch-probe`, built beside the tests.
enum Probe {
  struct Failure: Error { let message: String }

  static func run(_ arguments: [String], output: String) throws -> String {
    let own = try Sys.readlink("/proc/self/exe")
    let path = own.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/launch-probe"
    let file = try Sys.open(output, O_RDWR | O_CREAT | O_TRUNC | O_APPEND, mode: 0o600)
    let null = try Sys.open("/dev/null", O_RDWR)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, null.raw, 0)
    posix_spawn_file_actions_adddup2(&actions, file.raw, 1)
    posix_spawn_file_actions_adddup2(&actions, file.raw, 2)
    var argv: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) }
    defer { for argument in argv { free(argument) } }
    argv.append(nil)
    // Where the libraries are, in the virtual machine.
    var environment: [UnsafeMutablePointer<CChar>?] = []
    if let libraries = getenv("LD_LIBRARY_PATH") {
      environment.append(strdup("LD_LIBRARY_PATH=" + String(cString: libraries)))
    }
    defer { for variable in environment { free(variable) } }
    environment.append(nil)
    var pid: pid_t = 0
    guard posix_spawn(&pid, path, &actions, nil, argv, environment) == 0 else {
      throw Failure(message: "spawn \(path)")
    }
    let pidfd = try Sys.pidfdOpen(pid)
    guard try Sys.poll(pidfd.raw, Int16(POLLIN), timeout: 60_000) != 0 else {
      try Sys.sendSignal(pidfd: pidfd.raw, SIGKILL)
      _ = try Sys.wait(pidfd: pidfd.raw)
      throw Failure(message: "launch-probe did not end within a minute: \(arguments)")
    }
    let exit = try Sys.wait(pidfd: pidfd.raw)
    guard exit == .exited(0) else {
      throw Failure(
        message:
          "launch-probe: \(String(describing: exit)): \(String(decoding: try Sys.readFile(output), as: UTF8.self))")
    }
    return String(decoding: try Sys.readFile(output), as: UTF8.self)
  }
}

import CLinux
import Kernel
import OCI

/// `spec`: a configuration to begin with.
enum Spec {
  static let command = RuntimeCommand.Command(
    name: "spec", usage: "[flags]", summary: "write a config.json to begin with",
    flags: [
      Flag("bundle", "b", value: "DIR", "the bundle; the working directory when not given"),
      Flag("rootless", nil, "for a user without rights"),
    ], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let path = (call.options.value("bundle") ?? ".") + "/config.json"
    do throws(SyscallError) {
      let file = try Sys.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o666)
      try Sys.writeAll(file.raw, specification(rootless: call.options.has("rootless")).json.indented("\t") + "\n")
    } catch {
      if error.errno == .fileExists { throw CommandError("file config.json exists. Remove it first") }
      throw CommandError(error)
    }
    return 0
  }

  static func specification(rootless: Bool) -> RuntimeSpec {
    var spec = RuntimeSpec()
    var process = RuntimeSpec.Process()
    process.terminal = true
    process.args = ["sh"]
    process.env = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"]
    process.noNewPrivileges = true
    process.rlimits = [RuntimeSpec.Rlimit(type: "RLIMIT_NOFILE", soft: 1024, hard: 1024)]
    var capabilities = RuntimeSpec.Capabilities()
    let names = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]
    (capabilities.bounding, capabilities.effective, capabilities.permitted) = (names, names, names)
    process.capabilities = capabilities
    spec.process = process
    spec.root = RuntimeSpec.Root(path: "rootfs", readonly: true)
    spec.hostname = "berth"
    let closed = ["nosuid", "noexec", "nodev"]
    spec.mounts = [
      RuntimeSpec.Mount(destination: "/proc", type: "proc", source: "proc"),
      RuntimeSpec.Mount(
        destination: "/dev", type: "tmpfs", source: "tmpfs",
        options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
      RuntimeSpec.Mount(
        destination: "/dev/pts", type: "devpts", source: "devpts",
        options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] + (rootless ? [] : ["gid=5"])),
      RuntimeSpec.Mount(
        destination: "/dev/shm", type: "tmpfs", source: "shm", options: closed + ["mode=1777", "size=65536k"]),
      RuntimeSpec.Mount(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: closed),
      rootless
        ? RuntimeSpec.Mount(destination: "/sys", type: "none", source: "/sys", options: ["rbind"] + closed + ["ro"])
        : RuntimeSpec.Mount(destination: "/sys", type: "sysfs", source: "sysfs", options: closed + ["ro"]),
      RuntimeSpec.Mount(
        destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: closed + ["relatime", "ro"]),
    ]
    var kinds: [RuntimeSpec.NamespaceKind] = [.pid, .ipc, .uts, .mount, .cgroup]
    kinds.append(rootless ? .user : .network)
    spec.linux.namespaces = kinds.map { RuntimeSpec.Namespace($0) }
    if rootless {
      spec.linux.uidMappings = [RuntimeSpec.IDMapping(containerID: 0, hostID: geteuid(), size: 1)]
      spec.linux.gidMappings = [RuntimeSpec.IDMapping(containerID: 0, hostID: getegid(), size: 1)]
    } else {
      var resources = RuntimeSpec.Resources()
      resources.devices = [RuntimeSpec.DeviceRule(allow: false, access: "rwm")]
      spec.linux.resources = resources
    }
    spec.linux.maskedPaths = [
      "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
      "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
    ]
    spec.linux.readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    return spec
  }
}

import CLinux
import Kernel
import OCI
import Testing

/// What of the host a container gets or is kept to, where a table's row isn't enough.
@Suite("the runtime and the host's resources", .serialized)
struct HostResourceTests {
  private func shell(_ script: String) throws -> Command.Result {
    try Command(path: "/bin/sh").run(["-c", "exec 2>&1; set -e; " + script])
  }

  @Test("update: by a document and by each flag, seen in the group's files")
  func update() throws {
    let bundle = try Bundle()
    var spec = try bundle.specification("sleep 100")
    spec.linux.cgroupsPath = "/berth-update-\(getpid())"
    try bundle.write(spec)
    try #require(try bundle.berth.run(["run", "-d", "-b", bundle.path, "c"]).status == 0)
    defer { _ = try? bundle.berth.run(["delete", "-f", "c"]) }
    /// v1's file, or v2's.
    func value(_ v1: String, _ v2: String) throws -> String {
      let group = "berth-update-\(getpid())"
      let controller = v1.prefix { $0 != "." }
      for path in ["/sys/fs/cgroup/\(controller)/\(group)/\(v1)", "/sys/fs/cgroup/\(group)/\(v2)"] {
        if let bytes = try? Sys.readFile(path) {
          return String(String(decoding: bytes, as: UTF8.self).dropLast())
        }
      }
      return ""
    }
    func update(_ words: [String], input: String? = nil) throws -> Command.Result {
      try bundle.berth.command.run(bundle.berth.prefix + ["update"] + words + ["c"], input: input)
    }
    let isV2 = Sys.exists("/sys/fs/cgroup/cgroup.controllers")
    let flags = try update([
      "--memory", "64m", "--memory-reservation", "32m", "--memory-swap", "128m", "--cpu-share", "2048", "--cpu-quota",
      "30000", "--cpu-period", "60000", "--cpu-burst", "10000", "--cpuset-cpus", "0", "--cpuset-mems", "0",
      "--pids-limit", "77", "--kernel-memory", "1g", "--kernel-memory-tcp", "1g", "--blkio-weight", "300",
    ])
    #expect(flags.status == 0, "\(flags)")
    #expect(try value("memory.limit_in_bytes", "memory.max") == "\(64 << 20)")
    #expect(try value("memory.soft_limit_in_bytes", "memory.low") == "\(32 << 20)")
    #expect(try value("pids.max", "pids.max") == "77")
    #expect(try value("cpuset.cpus", "cpuset.cpus") == "0")
    #expect(try value("cpu.cfs_burst_us", "cpu.max.burst") == "10000")
    if !isV2 {
      #expect(try value("cpu.shares", "") == "2048")
      #expect(try value("cpu.cfs_quota_us", "") == "30000")
      #expect(try value("cpu.cfs_period_us", "") == "60000")
    } else {
      #expect(try value("", "cpu.max") == "30000 60000")
    }
    // A flag stands over the document.
    let document = #"{"memory":{"limit":134217728,"swap":268435456},"pids":{"limit":5},"cpu":{"idle":1}}"#
    let both = try update(["-r", "-", "--pids-limit", "-1"], input: document)
    #expect(both.status == 0, "\(both)")
    #expect(try value("memory.limit_in_bytes", "memory.max") == "\(128 << 20)")
    #expect(try value("pids.max", "pids.max") == "max")
    #expect(try value("cpu.idle", "cpu.idle") == "1")

    let checked = try update(["-r", "-"], input: #"{"memory":{"limit":4096,"checkBeforeUpdate":true}}"#)
    #expect(checked.status == 1)
    #expect(checked.err.contains("rejecting memory limit 4096 < usage"), "\(checked)")
    #expect(try value("memory.limit_in_bytes", "memory.max") == "\(128 << 20)")
    let wrong = try update(["-r", "-"], input: #"{"memory":{"limit":"much"}}"#)
    #expect(wrong.status == 1)
    #expect(wrong.err.contains("memory.limit: "), "\(wrong)")
    let absent = try update(["--l3-cache-schema", "L3:0=ff"])
    #expect(absent.status == 1)
    #expect(absent.err.contains("linux.intelRdt: "), "\(absent)")
  }

  @Test("without a cgroup the container stays in its creator's, and its limits are warnings")
  func withoutCgroup() throws {
    let bundle = try Bundle()
    var spec = try bundle.specification("sleep 100")
    spec.linux.cgroupsPath = "/berth-none-\(getpid())"
    spec.linux.resources?.pids = 7
    spec.linux.namespaces.removeAll { $0.kind == .cgroup }
    try bundle.write(spec)
    func run(_ words: [String]) throws -> Command.Result {
      try bundle.berth.command.run(bundle.berth.prefix + ["--cgroup-manager", "disabled"] + words)
    }
    let created = try run(["run", "-d", "-b", bundle.path, "c"])
    #expect(created.status == 0, "\(created)")
    defer { _ = try? run(["delete", "-f", "c"]) }
    #expect(created.err.contains("pids limit discarded: no pids controller is mounted"), "\(created)")
    #expect(!Sys.exists("/sys/fs/cgroup/pids/berth-none-\(getpid())"))
    let inside = try run(["exec", "c", "cat", "/proc/self/cgroup"])
    #expect(inside.out == String(decoding: try Sys.readFile("/proc/self/cgroup"), as: UTF8.self), "\(inside)")
    let deleted = try run(["delete", "-f", "c"])
    #expect(deleted.status == 0, "\(deleted)")
  }

  @Test("an interface of the host's moves in, with its addresses and another name")
  func netDevices() throws {
    guard ProcessEnvironment.find("ip") != nil else {
      print("➜ netDevices: ip isn't installed")
      return
    }
    let bundle = try Bundle()
    let name = "bnd\(getpid() % 100_000)"
    let made = try shell(
      """
      ip link add \(name) type veth peer name \(name)p
      ip link set \(name) mtu 1400 address 02:00:00:00:12:34 up
      ip addr add 192.0.2.77/24 dev \(name)
      ip addr add 2001:db8::77/64 dev \(name) nodad
      """)
    defer { _ = try? shell("ip link del \(name)p") }
    try #require(made.status == 0, "\(made)")
    var spec = try bundle.specification(
      "ip -o link show eth7 | grep -oE 'mtu [0-9]+|[<,]UP[,>]|02:00[:0-9]+'; ip -o addr show eth7 | awk '{print $4}' | grep -v fe80"
    )
    spec.linux.netDevices = [name: "eth7"]
    try bundle.write(spec)
    let result = try bundle.berth.run(["run", "-b", bundle.path, "c"])
    #expect(
      result.lines.map { $0.filter { $0 != "<" && $0 != "," && $0 != ">" } }
        == ["UP", "mtu 1400", "02:00:00:00:12:34", "192.0.2.77/24", "2001:db8::77/64"], "\(result)")

    // It went with the container's namespace; what isn't there is refused, and nothing is left of the container.
    let gone = try bundle.berth.run(["run", "-b", bundle.path, "c"])
    #expect(gone.status == 1)
    #expect(gone.err.contains("linux.netDevices[\"\(name)\"]: "), "\(gone)")
    spec.linux.namespaces.removeAll { $0.kind == .network }
    try bundle.write(spec)
    let shared = try bundle.berth.run(["run", "-b", bundle.path, "c"])
    #expect(shared.err.contains("linux.netDevices[\"\(name)\"]: the container needs a network namespace"), "\(shared)")
    #expect(try Sys.entries(of: bundle.folder + "/berth").allSatisfy { $0.name.hasPrefix(".") })
  }

  @Test("a group of resctrl that is there is joined and written")
  func resctrl() throws {
    guard let unshare = ProcessEnvironment.find("unshare") else { return print("➜ resctrl: unshare isn't installed") }
    let bundle = try Bundle()
    var spec = try bundle.specification("true")
    var rdt = RuntimeSpec.IntelRDT()
    rdt.closID = "gold"
    rdt.schemata = ["L3:0=f0"]
    rdt.memBwSchema = "MB:0=20"
    spec.linux.intelRDT = rdt
    try bundle.write(spec)
    try Sys.mkdir(bundle.folder + "/cgroup")
    // No machine of the tests' has it: plain files stand for the kernel's.
    let script = """
      set -e
      mount --rbind /sys/fs/cgroup \(bundle.folder)/cgroup
      mount -t tmpfs fs /sys/fs
      mkdir -p /sys/fs/cgroup /sys/fs/resctrl/gold
      mount --rbind \(bundle.folder)/cgroup /sys/fs/cgroup
      for file in schemata gold/schemata gold/tasks; do : >/sys/fs/resctrl/$file; done
      \(bundle.program) --root \(bundle.folder)/berth run -b \(bundle.path) c
      cat /sys/fs/resctrl/gold/schemata
      grep -cE '^[0-9]+$' /sys/fs/resctrl/gold/tasks
      ls /sys/fs/resctrl
      """
    let result = try Command(path: unshare).run(["-m", "sh", "-c", script])
    // Each line is a write of its own, which begins at the file's start.
    #expect(result.line == "MB:0=20\n1\ngold\nschemata", "\(result)")
  }
}

import Kernel
import OCI

/// Rows about what a container may use of the host.
extension RuntimeConformanceTests {
  typealias Resources = RuntimeSpec.Resources

  static let resourceCases: [Case] = throttles + cpu + refusals + memoryPolicy

  /// A disk of this host, which has throttles whatever its scheduler is.
  private static let disk: (major: Int64, minor: Int64)? = {
    for name in (try? Sys.entries(of: "/sys/block").map(\.name).sorted()) ?? [] {
      guard let bytes = try? Sys.readFile("/sys/block/\(name)/dev") else { continue }
      let numbers = String(decoding: bytes, as: UTF8.self).split(whereSeparator: { $0 == ":" || $0 == "\n" })
      if numbers.count == 2, let major = Int64(numbers[0]), let minor = Int64(numbers[1]) { return (major, minor) }
    }
    return nil
  }()

  /// Each of v1's files, or v2's one.
  private static let throttles: [Case] = {
    guard let disk else { return [] }
    let script = """
      cd /sys/fs/cgroup
      if [ -d blkio ]; then cat blkio/blkio.throttle.*_device; else tr ' ' '\\n' <io.max; fi | grep -E '[0-9]{6}' | grep -oE '[0-9]+$' | sort
      """
    return [
      Case("throttles of a disk", script, "1000001\n1000002\n1000003\n1000004") { spec in
        var blockIO = Resources.BlockIO()
        func throttle(_ rate: UInt64) -> [Resources.Throttle] {
          [Resources.Throttle(major: disk.major, minor: disk.minor, rate: rate)]
        }
        blockIO.throttleReadBps = throttle(1_000_001)
        blockIO.throttleWriteBps = throttle(1_000_002)
        blockIO.throttleReadIOPS = throttle(1_000_003)
        blockIO.throttleWriteIOPS = throttle(1_000_004)
        spec.linux.resources?.blockIO = blockIO
      }
    ]
  }()

  private static let cpu: [Case] = [
    Case(
      "cpu quota, period and burst",
      "cd /sys/fs/cgroup; if [ -d cpu ]; then cd cpu; cat cpu.cfs_quota_us cpu.cfs_period_us cpu.cfs_burst_us; else tr ' ' '\\n' <cpu.max; cat cpu.max.burst; fi",
      "40000\n50000\n10000", differs: ["runc": "burst came with version 1.2"]
    ) { spec in
      var cpu = Resources.CPU()
      (cpu.quota, cpu.period, cpu.burst) = (40_000, 50_000, 10_000)
      spec.linux.resources?.cpu = cpu
    },
    Case(
      "cpu idle", "cat /sys/fs/cgroup/cpu/cpu.idle /sys/fs/cgroup/cpu.idle 2>/dev/null", "1",
      differs: ["crun": "knows it on v2 alone", "runc": "knows it on v2 alone"]
    ) { spec in
      var cpu = Resources.CPU()
      cpu.idle = 1
      spec.linux.resources?.cpu = cpu
      spec.process?.args[2] += "; true"
    },
    Case(
      "cpu shares",
      "cat /sys/fs/cgroup/cpu/cpu.shares 2>/dev/null || cat /sys/fs/cgroup/cpu.weight >/dev/null && echo 512",
      nil
    ) { spec in
      var cpu = Resources.CPU()
      cpu.shares = 512
      spec.linux.resources?.cpu = cpu
    },
    Case("cpuset", "grep Cpus_allowed_list /proc/self/status | awk '{print $2}'", "0") { spec in
      var cpu = Resources.CPU()
      (cpu.cpus, cpu.mems) = ("0", "0")
      spec.linux.resources?.cpu = cpu
    },
  ]

  private static let refusals: [Case] =
    [
      has("rdma")
        ? []
        : [
          Case(
            "rdma without its controller is refused", "true", nil, status: 1,
            says: "linux.resources.rdma[\"mlx5_0\"]: ",
            differs: ["crun": "ignores it", "runc": "ignores it"]
          ) { spec in spec.linux.resources?.rdma = ["mlx5_0": Resources.RDMA(hcaHandles: 2, hcaObjects: 2000)] }
        ],
      has("net_cls")
        ? []
        : [
          Case(
            "a class of packets without net_cls is refused", "true", nil, status: 1,
            says: "linux.resources.network.classID: ", differs: ["runc": "ignores it"]
          ) { spec in
            var network = Resources.Network()
            network.classID = 0x10_0001
            spec.linux.resources?.network = network
          },
          Case(
            "priorities of packets without net_prio are refused", "true", nil, status: 1,
            says: "linux.resources.network.priorities[0]: ", differs: ["runc": "ignores it"]
          ) { spec in
            var network = Resources.Network()
            network.priorities = [Resources.Network.Priority(name: "lo", priority: 3)]
            spec.linux.resources?.network = network
          },
        ],
      Sys.exists("/sys/fs/resctrl/schemata")
        ? []
        : [
          Case("intelRdt without resctrl is refused", "true", nil, status: 1, says: "linux.intelRdt: ") { spec in
            var rdt = RuntimeSpec.IntelRDT()
            rdt.l3CacheSchema = "L3:0=ff"
            spec.linux.intelRDT = rdt
          }
        ],
    ].flatMap { $0 }

  private static func has(_ controller: String) -> Bool {
    let mounts = (try? Sys.readFile("/proc/self/mountinfo")).map { String(decoding: $0, as: UTF8.self) } ?? ""
    let unified = (try? Sys.readFile("/sys/fs/cgroup/cgroup.controllers")).map { String(decoding: $0, as: UTF8.self) }
    return mounts.split(separator: "\n").contains { $0.contains("cgroup") && $0.contains(controller) }
      || unified?.contains(controller) ?? false
  }

  /// The kernel shows a policy only where it knows memory nodes.
  private static let memoryPolicy: [Case] = {
    let young = [
      "crun": "came with the specification's version 1.3", "runc": "came with the specification's version 1.3",
    ]
    let shown: [Case] =
      Sys.exists("/proc/self/numa_maps")
      ? [
        Case("memoryPolicy", "awk '{print $2}' /proc/self/numa_maps | sort -u", "bind=static:0", differs: young) {
          spec in
          spec.linux.memoryPolicy = RuntimeSpec.MemoryPolicy(
            mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"])
        }
      ] : []
    return shown + [
      Case(
        "an unknown memoryPolicy is refused", "true", nil, status: 1, says: "linux.memoryPolicy.mode: ", differs: young
      ) { spec in spec.linux.memoryPolicy = RuntimeSpec.MemoryPolicy(mode: "MPOL_ANYWHERE") },
      Case(
        "a memoryPolicy without nodes is refused", "true", nil, status: 1, says: "linux.memoryPolicy.nodes: ",
        differs: young
      ) { spec in spec.linux.memoryPolicy = RuntimeSpec.MemoryPolicy(mode: "MPOL_BIND") },
    ]
  }()
}

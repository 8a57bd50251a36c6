public import Cgroups
import Kernel

/// What this host can limit and how large it is: read once at the daemon's start. Serves validation and `GET /info`.
public struct HostFacts: Sendable {
  public var memoryLimit = true
  public var swapLimit = true
  public var memorySwappiness = true
  public var oomKillDisable = true
  public var cpuShares = true
  public var cpuQuota = true
  public var cpuset = true
  public var pidsLimit = true
  public var blkioWeight = true
  public var blkioWeightDevice = true
  /// As the kernel lists them: `0-1`; empty when unknown.
  public var cpusetCpus = ""
  public var cpusetMems = ""
  public var cpus: Int
  /// Bytes.
  public var memory: Int64
  public var kernel: (major: Int, minor: Int)
  public var layout: CgroupLayout

  public init(cpus: Int, memory: Int64, kernel: (major: Int, minor: Int), layout: CgroupLayout) {
    self.cpus = cpus
    self.memory = memory
    self.kernel = kernel
    self.layout = layout
  }

  /// Reads `/proc` and the cgroup mounts.
  public static func read(layout: CgroupLayout) throws -> HostFacts {
    var facts = HostFacts(
      cpus: max(1, onlineProcessors()), memory: memoryTotal(), kernel: try Kernel.version(), layout: layout)
    func v1(_ controller: String, _ file: String) -> Bool {
      guard let hierarchy = layout.hierarchies.first(where: { $0.controllers.contains(controller) }) else {
        return false
      }
      return Sys.exists(hierarchy.mountPoint + "/" + file)
    }
    switch layout.mode {
    case .v2:
      let controllers = Set(layout.unifiedControllers)
      facts.memoryLimit = controllers.contains("memory")
      facts.swapLimit = facts.memoryLimit && Sys.exists("/proc/swaps")
      facts.memorySwappiness = false
      facts.oomKillDisable = false
      facts.cpuShares = controllers.contains("cpu")
      facts.cpuQuota = facts.cpuShares
      facts.cpuset = controllers.contains("cpuset")
      facts.pidsLimit = controllers.contains("pids")
      facts.blkioWeight = controllers.contains("io")
      facts.blkioWeightDevice = facts.blkioWeight
      facts.cpusetCpus = text(layout.unified.map { $0 + "/cpuset.cpus.effective" })
      facts.cpusetMems = text(layout.unified.map { $0 + "/cpuset.mems.effective" })
    case .v1, .hybrid:
      facts.memoryLimit = v1("memory", "memory.limit_in_bytes")
      facts.swapLimit = v1("memory", "memory.memsw.limit_in_bytes")
      facts.memorySwappiness = v1("memory", "memory.swappiness")
      facts.oomKillDisable = v1("memory", "memory.oom_control")
      facts.cpuShares = v1("cpu", "cpu.shares")
      facts.cpuQuota = v1("cpu", "cpu.cfs_quota_us")
      facts.cpuset = v1("cpuset", "cpuset.cpus")
      facts.pidsLimit = layout.hierarchies.contains { $0.controllers.contains("pids") }
      // Only BFQ has weights since Linux 5.0
      facts.blkioWeight = v1("blkio", "blkio.weight") || v1("blkio", "blkio.bfq.weight")
      facts.blkioWeightDevice = v1("blkio", "blkio.weight_device") || v1("blkio", "blkio.bfq.weight_device")
      let cpuset = layout.hierarchies.first { $0.controllers.contains("cpuset") }?.mountPoint
      facts.cpusetCpus = text(cpuset.map { $0 + "/cpuset.cpus" })
      facts.cpusetMems = text(cpuset.map { $0 + "/cpuset.mems" })
    }
    return facts
  }

  /// A file's text without its line feed; empty when it can't be read.
  private static func text(_ path: String?) -> String {
    guard let path, let bytes = try? Sys.readFile(path, limit: 4096) else { return "" }
    return String(decoding: bytes, as: UTF8.self).trimmed
  }

  private static func onlineProcessors() -> Int { NumberList.parse(text("/sys/devices/system/cpu/online"))?.count ?? 1 }

  private static func memoryTotal() -> Int64 {
    let line = text("/proc/meminfo").split(separator: "\n").first { $0.hasPrefix("MemTotal:") }
    let kilobytes = line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int64($0) } ?? 0
    return kilobytes << 10
  }
}

extension String {
  /// Without white space at both ends.
  var trimmed: String {
    guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace }) else {
      return ""
    }
    return String(self[first...last])
  }
}

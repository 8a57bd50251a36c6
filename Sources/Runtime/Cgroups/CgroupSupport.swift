import Kernel

/// Which limits this host can keep, for `info` and for warnings at create. Probed once.
public struct CgroupSupport: Sendable, Equatable {
  public var memoryLimit = false
  public var swapLimit = false
  public var memoryReservation = false
  public var memorySwappiness = false
  public var oomKillDisable = false
  public var cpuShares = false
  public var cpuQuota = false
  public var cpuRealtime = false
  public var cpuset = false
  public var pids = false
  public var blockIOWeight = false
  public var blockIOThrottle = false
  public var hugetlb = false
  public var devices = false
  public var freezer = false
  /// The processors and memory nodes that groups may use, as lists (`0-3`); empty without cpuset.
  public var cpus = ""
  public var mems = ""

  public init() {}

  /// Looks at the files of a group that exists (v2's root has few): the daemon's parent group.
  public init(_ group: Cgroup) throws(CgroupError) {
    func has(_ controller: String, _ v1: String, _ v2: String) -> Bool {
      guard let place = group.place(controller) else { return false }
      let name = place.isUnified ? v2 : v1
      return !name.isEmpty && Sys.exists(place.directory + "/" + name)
    }
    memoryLimit = has("memory", "memory.limit_in_bytes", "memory.max")
    swapLimit = has("memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    memoryReservation = has("memory", "memory.soft_limit_in_bytes", "memory.low")
    memorySwappiness = has("memory", "memory.swappiness", "")
    oomKillDisable = has("memory", "memory.oom_control", "")
    cpuShares = has("cpu", "cpu.shares", "cpu.weight")
    cpuQuota = has("cpu", "cpu.cfs_quota_us", "cpu.max")
    cpuRealtime = has("cpu", "cpu.rt_runtime_us", "")
    cpuset = has("cpuset", "cpuset.cpus", "cpuset.cpus")
    pids = has("pids", "pids.max", "pids.max")
    blockIOWeight = has("blkio", "blkio.weight", "io.weight") || has("blkio", "blkio.bfq.weight", "io.bfq.weight")
    blockIOThrottle = has("blkio", "blkio.throttle.read_bps_device", "io.max")
    hugetlb = group.place("hugetlb") != nil
    devices = group.place("devices") != nil
    freezer = group.unifiedPlace != nil || group.place("freezer") != nil
    if let place = group.place("cpuset") {
      cpus = try group.readIfPresent(place, place.isUnified ? "cpuset.cpus.effective" : "cpuset.cpus") ?? ""
      mems = try group.readIfPresent(place, place.isUnified ? "cpuset.mems.effective" : "cpuset.mems") ?? ""
    }
  }
}

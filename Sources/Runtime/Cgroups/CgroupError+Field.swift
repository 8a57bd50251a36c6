extension CgroupError {
  /// The field of `linux.resources` that the file is the kernel's of, when a limit was refused: `cpu.quota`.
  public var field: String? {
    guard operation == "set", reason?.hasPrefix("linux.resources.") != true else { return nil }
    let file = String(path.split(separator: "/").last ?? "")
    if let field = Self.fields[file] { return field }
    if file.hasPrefix("hugetlb.") { return "hugepageLimits" }
    if file.hasPrefix("blkio.") || file.hasPrefix("io.") { return "blockIO" }
    return file.hasPrefix("devices.") ? "devices" : nil
  }

  /// v1's files, then v2's; one file of v2 may be of two fields, of which the first is told.
  private static let fields: [String: String] = [
    "memory.limit_in_bytes": "memory.limit", "memory.memsw.limit_in_bytes": "memory.swap",
    "memory.soft_limit_in_bytes": "memory.reservation", "memory.kmem.tcp.limit_in_bytes": "memory.kernelTCP",
    "memory.swappiness": "memory.swappiness", "memory.oom_control": "memory.disableOOMKiller",
    "cpu.shares": "cpu.shares", "cpu.cfs_quota_us": "cpu.quota", "cpu.cfs_period_us": "cpu.period",
    "cpu.cfs_burst_us": "cpu.burst", "cpu.rt_runtime_us": "cpu.realtimeRuntime",
    "cpu.rt_period_us": "cpu.realtimePeriod",
    "cpu.idle": "cpu.idle", "cpuset.cpus": "cpu.cpus", "cpuset.mems": "cpu.mems", "pids.max": "pids.limit",
    "blkio.throttle.read_bps_device": "blockIO.throttleReadBpsDevice",
    "blkio.throttle.write_bps_device": "blockIO.throttleWriteBpsDevice",
    "blkio.throttle.read_iops_device": "blockIO.throttleReadIOPSDevice",
    "blkio.throttle.write_iops_device": "blockIO.throttleWriteIOPSDevice",
    "blkio.weight": "blockIO.weight", "blkio.bfq.weight": "blockIO.weight",
    "blkio.weight_device": "blockIO.weightDevice", "blkio.bfq.weight_device": "blockIO.weightDevice",
    "blkio.leaf_weight": "blockIO.leafWeight", "net_cls.classid": "network.classID",
    "net_prio.ifpriomap": "network.priorities", "rdma.max": "rdma",
    "memory.max": "memory.limit", "memory.swap.max": "memory.swap", "memory.low": "memory.reservation",
    "cpu.weight": "cpu.shares", "cpu.max": "cpu.quota", "cpu.max.burst": "cpu.burst",
  ]
}

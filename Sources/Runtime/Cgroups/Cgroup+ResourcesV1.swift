import Kernel
import OCI

extension Cgroup {
  func setMemoryV1(_ memory: RuntimeSpec.Resources.Memory, _ place: Place) throws(CgroupError) -> [String] {
    var warnings: [String] = []
    var swap = memory.swap.flatMap { $0 == 0 ? nil : $0 }
    let limit = memory.limit.flatMap { $0 == 0 ? nil : $0 }
    if memory.checkBeforeUpdate == true, let limit { try checkUsage(limit, "memory.usage_in_bytes", place) }
    let countsSwap = Sys.exists(place.directory + "/memory.memsw.limit_in_bytes")
    if let asked = swap, !countsSwap {
      if asked > 0 && asked != limit { warnings.append("swap limit discarded: this kernel doesn't account for swap") }
      swap = nil
    } else if limit == -1 && swap == nil && countsSwap {
      // unlimited memory beside limited memory and swap is refused
      swap = -1
    }
    // The kernel wants memory <= memory+swap after each write: raise the sum first, lower it last.
    var swapFirst = false
    if let swap, limit != nil {
      let current = try number(place, "memory.limit_in_bytes") ?? .max
      swapFirst = swap == -1 || current < UInt64(clamping: swap)
    }
    if let swap, swapFirst { try write(place, "memory.memsw.limit_in_bytes", String(swap)) }
    if let limit { try setMemoryLimit(limit, "memory.limit_in_bytes", place) }
    if let swap, !swapFirst { try setMemoryLimit(swap, "memory.memsw.limit_in_bytes", place) }
    if let reservation = memory.reservation, reservation != 0 {
      try write(place, "memory.soft_limit_in_bytes", String(reservation))
    }
    if let limit = memory.kernelTCP, try !writeIfPresent(place, "memory.kmem.tcp.limit_in_bytes", String(limit)) {
      warnings.append("kernel TCP memory limit discarded: this kernel has no memory.kmem.tcp.limit_in_bytes")
    }
    if let disable = memory.disableOOMKiller {
      let isDisabled = try table(place, "memory.oom_control")["oom_kill_disable"] == 1
      if disable != isDisabled {
        try write(place, "memory.oom_control", disable ? "1" : "0")
      }
    }
    if let swappiness = memory.swappiness, swappiness != UInt64(bitPattern: -1) {
      guard swappiness <= 100 else {
        throw CgroupError(
          "set", controller: "memory", path: place.directory + "/memory.swappiness", value: String(swappiness),
          .invalidArgument,
          reason: "invalid memory swappiness value: \(swappiness) (valid range is 0-100)")
      }
      try write(place, "memory.swappiness", String(swappiness))
    }
    return warnings
  }

  /// `checkBeforeUpdate`: a limit below what is in use is refused, before anything is reclaimed or killed for it.
  func checkUsage(_ limit: Int64, _ file: String, _ place: Place) throws(CgroupError) {
    guard limit > 0, let usage = try number(place, file), usage > UInt64(clamping: limit) else { return }
    throw CgroupError(
      "set", controller: "memory", path: place.directory, value: String(limit), .busy,
      reason: "rejecting memory limit \(limit) < usage \(usage)")
  }

  /// EBUSY is the kernel's word for "more is in use, and can't be reclaimed".
  private func setMemoryLimit(_ limit: Int64, _ file: String, _ place: Place) throws(CgroupError) {
    do throws(CgroupError) { try write(place, file, String(limit)) } catch  where error.errno == .busy {
      let stem = file.dropLast("limit_in_bytes".count)
      let usage = try number(place, stem + "usage_in_bytes") ?? 0
      let peak = try number(place, stem + "max_usage_in_bytes") ?? 0
      throw CgroupError(
        "set", controller: "memory", path: error.path, value: error.value, .busy,
        reason: "unable to set memory limit to \(limit) (current usage: \(usage), peak usage: \(peak))")
    }
  }

  func setCPUV1(_ cpu: RuntimeSpec.Resources.CPU, _ place: Place) throws(CgroupError) -> [String] {
    var warnings: [String] = []
    if let shares = cpu.shares, shares != 0 {
      try write(place, "cpu.shares", String(shares))
      // the kernel clamps without a word
      if let read = try number(place, "cpu.shares"), read != shares {
        throw CgroupError(
          "set", controller: "cpu", path: place.directory + "/cpu.shares", value: String(shares), .invalidArgument,
          reason: "the \(shares > read ? "maximum" : "minimum") allowed cpu-shares is \(read)")
      }
    }
    // Period, burst and quota are checked against each other by the kernel: what it refuses at first (EINVAL) may do once the new quota
    // is in.
    let hasQuota = (cpu.quota ?? 0) != 0
    var late: [(String, String)] = []
    func attempt(_ file: String, _ value: String) throws(CgroupError) {
      do throws(CgroupError) { try write(place, file, value) } catch  where error.errno == .invalidArgument && hasQuota
      {
        late.append((file, value))
      }
    }
    if let period = cpu.period, period != 0 { try attempt("cpu.cfs_period_us", String(period)) }
    if let burst = cpu.burst {
      if Sys.exists(place.directory + "/cpu.cfs_burst_us") {
        try attempt("cpu.cfs_burst_us", String(burst))
      } else {
        warnings.append("cpu burst discarded: this kernel has no cpu.cfs_burst_us")
      }
    }
    if let quota = cpu.quota, quota != 0 {
      try write(place, "cpu.cfs_quota_us", String(max(quota, -1)))
      for (file, value) in late { try write(place, file, value) }
    }
    if let idle = cpu.idle, try !writeIfPresent(place, "cpu.idle", String(idle)) {
      warnings.append("cpu idle discarded: this kernel has no cpu.idle")
    }
    try setRealtime(cpu, place)
    return warnings
  }

  private func setRealtime(_ cpu: RuntimeSpec.Resources.CPU, _ place: Place) throws(CgroupError) {
    var late: String?
    if let period = cpu.realtimePeriod, period != 0 {
      do throws(CgroupError) {
        try write(place, "cpu.rt_period_us", String(period))
      } catch  where error.errno == .invalidArgument && (cpu.realtimeRuntime ?? 0) != 0 { late = String(period) }
    }
    if let runtime = cpu.realtimeRuntime, runtime != 0 {
      try write(place, "cpu.rt_runtime_us", String(runtime))
      if let late { try write(place, "cpu.rt_period_us", late) }
    }
  }

  func setBlockIOV1(_ blockIO: RuntimeSpec.Resources.BlockIO, _ place: Place) throws(CgroupError) -> [String] {
    var warnings: [String] = []
    // CFQ's file is gone since Linux 5.0; BFQ's is there once a disk uses that scheduler
    let weightFile = ["blkio.weight", "blkio.bfq.weight"].first { Sys.exists(place.directory + "/" + $0) }
    if let weight = blockIO.weight, weight != 0 {
      if let weightFile {
        try write(place, weightFile, String(weight))
      } else {
        warnings.append("block io weight discarded: no disk scheduler of this host knows weights")
      }
    }
    if let weight = blockIO.leafWeight, weight != 0, try !writeIfPresent(place, "blkio.leaf_weight", String(weight)) {
      warnings.append("block io leaf weight discarded: no disk scheduler of this host knows weights")
    }
    for device in blockIO.weightDevice {
      for (weight, file) in [(device.weight, weightFile), (device.leafWeight, "blkio.leaf")] where (weight ?? 0) != 0 {
        let line = "\(device.major):\(device.minor) \(weight ?? 0)"
        if try file.map({ (name) throws(CgroupError) in try writeIfPresent(place, name + "_device", line) }) ?? false {
          continue
        }
        warnings.append(
          "block io weight of \(device.major):\(device.minor) discarded: no disk scheduler of this host knows weights")
      }
    }
    for throttle in blockIO.throttles {
      for device in throttle.values {
        try write(place, throttle.file, "\(device.major):\(device.minor) \(device.rate)")
      }
    }
    return warnings
  }
}

import Kernel
import OCI

extension Cgroup {
  func setMemoryV2(_ memory: RuntimeSpec.Resources.Memory, _ place: Place) throws(CgroupError) -> [String] {
    var warnings: [String] = []
    let limit = memory.limit.flatMap { $0 == 0 ? nil : $0 }
    if memory.checkBeforeUpdate == true, let limit { try checkUsage(limit, "memory.current", place) }
    let swap: Int64?
    do throws(Cgroups.SwapReason) {
      swap = try Cgroups.swapLimit(memoryAndSwap: memory.swap, memory: limit)
    } catch {
      throw CgroupError(
        "set", controller: "memory", path: place.directory + "/memory.swap.max", value: String(memory.swap ?? 0),
        .invalidArgument,
        reason: error.text)
    }
    if let swap, try !writeIfPresent(place, "memory.swap.max", swap == -1 ? "max" : String(swap)), swap > 0 {
      warnings.append("swap limit discarded: this kernel doesn't account for swap")
    }
    if let limit { try write(place, "memory.max", limit < 0 ? "max" : String(limit)) }
    if let reservation = memory.reservation, reservation != 0 {
      try write(place, "memory.low", reservation < 0 ? "max" : String(reservation))
    }
    if let swappiness = memory.swappiness, swappiness != UInt64(bitPattern: -1) {
      warnings.append("memory swappiness discarded: cgroup v2 has none")
    }
    if memory.kernelTCP != nil { warnings.append("kernel TCP memory limit discarded: cgroup v2 has none") }
    if memory.disableOOMKiller == true { warnings.append("disabling of the OOM killer discarded: cgroup v2 can't") }
    return warnings
  }

  func setCPUV2(_ cpu: RuntimeSpec.Resources.CPU, _ place: Place) throws(CgroupError) -> [String] {
    var warnings: [String] = []
    if let idle = cpu.idle, try !writeIfPresent(place, "cpu.idle", String(idle)) {
      warnings.append("cpu idle discarded: this kernel has no cpu.idle")
    }
    if let shares = cpu.shares, shares != 0 {
      try write(place, "cpu.weight", String(Cgroups.cpuWeight(shares: shares)))
    }
    let setsTime = (cpu.quota ?? 0) != 0 || (cpu.period ?? 0) != 0
    var lateBurst: String?
    if let burst = cpu.burst {
      // checked against the quota, which may be about to change
      do throws(CgroupError) {
        if try !writeIfPresent(place, "cpu.max.burst", String(burst)) {
          warnings.append("cpu burst discarded: this kernel has no cpu.max.burst")
        }
      } catch  where error.errno == .invalidArgument && setsTime { lateBurst = String(burst) }
    }
    if setsTime {
      // one file for both: what isn't named stays
      let current = try read(place, "cpu.max").split(separator: " ").map(String.init)
      let quota: String
      switch cpu.quota ?? 0 {
      case 0: quota = current.first ?? "max"
      case ..<0: quota = "max"
      case let value: quota = String(value)
      }
      let period = cpu.period.flatMap { $0 == 0 ? nil : String($0) } ?? current.dropFirst().first ?? "100000"
      try write(place, "cpu.max", quota + " " + period)
      if let lateBurst { try write(place, "cpu.max.burst", lateBurst) }
    }
    if (cpu.realtimeRuntime ?? 0) != 0 || (cpu.realtimePeriod ?? 0) != 0 {
      warnings.append("realtime cpu limits discarded: cgroup v2 has none")
    }
    return warnings
  }

  func setBlockIOV2(_ blockIO: RuntimeSpec.Resources.BlockIO, _ place: Place) throws(CgroupError) -> [String] {
    var warnings: [String] = []
    if let weight = blockIO.weight, weight != 0 {
      if try !writeIfPresent(place, "io.bfq.weight", String(weight)),
        try !writeIfPresent(place, "io.weight", String(Cgroups.ioWeight(blkioWeight: weight)))
      {
        warnings.append("block io weight discarded: no disk scheduler of this host knows weights")
      }
    }
    for device in blockIO.weightDevice {
      guard let weight = device.weight, weight != 0 else { continue }
      let name = "\(device.major):\(device.minor)"
      if try !writeIfPresent(place, "io.bfq.weight", "\(name) \(weight)"),
        try !writeIfPresent(place, "io.weight", "\(name) \(Cgroups.ioWeight(blkioWeight: weight))")
      {
        warnings.append("block io weight of \(name) discarded: no disk scheduler of this host knows weights")
      }
    }
    for throttle in blockIO.throttles {
      for device in throttle.values {
        // 0 takes a throttle back on v1; v2's word for it is max
        let rate = device.rate == 0 ? "max" : String(device.rate)
        try write(place, "io.max", "\(device.major):\(device.minor) \(throttle.key)=\(rate)")
      }
    }
    return warnings
  }
}

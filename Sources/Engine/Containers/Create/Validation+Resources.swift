import Errdefs

extension Validation {
  private static let minimumMemory: Int64 = 6 << 20

  private static func refuse(_ text: String) -> EngineError { .invalidParameter(text) }

  /// daemon/daemon_unix.go `verifyPlatformContainerResources`
  mutating func resources(_ resources: inout HostResources, update: Bool) throws {
    try memory(&resources, update: update)
    try processor(&resources)
    try cpuset(&resources)
    try blockIO(&resources)
    if let limit = resources.pidsLimit, !host.pidsLimit {
      if limit > 0 {
        warnings.append(
          "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.")
      }
      resources.pidsLimit = nil
    }
  }

  private mutating func memory(_ resources: inout HostResources, update: Bool) throws {
    if resources.memorySwappiness == -1 { resources.memorySwappiness = nil }
    if resources.memory != 0, resources.memory < Self.minimumMemory {
      throw Self.refuse("Minimum memory limit allowed is 6MB")
    }
    if resources.memory > 0, !host.memoryLimit {
      warnings.append(
        "Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.")
      resources.memory = 0
      resources.memorySwap = -1
    }
    if resources.memory > 0, resources.memorySwap != -1, !host.swapLimit {
      warnings.append(
        "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap."
      )
      resources.memorySwap = -1
    }
    if resources.memory > 0, resources.memorySwap > 0, resources.memorySwap < resources.memory {
      throw Self.refuse("Minimum memoryswap limit should be larger than memory limit, see usage")
    }
    if resources.memory == 0, resources.memorySwap > 0, !update {
      throw Self.refuse("You should always set the Memory limit when using Memoryswap limit, see usage")
    }
    if resources.memorySwappiness != nil, !host.memorySwappiness {
      warnings.append(
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded."
      )
      resources.memorySwappiness = nil
    }
    if let value = resources.memorySwappiness, !(0...100).contains(value) {
      throw Self.refuse("Invalid value: \(value), valid memory swappiness range is 0-100")
    }
    if resources.memoryReservation > 0, resources.memoryReservation < Self.minimumMemory {
      throw Self.refuse("Minimum memory reservation allowed is 6MB")
    }
    if resources.memory > 0, resources.memoryReservation > 0, resources.memory < resources.memoryReservation {
      throw Self.refuse("Minimum memory limit can not be less than memory reservation limit, see usage")
    }
    if resources.oomKillDisable != nil, !host.oomKillDisable {
      if resources.oomKillDisable == true {
        warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
      }
      resources.oomKillDisable = nil
    }
    if resources.oomKillDisable == true, resources.memory == 0 {
      warnings.append(
        """
        OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of \
        resources.
        """)
    }
  }

  private mutating func processor(_ resources: inout HostResources) throws {
    if resources.nanoCPUs > 0, resources.cpuPeriod > 0 {
      throw Self.refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    }
    if resources.nanoCPUs > 0, resources.cpuQuota > 0 {
      throw Self.refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    }
    if resources.nanoCPUs > 0, !host.cpuQuota {
      throw Self.refuse(
        "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted")
    }
    if resources.nanoCPUs < 0 || resources.nanoCPUs > Int64(host.cpus) * 1_000_000_000 {
      throw Self.refuse(
        "Range of CPUs is from 0.01 to \(host.cpus).00, as there are only \(host.cpus) CPUs available")
    }
    if resources.cpuShares > 0, !host.cpuShares {
      warnings.append("Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.")
      resources.cpuShares = 0
    }
    if resources.cpuPeriod != 0 || resources.cpuQuota != 0, !host.cpuQuota {
      warnings.append("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.")
      resources.cpuPeriod = 0
      resources.cpuQuota = 0
    }
    if resources.cpuPeriod != 0, !(1000...1_000_000).contains(resources.cpuPeriod) {
      throw Self.refuse("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    }
    if resources.cpuQuota > 0, resources.cpuQuota < 1000 {
      throw Self.refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    }
    if resources.cpuRealtimePeriod != 0 || resources.cpuRealtimeRuntime != 0 {
      throw Self.refuse("Your kernel does not support CPU real-time scheduler")
    }
  }

  private mutating func cpuset(_ resources: inout HostResources) throws {
    if !resources.cpusetCpus.isEmpty || !resources.cpusetMems.isEmpty, !host.cpuset {
      warnings.append("Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.")
      resources.cpusetCpus = ""
      resources.cpusetMems = ""
    }
    if !resources.cpusetCpus.isEmpty {
      guard let asked = NumberList.parse(resources.cpusetCpus) else {
        throw Self.refuse("Invalid value \(resources.cpusetCpus) for cpuset cpus")
      }
      guard asked.isSubset(of: NumberList.parse(host.cpusetCpus) ?? asked) else {
        throw Self.refuse(
          "Requested CPUs are not available - requested \(resources.cpusetCpus), available: \(host.cpusetCpus)")
      }
    }
    if !resources.cpusetMems.isEmpty {
      guard let asked = NumberList.parse(resources.cpusetMems) else {
        throw Self.refuse("Invalid value \(resources.cpusetMems) for cpuset mems")
      }
      guard asked.isSubset(of: NumberList.parse(host.cpusetMems) ?? asked) else {
        throw Self.refuse(
          "Requested memory nodes are not available - requested \(resources.cpusetMems), available: \(host.cpusetMems)")
      }
    }
  }

  private mutating func blockIO(_ resources: inout HostResources) throws {
    if resources.blkioWeight > 0, !host.blkioWeight {
      warnings.append("Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.")
      resources.blkioWeight = 0
    }
    if resources.blkioWeight > 0, !(10...1000).contains(resources.blkioWeight) {
      throw Self.refuse("Range of blkio weight is from 10 to 1000")
    }
    if !(resources.blkioWeightDevice ?? []).isEmpty, !host.blkioWeightDevice {
      warnings.append(
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.")
      resources.blkioWeightDevice = []
    }
  }
}

/// `0-2,7`, as cpuset(7) lists.
enum NumberList {
  /// `nil` when it isn't one. At most 8,192 numbers.
  static func parse(_ text: String) -> Set<Int>? {
    var result: Set<Int> = []
    let trimmed = text.filter { !$0.isWhitespace }
    if trimmed.isEmpty { return result }
    for part in trimmed.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { Int($0) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, first >= 0, last >= first, last < 8192 else {
        return nil
      }
      result.formUnion(first...last)
    }
    return result
  }
}

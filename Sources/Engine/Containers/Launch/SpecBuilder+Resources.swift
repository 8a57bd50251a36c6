import Cgroups
import Errdefs
import OCI

extension SpecBuilder {
  func devices() throws -> [RuntimeSpec.Device] {
    let host = snapshot.hostConfig
    let mapped = host.resources.devices ?? []
    if host.privileged {
      return try DeviceList.all()
        + mapped.filter { $0.pathOnHost != $0.pathInContainer }
        .flatMap { try DeviceList.devices(at: $0.pathOnHost, as: $0.pathInContainer) }
    }
    return try mapped.flatMap { try DeviceList.devices(at: $0.pathOnHost, as: $0.pathInContainer) }
  }

  func resources() throws -> RuntimeSpec.Resources {
    var result = try Self.limits(snapshot.hostConfig.resources)
    result.devices = try deviceRules()
    return result
  }

  private func deviceRules() throws -> [RuntimeSpec.DeviceRule] {
    let host = snapshot.hostConfig
    if host.privileged { return Cgroups.allDevices }
    var rules = Cgroups.defaultDevices
    for mapping in host.resources.devices ?? [] {
      let access = mapping.permissions.isEmpty ? "rwm" : mapping.permissions
      guard access.allSatisfy({ "rwm".contains($0) }) else {
        throw EngineError.invalidParameter("invalid device mode: \(mapping.permissions)")
      }
      for device in try DeviceList.devices(at: mapping.pathOnHost, as: mapping.pathInContainer) {
        rules.append(
          RuntimeSpec.DeviceRule(
            allow: true, type: device.type, major: device.major, minor: device.minor, access: access))
      }
    }
    return rules + (try (host.resources.deviceCgroupRules ?? []).map(DeviceList.rule))
  }

  /// The limits without the devices: for a start and for an update.
  static func limits(_ resources: HostResources) throws -> RuntimeSpec.Resources {
    var result = RuntimeSpec.Resources()
    result.memory = memory(resources)
    result.cpu = try processor(resources)
    if let pids = resources.pidsLimit { result.pids = pids > 0 ? pids : -1 }
    result.blockIO = try blockIO(resources)
    return result
  }

  private static func memory(_ resources: HostResources) -> RuntimeSpec.Resources.Memory? {
    var memory = RuntimeSpec.Resources.Memory()
    if resources.memory > 0 { memory.limit = resources.memory }
    if resources.memoryReservation > 0 { memory.reservation = resources.memoryReservation }
    if resources.memorySwap != 0 { memory.swap = resources.memorySwap }
    if let swappiness = resources.memorySwappiness { memory.swappiness = UInt64(exactly: swappiness) }
    if resources.oomKillDisable == true { memory.disableOOMKiller = true }
    return memory == RuntimeSpec.Resources.Memory() ? nil : memory
  }

  private static func processor(_ resources: HostResources) throws -> RuntimeSpec.Resources.CPU? {
    var cpu = RuntimeSpec.Resources.CPU()
    if resources.cpuShares < 0 {
      throw EngineError.invalidParameter(
        "shares: invalid argument: The minimum allowed cpu-shares is 2")
    }
    if resources.cpuShares > 0 { cpu.shares = UInt64(resources.cpuShares) }
    if resources.nanoCPUs > 0 {
      // 100 ms, the scheduler's own default.
      cpu.period = 100_000
      cpu.quota = resources.nanoCPUs / 10_000
    }
    if resources.cpuPeriod > 0 { cpu.period = UInt64(resources.cpuPeriod) }
    if resources.cpuQuota != 0 { cpu.quota = resources.cpuQuota }
    if resources.cpuRealtimePeriod > 0 { cpu.realtimePeriod = UInt64(resources.cpuRealtimePeriod) }
    if resources.cpuRealtimeRuntime > 0 { cpu.realtimeRuntime = resources.cpuRealtimeRuntime }
    if !resources.cpusetCpus.isEmpty { cpu.cpus = resources.cpusetCpus }
    if !resources.cpusetMems.isEmpty { cpu.mems = resources.cpusetMems }
    return cpu == RuntimeSpec.Resources.CPU() ? nil : cpu
  }

  private static func blockIO(_ resources: HostResources) throws -> RuntimeSpec.Resources.BlockIO? {
    typealias BlockIO = RuntimeSpec.Resources.BlockIO
    var result = BlockIO()
    if resources.blkioWeight > 0 { result.weight = resources.blkioWeight }
    result.weightDevice = try (resources.blkioWeightDevice ?? []).map {
      let (major, minor) = try DeviceList.numbers(of: $0.path)
      return RuntimeSpec.Resources.Weight(major: major, minor: minor, weight: $0.weight)
    }
    func throttles(_ devices: [HostResources.ThrottleDevice]?) throws -> [RuntimeSpec.Resources.Throttle] {
      try (devices ?? []).map {
        let (major, minor) = try DeviceList.numbers(of: $0.path)
        return RuntimeSpec.Resources.Throttle(major: major, minor: minor, rate: $0.rate)
      }
    }
    result.throttleReadBps = try throttles(resources.blkioDeviceReadBps)
    result.throttleWriteBps = try throttles(resources.blkioDeviceWriteBps)
    result.throttleReadIOPS = try throttles(resources.blkioDeviceReadIOps)
    result.throttleWriteIOPS = try throttles(resources.blkioDeviceWriteIOps)
    return result == BlockIO() ? nil : result
  }
}

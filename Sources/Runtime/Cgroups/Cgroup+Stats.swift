import Kernel

extension Cgroup {
  /// What the group uses now. ENOENT when it isn't there.
  public func stats() throws(CgroupError) -> CgroupStats {
    guard exists else { throw CgroupError("read", controller: "cgroup", path: path, .noSuchFile) }
    var stats = CgroupStats()
    stats.cpu = try cpuStats()
    if let place = place("memory") { stats.memory = try memoryStats(place) }
    if let place = place("pids") {
      stats.pids = CgroupStats.Pids(
        current: try number(place, "pids.current") ?? 0, limit: try number(place, "pids.max"))
    }
    if let place = place("blkio") { stats.blockIO = place.isUnified ? try ioStats(place) : try blkioStats(place) }
    return stats
  }

  private func cpuStats() throws(CgroupError) -> CgroupStats.CPU? {
    var cpu = CgroupStats.CPU()
    let place = place("cpu")
    if let place, place.isUnified {
      let table = try table(place, "cpu.stat")
      cpu.usage = (table["usage_usec"] ?? 0) &* 1000
      cpu.user = (table["user_usec"] ?? 0) &* 1000
      cpu.system = (table["system_usec"] ?? 0) &* 1000
      cpu.periods = table["nr_periods"] ?? 0
      cpu.throttledPeriods = table["nr_throttled"] ?? 0
      cpu.throttledTime = (table["throttled_usec"] ?? 0) &* 1000
      return cpu
    }
    if let place {
      let table = try table(place, "cpu.stat")
      cpu.periods = table["nr_periods"] ?? 0
      cpu.throttledPeriods = table["nr_throttled"] ?? 0
      cpu.throttledTime = table["throttled_time"] ?? 0
    }
    guard let accounting = self.place("cpuacct"), !accounting.isUnified else { return place == nil ? nil : cpu }
    cpu.usage = try number(accounting, "cpuacct.usage") ?? 0
    cpu.user = try number(accounting, "cpuacct.usage_user") ?? 0
    cpu.system = try number(accounting, "cpuacct.usage_sys") ?? 0
    cpu.perCPU = try readIfPresent(accounting, "cpuacct.usage_percpu")?.split(separator: " ").compactMap { UInt64($0) }
    return cpu
  }

  /// v1 says "no limit" by the largest multiple of a page that fits 63 bits.
  private static let unlimitedV1: UInt64 = 0x7fff_ffff_ffff_0000

  private func memoryStats(_ place: Place) throws(CgroupError) -> CgroupStats.Memory {
    var memory = CgroupStats.Memory()
    memory.stat = try table(place, "memory.stat")
    if place.isUnified {
      memory.usage = try number(place, "memory.current") ?? 0
      memory.maxUsage = try number(place, "memory.peak")
      memory.failures = try table(place, "memory.events")["oom"]
      memory.limit = try number(place, "memory.max")
    } else {
      memory.usage = try number(place, "memory.usage_in_bytes") ?? 0
      memory.maxUsage = try number(place, "memory.max_usage_in_bytes")
      memory.failures = try number(place, "memory.failcnt")
      memory.limit = try number(place, "memory.limit_in_bytes").flatMap { $0 >= Self.unlimitedV1 ? nil : $0 }
    }
    return memory
  }

  /// Lines of `8:0 Read 4096`, and a last `Total 4096` of all devices, which Docker leaves out.
  private func blkioStats(_ place: Place) throws(CgroupError) -> CgroupStats.BlockIO {
    func entries(_ names: [String]) throws(CgroupError) -> [CgroupStats.BlockIOEntry] {
      for name in names {
        guard let text = try readIfPresent(place, name) else { continue }
        return text.split(separator: "\n").compactMap { line in
          let fields = line.split(whereSeparator: { $0 == " " || $0 == ":" })
          guard fields.count == 4, let major = UInt64(fields[0]), let minor = UInt64(fields[1]),
            let value = UInt64(fields[3])
          else {
            return nil
          }
          return CgroupStats.BlockIOEntry(major: major, minor: minor, operation: String(fields[2]), value: value)
        }
      }
      return []
    }
    var blockIO = CgroupStats.BlockIO()
    blockIO.serviceBytes = try entries(["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"])
    blockIO.serviced = try entries(["blkio.throttle.io_serviced_recursive", "blkio.throttle.io_serviced"])
    return blockIO
  }

  /// Lines of `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
  private func ioStats(_ place: Place) throws(CgroupError) -> CgroupStats.BlockIO {
    var blockIO = CgroupStats.BlockIO()
    for line in (try readIfPresent(place, "io.stat") ?? "").split(separator: "\n") {
      let fields = line.split(separator: " ")
      let device = fields.first?.split(separator: ":") ?? []
      guard device.count == 2, let major = UInt64(device[0]), let minor = UInt64(device[1]) else { continue }
      for field in fields.dropFirst() {
        let pair = field.split(separator: "=")
        guard pair.count == 2, let value = UInt64(pair[1]) else { continue }
        switch pair[0] {
        case "rbytes": blockIO.serviceBytes.append(.init(major: major, minor: minor, operation: "read", value: value))
        case "wbytes": blockIO.serviceBytes.append(.init(major: major, minor: minor, operation: "write", value: value))
        case "rios": blockIO.serviced.append(.init(major: major, minor: minor, operation: "read", value: value))
        case "wios": blockIO.serviced.append(.init(major: major, minor: minor, operation: "write", value: value))
        default: continue
        }
      }
    }
    return blockIO
  }
}

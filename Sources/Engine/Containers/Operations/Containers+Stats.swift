import CLinux
import Cgroups
import Errdefs
import Kernel
import OCI

extension Containers {
  /// One sample of a container's counters; an empty one (`read` is 0) when it doesn't run.
  public func stats(_ reference: String) async throws -> ContainerStats {
    let container = try find(reference)
    let snapshot = container.snapshot
    guard snapshot.state.alive else {
      return ContainerStats(read: 0, processes: 0, cpu: [:], memory: [:], blkio: [:], pids: [:], networks: nil)
    }
    let group = try cgroup(of: snapshot)
    let (counters, system) = try await blocking { (try group.stats(), Self.systemUsage()) }
    return ContainerStats(
      read: Sys.realtimeNanoseconds(), processes: 0, cpu: cpu(counters, system: system), memory: memory(counters),
      blkio: blockIO(counters), pids: pids(counters), networks: try networks.statistics(containerID: container.id))
  }

  /// Nanoseconds that all processors have spent, as the first seven columns of `/proc/stat` count them.
  private static func systemUsage() -> UInt64 {
    guard let bytes = try? Sys.readFile("/proc/stat", limit: 1 << 20) else { return 0 }
    let line = bytes.prefix { $0 != UInt8(ascii: "\n") }
    let ticks = String(decoding: line, as: UTF8.self).split(separator: " ").dropFirst().prefix(7).compactMap {
      UInt64($0)
    }
    return ticks.reduce(0, &+) &* (1_000_000_000 / UInt64(max(1, sysconf(Int32(_SC_CLK_TCK)))))
  }

  private func cpu(_ stats: CgroupStats, system: UInt64) -> JSON {
    let cpu = stats.cpu ?? CgroupStats.CPU()
    var usage = JSONBuilder()
    usage.set("total_usage", integer: cpu.usage)
    if let each = cpu.perCPU { usage.set("percpu_usage", .array(each.map { JSON($0) })) }
    usage.set("usage_in_kernelmode", integer: cpu.system)
    usage.set("usage_in_usermode", integer: cpu.user)
    return [
      "cpu_usage": usage.json, "system_cpu_usage": JSON(system), "online_cpus": JSON(host.cpus),
      "throttling_data": [
        "periods": JSON(cpu.periods), "throttled_periods": JSON(cpu.throttledPeriods),
        "throttled_time": JSON(cpu.throttledTime),
      ],
    ]
  }

  private func memory(_ stats: CgroupStats) -> JSON {
    guard let memory = stats.memory else { return [:] }
    var json = JSONBuilder()
    json.set("usage", integer: memory.usage)
    if let peak = memory.maxUsage, host.layout.mode != .v2 { json.set("max_usage", integer: peak) }
    json.set("stats", .object(JSONObject(memory.stat.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value)) })))
    if let failures = memory.failures, failures > 0 { json.set("failcnt", integer: failures) }
    let machine = UInt64(max(0, host.memory))
    json.set("limit", integer: min(memory.limit ?? machine, machine))
    return json.json
  }

  private func pids(_ stats: CgroupStats) -> JSON {
    guard let pids = stats.pids else { return [:] }
    var json = JSONBuilder()
    json.set("current", integer: pids.current)
    // 2⁶⁴ - 1 without a limit, which no JSON library of 64 signed bits keeps.
    json.set("limit", integer: pids.limit ?? .max)
    return json.json
  }

  private func blockIO(_ stats: CgroupStats) -> JSON {
    func list(_ entries: [CgroupStats.BlockIOEntry]?) -> JSON {
      guard let entries, !entries.isEmpty else { return .null }
      return .array(
        entries.map {
          ["major": JSON($0.major), "minor": JSON($0.minor), "op": JSON($0.operation), "value": JSON($0.value)]
        })
    }
    let v2 = host.layout.mode == .v2
    var json = JSONBuilder()
    json.set("io_service_bytes_recursive", list(stats.blockIO?.serviceBytes))
    json.set("io_serviced_recursive", v2 ? .null : list(stats.blockIO?.serviced))
    for name in ["io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time"] {
      json.set(name + "_recursive", .null)
    }
    json.set("sectors_recursive", .null)
    return json.json
  }
}

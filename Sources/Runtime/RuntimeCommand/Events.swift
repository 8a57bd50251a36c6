import Cgroups
import CLinux
import Kernel
import OCI

/// `events`: what a container uses, a line of JSON each time, and a line when it is out of memory; until it ends.
enum Events {
  static let command = RuntimeCommand.Command(
    name: "events", usage: "[flags] ID", summary: "show what a container uses, and when it is out of memory",
    flags: [
      Flag("interval", value: "DURATION", "between two lines (5s)"), Flag("stats", nil, "one line, then end"),
    ], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let container = try Container(try call.containerID(), root: call.root)
    let milliseconds = try duration(call.options.value("interval") ?? "5s")
    guard milliseconds > 0 else { throw CommandError("duration interval must be greater than 0") }
    guard try container.status() != .stopped else {
      throw CommandError("container with id \(container.id) is not running")
    }
    let cgroup = try container.cgroup()
    func print(_ type: String, _ data: JSON?) {
      var builder = JSONBuilder()
      builder.set("type", type)
      builder.set("id", container.id)
      builder.set("data", data)
      Output.write(builder.json.text + "\n")
    }
    func stats() throws(CommandError) {
      print("stats", json(try attemptCgroup { () throws(CgroupError) in try cgroup.stats() }))
    }
    guard !call.options.has("stats") else {
      try stats()
      return 0
    }
    let process = try container.process()
    let watch: OOMWatch?
    do throws(CgroupError) { watch = try cgroup.oomWatch() } catch { throw CommandError(error) }
    let watched: Int32? =
      switch watch {
      case .some(let watch): watch.descriptor.raw
      case .none: nil
      }
    var kills = try attemptCgroup { () throws(CgroupError) in try cgroup.oomKillCount() }
    var next = Sys.monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
    while true {
      var entries = [pollfd(fd: process.pidfd.raw, events: Int16(POLLIN), revents: 0)]
      if let watched { entries.append(pollfd(fd: watched, events: Int16(POLLIN), revents: 0)) }
      let now = Sys.monotonicNanoseconds()
      let timeout = Int32(clamping: now >= next ? 0 : (next - now) / 1_000_000 + 1)
      try attempt("wait for events") { () throws(SyscallError) in
        try Sys.retrying("poll") { poll(&entries, nfds_t(entries.count), timeout) }
      }
      if entries.count > 1, entries[1].revents != 0 {
        do throws(SyscallError) {
          switch watch {
          case .some(let watch): try watch.drain()
          case .none: break
          }
        } catch { throw CommandError(error, doing: "wait for events") }
        if let count = try? cgroup.oomKillCount(), count > kills {
          kills = count
          print("oom", nil)
        }
      }
      if entries[0].revents != 0 { return 0 }
      if Sys.monotonicNanoseconds() >= next {
        try stats()
        next = Sys.monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
      }
    }
  }

  /// Go's durations: `5s`, `100ms`, `1m`; a bare number is seconds.
  private static func duration(_ text: String) throws(CommandError) -> Int {
    let digits = text.prefix { $0.isNumber }
    let factors = ["ms": 1, "s": 1000, "": 1000, "m": 60_000, "h": 3_600_000]
    guard let number = Int(digits), number < 1_000_000, let factor = factors[String(text.dropFirst(digits.count))]
    else { throw CommandError("invalid duration \"\(text)\" for flag --interval") }
    return number * factor
  }

  /// The shape of runc's `types.Stats`.
  private static func json(_ stats: CgroupStats) -> JSON {
    var data = JSONBuilder()
    if let cpu = stats.cpu {
      var usage = JSONBuilder()
      usage.set("total", JSON(cpu.usage))
      usage.set("percpu", cpu.perCPU.map { .array($0.map { JSON($0) }) })
      usage.set("kernel", JSON(cpu.system))
      usage.set("user", JSON(cpu.user))
      let throttling: JSON = [
        "periods": JSON(cpu.periods), "throttledPeriods": JSON(cpu.throttledPeriods),
        "throttledTime": JSON(cpu.throttledTime),
      ]
      data.set("cpu", ["usage": usage.json, "throttling": throttling] as JSON)
    }
    if let memory = stats.memory {
      var usage = JSONBuilder()
      usage.set("limit", JSON(memory.limit ?? .max))
      usage.set("usage", JSON(memory.usage))
      usage.set("max", memory.maxUsage.map { JSON($0) })
      usage.set("failcnt", JSON(memory.failures ?? 0))
      let raw = memory.stat.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value)) }
      var object = JSONBuilder()
      object.set("cache", JSON(memory.stat["cache"] ?? memory.stat["file"] ?? 0))
      object.set("usage", usage.json)
      object.set("raw", .object(JSONObject(raw)))
      data.set("memory", object.json)
    }
    if let pids = stats.pids {
      var object = JSONBuilder()
      object.set("current", JSON(pids.current))
      object.set("limit", pids.limit.map { JSON($0) })
      data.set("pids", object.json)
    }
    if let blockIO = stats.blockIO {
      func entries(_ list: [CgroupStats.BlockIOEntry]) -> JSON {
        .array(
          list.map {
            ["major": JSON($0.major), "minor": JSON($0.minor), "op": .string($0.operation), "value": JSON($0.value)]
          })
      }
      data.set(
        "blkio",
        [
          "ioServiceBytesRecursive": entries(blockIO.serviceBytes), "ioServicedRecursive": entries(blockIO.serviced),
        ] as JSON)
    }
    return data.json
  }
}

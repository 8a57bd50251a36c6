import Cgroups
import Kernel
import OCI

/// `update`: changes limits of a container that lives.
enum Update {
  static let command = RuntimeCommand.Command(
    name: "update", usage: "[flags] ID", summary: "change the limits of a container",
    flags: [
      Flag("resources", "r", value: "FILE", "a `resources` object; - is standard input"),
      Flag("blkio-weight", value: "N", "10 to 1000"),
      Flag("cpu-period", value: "MICROSECONDS"), Flag("cpu-quota", value: "MICROSECONDS"),
      Flag("cpu-burst", value: "MICROSECONDS"), Flag("cpu-share", value: "N"),
      Flag("cpu-rt-period", value: "MICROSECONDS"),
      Flag("cpu-rt-runtime", value: "MICROSECONDS"), Flag("cpu-idle", value: "0|1"),
      Flag("cpuset-cpus", value: "LIST"), Flag("cpuset-mems", value: "LIST"),
      Flag("memory", value: "BYTES"), Flag("memory-reservation", value: "BYTES"),
      Flag("memory-swap", value: "BYTES", "memory and swap together; -1: no limit"),
      Flag("kernel-memory", value: "BYTES", "obsolete, without effect"),
      Flag("kernel-memory-tcp", value: "BYTES", "TCP buffers; of cgroup v1"),
      Flag("pids-limit", value: "N"),
      Flag("l3-cache-schema", value: "TEXT", "of Intel RDT"), Flag("mem-bw-schema", value: "TEXT", "of Intel RDT"),
    ], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let container = try Container(try call.containerID(), root: call.root)
    guard try container.status() != .stopped else { throw CommandError("container not running") }
    let resources = try resources(call.options)
    var schemas = RuntimeSpec.IntelRDT()
    schemas.l3CacheSchema = call.options.value("l3-cache-schema")
    schemas.memBwSchema = call.options.value("mem-bw-schema")
    if schemas != RuntimeSpec.IntelRDT() {
      guard let group = container.record?.resctrlGroup else {
        throw CommandError("linux.intelRdt: container \(container.id) was made without it")
      }
      try Resctrl.write(try Resctrl.lines(schemas), group)
    }
    let cgroup = try container.cgroup()
    if let unit = container.record?.systemdUnit {
      try SystemdDriver.update(unit, resources, isV2: cgroup.layout.mode == .v2)
    }
    for warning in try attemptCgroup({ () throws(CgroupError) in try cgroup.update(resources) }) {
      call.log.warning(warning)
    }
    return 0
  }

  private static func resources(_ options: Options) throws(CommandError) -> RuntimeSpec.Resources {
    var resources = RuntimeSpec.Resources()
    if let file = options.value("resources") {
      let bytes = try attempt("read resources") { () throws(SyscallError) in
        file == "-" ? try Sys.readAll(0) : try Sys.readFile(file)
      }
      do throws(JSONError) { resources = try RuntimeSpec.Resources(JSONFields(try JSON.parse(bytes))) } catch {
        throw CommandError(error, in: file)
      }
    }
    var cpu = resources.cpu ?? RuntimeSpec.Resources.CPU()
    let cpuBefore = cpu
    cpu.period = try options.number("cpu-period") ?? cpu.period
    cpu.quota = try options.number("cpu-quota") ?? cpu.quota
    cpu.burst = try options.number("cpu-burst") ?? cpu.burst
    cpu.shares = try options.number("cpu-share") ?? cpu.shares
    cpu.realtimePeriod = try options.number("cpu-rt-period") ?? cpu.realtimePeriod
    cpu.realtimeRuntime = try options.number("cpu-rt-runtime") ?? cpu.realtimeRuntime
    cpu.idle = try options.number("cpu-idle") ?? cpu.idle
    cpu.cpus = options.value("cpuset-cpus") ?? cpu.cpus
    cpu.mems = options.value("cpuset-mems") ?? cpu.mems
    if cpu != cpuBefore { resources.cpu = cpu }
    var memory = resources.memory ?? RuntimeSpec.Resources.Memory()
    let memoryBefore = memory
    memory.limit = try bytes(options, "memory") ?? memory.limit
    memory.reservation = try bytes(options, "memory-reservation") ?? memory.reservation
    memory.swap = try bytes(options, "memory-swap") ?? memory.swap
    memory.kernelTCP = try bytes(options, "kernel-memory-tcp") ?? memory.kernelTCP
    if memory != memoryBefore { resources.memory = memory }
    resources.pids = try options.number("pids-limit") ?? resources.pids
    if let weight: UInt16 = try options.number("blkio-weight") {
      var blockIO = resources.blockIO ?? RuntimeSpec.Resources.BlockIO()
      blockIO.weight = weight
      resources.blockIO = blockIO
    }
    return resources
  }

  /// A number of bytes, with `k`, `m` or `g` (`kb`, `kib`, …) as runc has it, or -1.
  private static func bytes(_ options: Options, _ name: String) throws(CommandError) -> Int64? {
    guard let text = options.value(name) else { return nil }
    var digits = text.lowercased()[...]
    if digits.hasSuffix("b") { digits.removeLast() }
    if digits.hasSuffix("i") { digits.removeLast() }
    let factors: [Character: Int64] = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40]
    var factor: Int64 = 1
    if let last = digits.last, let found = factors[last] {
      factor = found
      digits.removeLast()
    }
    guard let number = Int64(digits) else { throw CommandError("invalid value \"\(text)\" for flag --\(name)") }
    let (product, overflow) = number.multipliedReportingOverflow(by: factor)
    guard !overflow else { throw CommandError("invalid value \"\(text)\" for flag --\(name)") }
    return product
  }
}

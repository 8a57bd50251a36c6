import EngineClient
import OCI

extension Command {
  static let update = Command(
    name: "update", usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Update configuration of one or more containers",
    aliases: ["container update", "update"], arguments: .atLeast(1),
    flags: [
      Flag(.uint16, "blkio-weight", "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)"),
      Flag(.int, "cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
      Flag(.int, "cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
      Flag(.int, "cpu-rt-period", "Limit the CPU real-time period in microseconds"),
      Flag(.int, "cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
      Flag(.int, "cpu-shares", short: "c", "CPU shares (relative weight)"),
      Flag(.decimal, "cpus", "Number of CPUs"),
      Flag(.string, "cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
      Flag(.string, "cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
      Flag(.bytes, "memory", short: "m", "Memory limit"),
      Flag(.bytes, "memory-reservation", "Memory soft limit"),
      Flag(.bytes, "memory-swap", "Swap limit equal to memory plus swap: -1 to enable unlimited swap"),
      Flag(.int, "pids-limit", "Tune container pids limit (set -1 for unlimited)"),
      Flag(.list, "publish-add", "Publish a port of the running container, as run's --publish does"),
      Flag(.list, "publish-rm", "Take a published port down ([[ADDRESS:]HOST PORT:]CONTAINER PORT)"),
      Flag(.string, "restart", "Restart policy to apply when a container exits"),
    ]
  ) { invocation in
    let values = invocation.values
    guard values.count > 0 else { throw CommandFailure("you must provide one or more flags when using this command") }
    var body = JSONBuilder()
    for (key, flag) in [("CpusetCpus", "cpuset-cpus"), ("CpusetMems", "cpuset-mems")] {
      ContainerOptions.set(&body, key, values.string(flag))
    }
    for (key, flag) in [
      ("Memory", "memory"), ("MemoryReservation", "memory-reservation"), ("MemorySwap", "memory-swap"),
    ]
    where values.isSet(flag) { body.set(key, values.bytes(flag)) }
    for (key, flag) in [
      ("BlkioWeight", "blkio-weight"), ("CpuShares", "cpu-shares"), ("CpuPeriod", "cpu-period"),
      ("CpuQuota", "cpu-quota"),
      ("CpuRealtimePeriod", "cpu-rt-period"), ("CpuRealtimeRuntime", "cpu-rt-runtime"), ("PidsLimit", "pids-limit"),
    ] where values.isSet(flag) { body.set(key, values.int(flag)) }
    if values.isSet("cpus") { body.set("NanoCpus", Decimal.nano(values.string("cpus"))) }
    if values.isSet("restart") {
      body.set("RestartPolicy", try ContainerOptions.restartPolicy(values.string("restart")))
    }
    for (key, flag) in [("PublishAdd", "publish-add"), ("PublishRemove", "publish-rm")] where values.isSet(flag) {
      let ports = try PortSpecs(publish: values.list(flag), expose: [])
      // a binding without a host port takes all of the container's port down
      body.set(key, flag == "publish-add" ? ports.bindingsJSON : ports.removalJSON)
    }
    let client = try invocation.client
    var errors: [String] = []
    var warnings: [String] = []
    for name in invocation.arguments {
      do {
        let answer = try client.post("/containers/\(PercentEncoding.encode(name))/update", body: body.json).json()
        invocation.output.line(name)
        warnings += (answer["Warnings"]?.arrayValue ?? []).compactMap(\.stringValue)
      } catch { errors.append("\(error)") }
    }
    if !warnings.isEmpty { invocation.output.line(warnings.joined(separator: "\n")) }
    guard errors.isEmpty else { throw CommandFailure(errors.joined(separator: "\n")) }
  }
}

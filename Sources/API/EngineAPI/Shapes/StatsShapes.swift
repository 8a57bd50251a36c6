import Containers
import OCI

/// A sample of `GET /containers/{id}/stats`, with the one before it.
struct StatsShapes {
  let version: APIVersion

  func sample(_ now: ContainerStats, before: ContainerStats?, container: ContainerSnapshot) -> JSON {
    var json = JSONBuilder()
    json.set("read", ContainerShapes.time(now.read))
    json.set("preread", ContainerShapes.time(before?.read ?? 0))
    let isEmpty = now.read == 0
    json.set("pids_stats", isEmpty ? [:] : now.pids)
    json.set("blkio_stats", isEmpty ? Self.noBlockIO : now.blkio)
    json.set("num_procs", 0 as Int64)
    json.set("storage_stats", [:])
    json.set("cpu_stats", isEmpty ? Self.noCPU : now.cpu)
    json.set("precpu_stats", before.map { $0.read == 0 ? Self.noCPU : $0.cpu } ?? Self.noCPU)
    json.set("memory_stats", isEmpty ? [:] : now.memory)
    if version.diskUsageHasUsageObjects { json.set("os_type", "linux") }
    json.set("name", "/\(container.name)")
    json.set("id", container.id)
    if !isEmpty { json.set("networks", now.networks) }
    return json.json
  }

  /// What Docker says of a container that doesn't run.
  static let noCPU: JSON = [
    "cpu_usage": ["total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0],
    "throttling_data": ["periods": 0, "throttled_periods": 0, "throttled_time": 0],
  ]

  static let noBlockIO: JSON = [
    "io_service_bytes_recursive": nil, "io_serviced_recursive": nil, "io_queue_recursive": nil,
    "io_service_time_recursive": nil, "io_wait_time_recursive": nil, "io_merged_recursive": nil,
    "io_time_recursive": nil, "sectors_recursive": nil,
  ]
}

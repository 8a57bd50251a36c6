public import OCI

/// The limits of a container: `Resources` of the Engine API, which `HostConfig` embeds and `POST /containers/{id}/update` takes.
/// Bytes, CPU shares, microseconds (period, quota) and 10⁻⁹ CPUs as there; 0 is unset unless said otherwise.
public struct HostResources: Sendable, Equatable {
  public var cpuShares: Int64 = 0
  public var memory: Int64 = 0
  public var nanoCPUs: Int64 = 0
  public var cgroupParent = ""
  public var blkioWeight: UInt16 = 0
  public var blkioWeightDevice: [WeightDevice]?
  public var blkioDeviceReadBps: [ThrottleDevice]?
  public var blkioDeviceWriteBps: [ThrottleDevice]?
  public var blkioDeviceReadIOps: [ThrottleDevice]?
  public var blkioDeviceWriteIOps: [ThrottleDevice]?
  public var cpuPeriod: Int64 = 0
  public var cpuQuota: Int64 = 0
  public var cpuRealtimePeriod: Int64 = 0
  public var cpuRealtimeRuntime: Int64 = 0
  public var cpusetCpus = ""
  public var cpusetMems = ""
  public var devices: [DeviceMapping]?
  public var deviceCgroupRules: [String]?
  /// Kept as it came: requests for GPUs and the like.
  public var deviceRequests: JSON?
  public var memoryReservation: Int64 = 0
  /// Memory and swap together; -1 is unlimited swap.
  public var memorySwap: Int64 = 0
  /// `nil` and -1: the kernel's.
  public var memorySwappiness: Int64?
  public var oomKillDisable: Bool?
  /// `nil`, 0 and -1: unlimited.
  public var pidsLimit: Int64?
  public var ulimits: [Ulimit]?

  public init() {}

  public struct WeightDevice: Sendable, Equatable {
    public var path: String
    public var weight: UInt16
  }

  public struct ThrottleDevice: Sendable, Equatable {
    public var path: String
    public var rate: UInt64
  }

  public struct DeviceMapping: Sendable, Equatable {
    public var pathOnHost: String
    public var pathInContainer: String
    /// Some of `rwm`.
    public var permissions: String
  }

  public struct Ulimit: Sendable, Equatable {
    /// `nofile`.
    public var name: String
    /// -1 is unlimited.
    public var hard: Int64
    public var soft: Int64

    public init(name: String, hard: Int64, soft: Int64) {
      self.name = name
      self.hard = hard
      self.soft = soft
    }
  }

  /// The container's own limits, and of `defaults` those that it doesn't set.
  func rlimits(defaults: [Ulimit]) -> [RuntimeSpec.Rlimit] {
    let own = ulimits ?? []
    let named = Set(own.map(\.name))
    return (own + defaults.filter { !named.contains($0.name) }).map {
      RuntimeSpec.Rlimit(
        type: "RLIMIT_" + $0.name.uppercased(), soft: UInt64(bitPattern: $0.soft), hard: UInt64(bitPattern: $0.hard))
    }
  }

  static let known: Set<String> = [
    "CpuShares", "Memory", "NanoCpus", "CgroupParent", "BlkioWeight", "BlkioWeightDevice", "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod",
    "CpuRealtimeRuntime", "CpusetCpus", "CpusetMems", "Devices", "DeviceCgroupRules", "DeviceRequests",
    "MemoryReservation",
    "MemorySwap", "MemorySwappiness", "OomKillDisable", "PidsLimit", "Ulimits", "CpuCount", "CpuPercent",
    "IOMaximumIOps",
    "IOMaximumBandwidth", "KernelMemory", "KernelMemoryTCP",
  ]

  public init(_ fields: JSONFields) throws(JSONError) {
    cpuShares = try fields.int("CpuShares") ?? 0
    memory = try fields.int("Memory") ?? 0
    nanoCPUs = try fields.int("NanoCpus") ?? 0
    cgroupParent = try fields.string("CgroupParent") ?? ""
    blkioWeight = try fields.integer("BlkioWeight") ?? 0
    blkioWeightDevice = try fields.list("BlkioWeightDevice") { (device: JSONFields) throws(JSONError) in
      WeightDevice(path: try device.string("Path") ?? "", weight: try device.integer("Weight") ?? 0)
    }
    blkioDeviceReadBps = try Self.throttles(fields, "BlkioDeviceReadBps")
    blkioDeviceWriteBps = try Self.throttles(fields, "BlkioDeviceWriteBps")
    blkioDeviceReadIOps = try Self.throttles(fields, "BlkioDeviceReadIOps")
    blkioDeviceWriteIOps = try Self.throttles(fields, "BlkioDeviceWriteIOps")
    cpuPeriod = try fields.int("CpuPeriod") ?? 0
    cpuQuota = try fields.int("CpuQuota") ?? 0
    cpuRealtimePeriod = try fields.int("CpuRealtimePeriod") ?? 0
    cpuRealtimeRuntime = try fields.int("CpuRealtimeRuntime") ?? 0
    cpusetCpus = try fields.string("CpusetCpus") ?? ""
    cpusetMems = try fields.string("CpusetMems") ?? ""
    devices = try fields.list("Devices") { (device: JSONFields) throws(JSONError) in
      DeviceMapping(
        pathOnHost: try device.string("PathOnHost") ?? "", pathInContainer: try device.string("PathInContainer") ?? "",
        permissions: try device.string("CgroupPermissions") ?? "")
    }
    deviceCgroupRules = try fields.strings("DeviceCgroupRules")
    deviceRequests = fields.value("DeviceRequests")
    memoryReservation = try fields.int("MemoryReservation") ?? 0
    memorySwap = try fields.int("MemorySwap") ?? 0
    memorySwappiness = try fields.int("MemorySwappiness")
    oomKillDisable = try fields.bool("OomKillDisable")
    pidsLimit = try fields.int("PidsLimit")
    ulimits = try fields.list("Ulimits") { (limit: JSONFields) throws(JSONError) in
      Ulimit(
        name: try limit.string("Name") ?? "", hard: try limit.int("Hard") ?? 0, soft: try limit.int("Soft") ?? 0)
    }
  }

  private static func throttles(_ fields: JSONFields, _ key: String) throws(JSONError) -> [ThrottleDevice]? {
    try fields.list(key) { (device: JSONFields) throws(JSONError) in
      ThrottleDevice(path: try device.string("Path") ?? "", rate: try device.integer("Rate") ?? 0)
    }
  }

  /// Adds the members to the host configuration's object, where Docker has them.
  func encode(into json: inout JSONBuilder) {
    json.set("CpuShares", cpuShares)
    json.set("Memory", memory)
    json.set("NanoCpus", nanoCPUs)
    json.set("CgroupParent", cgroupParent)
    json.set("BlkioWeight", integer: blkioWeight)
    json.set(
      "BlkioWeightDevice",
      blkioWeightDevice.map { .array($0.map { ["Path": JSON($0.path), "Weight": JSON(Int64($0.weight))] }) } ?? .null)
    json.set("BlkioDeviceReadBps", Self.json(blkioDeviceReadBps))
    json.set("BlkioDeviceWriteBps", Self.json(blkioDeviceWriteBps))
    json.set("BlkioDeviceReadIOps", Self.json(blkioDeviceReadIOps))
    json.set("BlkioDeviceWriteIOps", Self.json(blkioDeviceWriteIOps))
    json.set("CpuPeriod", cpuPeriod)
    json.set("CpuQuota", cpuQuota)
    json.set("CpuRealtimePeriod", cpuRealtimePeriod)
    json.set("CpuRealtimeRuntime", cpuRealtimeRuntime)
    json.set("CpusetCpus", cpusetCpus)
    json.set("CpusetMems", cpusetMems)
    json.set(
      "Devices",
      devices.map {
        .array(
          $0.map {
            [
              "PathOnHost": JSON($0.pathOnHost), "PathInContainer": JSON($0.pathInContainer),
              "CgroupPermissions": JSON($0.permissions),
            ]
          })
      } ?? .null)
    json.set("DeviceCgroupRules", JSON(orNull: deviceCgroupRules))
    json.set("DeviceRequests", deviceRequests ?? .null)
    json.set("MemoryReservation", memoryReservation)
    json.set("MemorySwap", memorySwap)
    json.set("MemorySwappiness", memorySwappiness.map { JSON($0) } ?? .null)
    json.set("OomKillDisable", oomKillDisable.map { JSON($0) } ?? .null)
    json.set("PidsLimit", pidsLimit.map { JSON($0) } ?? .null)
    json.set(
      "Ulimits",
      ulimits.map { .array($0.map { ["Name": JSON($0.name), "Hard": JSON($0.hard), "Soft": JSON($0.soft)] }) } ?? .null)
    json.set("CpuCount", 0 as Int64)
    json.set("CpuPercent", 0 as Int64)
    json.set("IOMaximumIOps", 0 as Int64)
    json.set("IOMaximumBandwidth", 0 as Int64)
  }

  private static func json(_ devices: [ThrottleDevice]?) -> JSON {
    devices.map { .array($0.map { ["Path": JSON($0.path), "Rate": JSON($0.rate)] }) } ?? .null
  }
}

import Kernel
import OCI
import Terminal

extension ContainerOptions {
  /// What concerns the host: resources, namespaces, security, devices, logs.
  /// `apiSocket`: the daemon's own, for `--use-api-socket`.
  static func hostConfig(_ values: FlagValues, detached: Bool, apiSocket: String) throws -> JSONBuilder {
    var host = JSONBuilder()
    for (key, flag) in [
      ("ContainerIDFile", "cidfile"), ("VolumeDriver", "volume-driver"), ("IpcMode", "ipc"), ("Isolation", "isolation"),
      ("Runtime", "runtime"), ("CgroupParent", "cgroup-parent"), ("CpusetCpus", "cpuset-cpus"),
      ("CpusetMems", "cpuset-mems"),
    ] {
      set(&host, key, values.string(flag))
    }
    for (key, flag, modes) in [
      ("PidMode", "pid", ["", "host"]), ("UTSMode", "uts", ["", "host"]),
      ("UsernsMode", "userns", ["", "host", "private", "auto"]),
      ("CgroupnsMode", "cgroupns", ["", "host", "private"]),
    ] {
      let mode = values.string(flag)
      let joins = flag == "pid" && mode.hasPrefix("container:") && mode.count > 10
      guard modes.contains(mode) || joins else {
        throw CommandFailure(
          "--\(flag): invalid \(flag == "userns" ? "USER" : flag == "cgroupns" ? "CGROUP" : flag.uppercased()) mode")
      }
      set(&host, key, mode)
    }
    for (key, flag) in [
      ("CapAdd", "cap-add"), ("CapDrop", "cap-drop"), ("ExtraHosts", "add-host"), ("GroupAdd", "group-add"),
      ("Links", "link"),
      ("VolumesFrom", "volumes-from"),
    ] where values.isSet(flag) { host.set(key, values.list(flag)) }
    for (key, flag) in [("Dns", "dns"), ("DnsOptions", "dns-option"), ("DnsSearch", "dns-search")] {
      host.set(key, values.list(flag))
    }
    for (key, flag) in [
      ("AutoRemove", "rm"), ("Privileged", "privileged"), ("PublishAllPorts", "publish-all"),
      ("ReadonlyRootfs", "read-only"),
    ] where values.bool(flag) { host.set(key, true) }
    if values.isSet("init") { host.set("Init", values.bool("init")) }
    host.set("OomKillDisable", values.bool("oom-kill-disable"))
    try resources(values, &host)
    try security(values, &host)
    try devices(values, &host)

    let restart = try restartPolicy(values.string("restart"))
    if values.bool("rm"), restart["Name"]?.stringValue != "no" {
      throw CommandFailure("conflicting options: cannot specify both --restart and --rm")
    }
    host.set("RestartPolicy", restart)
    let driver = values.string("log-driver")
    if driver == "none", values.isSet("log-opt") { throw CommandFailure("invalid logging opts for driver none") }
    if values.isSet("log-driver") || values.isSet("log-opt") {
      host.set("LogConfig", ["Type": .string(driver), "Config": JSON(values.map("log-opt"))])
    }
    if values.isSet("tmpfs") {
      var trees: [String: String] = [:]
      for text in values.list("tmpfs") {
        let (path, options) = text.cut(":")
        trees[path] = options ?? ""
      }
      host.set("Tmpfs", trees)
    }
    var mounts = try values.list("mount").map { try MountOption.parse($0) }
    if values.bool("use-api-socket") {
      mounts.append([
        "Type": "bind", "Source": .string(apiSocket), "Target": "/var/run/docker.sock", "BindOptions": [:],
      ])
    }
    if !mounts.isEmpty { host.set("Mounts", .array(mounts)) }
    if values.isSet("sysctl") { host.set("Sysctls", values.map("sysctl")) }
    if values.isSet("annotation") { host.set("Annotations", values.map("annotation")) }
    if values.bool("tty"), !detached, let size = try? WindowSize(of: 1) {
      host.set("ConsoleSize", [.int(Int64(size.height)), .int(Int64(size.width))])
    }
    return host
  }

  private static func resources(_ values: FlagValues, _ host: inout JSONBuilder) throws {
    for (key, flag) in [
      ("Memory", "memory"), ("MemoryReservation", "memory-reservation"), ("MemorySwap", "memory-swap"),
      ("KernelMemory", "kernel-memory"), ("ShmSize", "shm-size"), ("IOMaximumBandwidth", "io-maxbandwidth"),
    ] where values.isSet(flag) { host.set(key, values.bytes(flag)) }
    for (key, flag) in [
      ("CpuShares", "cpu-shares"), ("CpuPeriod", "cpu-period"), ("CpuQuota", "cpu-quota"),
      ("CpuRealtimePeriod", "cpu-rt-period"),
      ("CpuRealtimeRuntime", "cpu-rt-runtime"), ("PidsLimit", "pids-limit"), ("BlkioWeight", "blkio-weight"),
      ("OomScoreAdj", "oom-score-adj"), ("CpuCount", "cpu-count"), ("CpuPercent", "cpu-percent"),
      ("IOMaximumIOps", "io-maxiops"),
    ] where values.isSet(flag) { host.set(key, values.int(flag)) }
    if values.isSet("cpus") { host.set("NanoCpus", Decimal.nano(values.string("cpus"))) }
    let swappiness = values.int("memory-swappiness")
    guard (-1...100).contains(swappiness) else {
      throw CommandFailure("invalid value: \(swappiness). Valid memory swappiness range is 0-100")
    }
    if swappiness >= 0 { host.set("MemorySwappiness", swappiness) }
    if values.isSet("ulimit") { host.set("Ulimits", .array(try values.list("ulimit").map(DeviceOptions.ulimit))) }
    for (key, flag, bytes) in [
      ("BlkioDeviceReadBps", "device-read-bps", true), ("BlkioDeviceWriteBps", "device-write-bps", true),
      ("BlkioDeviceReadIOps", "device-read-iops", false), ("BlkioDeviceWriteIOps", "device-write-iops", false),
    ] where values.isSet(flag) {
      host.set(key, .array(try values.list(flag).map { try DeviceOptions.throttle($0, bytes: bytes) }))
    }
    if values.isSet("blkio-weight-device") {
      host.set("BlkioWeightDevice", .array(try values.list("blkio-weight-device").map(DeviceOptions.weight)))
    }
  }

  private static func devices(_ values: FlagValues, _ host: inout JSONBuilder) throws {
    var mappings: [JSON] = []
    var requests: [JSON] = try values.list("gpus").map(DeviceOptions.gpus)
    var names: [String] = []
    for text in values.list("device") {
      if DeviceOptions.isCDI(text) { names.append(text) } else { mappings.append(try DeviceOptions.mapping(text)) }
    }
    if !names.isEmpty { requests.append(["Driver": "cdi", "DeviceIDs": JSON(names)]) }
    if !mappings.isEmpty { host.set("Devices", .array(mappings)) }
    if !requests.isEmpty { host.set("DeviceRequests", .array(requests)) }
    if values.isSet("device-cgroup-rule") {
      host.set("DeviceCgroupRules", try values.list("device-cgroup-rule").map(DeviceOptions.rule))
    }
  }

  private static func security(_ values: FlagValues, _ host: inout JSONBuilder) throws {
    var options: [String] = []
    for text in values.list("security-opt") {
      if text == "systempaths=unconfined" {
        host.set("MaskedPaths", [String]())
        host.set("ReadonlyPaths", [String]())
        continue
      }
      var (key, value) = text.cut("=")
      if value == nil, key != "no-new-privileges" { (key, value) = text.cut(":") }
      guard key == "no-new-privileges" || !(value ?? "").isEmpty else {
        throw CommandFailure("Invalid --security-opt: \(GoText.quote(text))")
      }
      if key == "seccomp", let value, !["builtin", "unconfined"].contains(value) {
        options.append("seccomp=\(try profile(value))")
      } else {
        options.append(text)
      }
    }
    if !options.isEmpty { host.set("SecurityOpt", options) }
    var storage: [String: String] = [:]
    for text in values.list("storage-opt") {
      let (key, value) = text.cut("=")
      guard let value else { throw CommandFailure("invalid storage option") }
      storage[key] = value
    }
    if !storage.isEmpty { host.set("StorageOpt", storage) }
  }

  /// The profile's content: the file is ours, the daemon may not see it.
  private static func profile(_ path: String) throws -> String {
    let bytes: [UInt8]
    do throws(SyscallError) { bytes = try Sys.readFile(path) } catch {
      throw CommandFailure("opening seccomp profile (\(path)) failed: open \(path): \(error.errno)")
    }
    do throws(JSONError) { return try JSON.parse(bytes).text } catch {
      throw CommandFailure("compacting json for seccomp profile (\(path)) failed: \(error)")
    }
  }

  /// `no`, `always`, `unless-stopped`, `on-failure[:retries]`.
  static func restartPolicy(_ text: String) throws -> JSON {
    let (name, count) = text.cut(":")
    if text.isEmpty { return ["Name": "no", "MaximumRetryCount": 0] }
    guard !name.isEmpty else { throw CommandFailure("invalid restart policy format: no policy provided before colon") }
    var retries: Int64 = 0
    if let count {
      guard let number = Int64(count) else {
        throw CommandFailure("invalid restart policy format: maximum retry count must be an integer")
      }
      retries = number
    }
    return ["Name": .string(name), "MaximumRetryCount": .int(retries)]
  }
}

import Cgroups
import ContainerRuntime
import Errdefs
import Kernel
import OCI

/// From a container's configuration to the OCI runtime configuration, as dockerd makes it (daemon/oci_linux.go).
struct SpecBuilder {
  var snapshot: ContainerSnapshot
  let host: HostFacts
  let security: SecurityOptions
  /// By kind: a path to join. The caller has looked the other containers up.
  var joined: [RuntimeSpec.NamespaceKind: String] = [:]
  /// The namespace of the network; `nil` with `inheritsNetwork`.
  var networkNamespace: String?
  /// `--network host`
  var inheritsNetwork = false
  /// Of the generated files, by the path in the container.
  var files: [(destination: String, source: String)] = []
  var defaultUlimits: [HostResources.Ulimit] = []
  /// What the daemon itself may give away.
  var availableCapabilities: Set<String> = Set(CapabilitySet.all)
  /// Of the container's user namespace, if it has one of its own.
  var users: [RuntimeSpec.IDMapping] = []
  var groups: [RuntimeSpec.IDMapping] = []
  /// A path to it.
  var userNamespace: String?
  /// The parent group, `/berth`.
  var cgroupParent: String

  private var config: ContainerConfig { snapshot.config }
  private var hostConfig: HostConfig { snapshot.hostConfig }

  func build() throws -> RuntimeSpec {
    var spec = RuntimeSpec()
    spec.root = RuntimeSpec.Root(path: "rootfs", readonly: hostConfig.readonlyRootfs)
    spec.process = try process()
    if hostConfig.utsMode != "host" {
      spec.hostname = config.hostname
      if !config.domainname.isEmpty { spec.domainname = config.domainname }
    }
    if !hostConfig.annotations.isEmpty { spec.annotations = hostConfig.annotations }
    spec.linux.namespaces = namespaces()
    spec.linux.uidMappings = users
    spec.linux.gidMappings = groups
    spec.linux.cgroupsPath = cgroupsPath
    spec.linux.resources = try resources()
    spec.linux.devices = try devices()
    spec.linux.sysctl = sysctls()
    spec.linux.maskedPaths = hostConfig.privileged ? [] : hostConfig.maskedPaths ?? Self.maskedPaths
    spec.linux.readonlyPaths = hostConfig.privileged ? [] : hostConfig.readonlyPaths ?? Self.readonlyPaths
    spec.linux.rootfsPropagation = rootPropagation
    spec.mounts = mounts()
    return spec
  }

  /// `/berth/<id>`
  var cgroupsPath: String {
    let parent = hostConfig.resources.cgroupParent.isEmpty ? cgroupParent : hostConfig.resources.cgroupParent
    return Path.clean("/" + parent + "/" + snapshot.id)
  }

  /// What the container's process has, and with `privileged` what an exec of that kind has.
  func capabilities(privileged: Bool) throws -> [String] {
    do {
      return try CapabilitySet.effective(
        add: hostConfig.capAdd ?? [], drop: hostConfig.capDrop ?? [], privileged: privileged,
        available: availableCapabilities)
    } catch { throw EngineError.invalidParameter("\(error)") }
  }

  private func process() throws -> RuntimeSpec.Process {
    var process = RuntimeSpec.Process()
    process.terminal = config.tty
    if config.tty, hostConfig.consoleSize.height > 0 {
      process.consoleSize = (hostConfig.consoleSize.width, hostConfig.consoleSize.height)
    }
    process.args = [snapshot.path] + snapshot.args
    process.env = config.environment()
    process.cwd = config.workingDir.isEmpty ? "/" : config.workingDir
    let names = try capabilities(privileged: hostConfig.privileged)
    var capabilities = RuntimeSpec.Capabilities()
    capabilities.bounding = names
    capabilities.effective = names
    capabilities.permitted = names
    process.capabilities = capabilities
    process.rlimits = hostConfig.resources.rlimits(defaults: defaultUlimits)
    process.noNewPrivileges = security.noNewPrivileges
    process.oomScoreAdj = hostConfig.oomScoreAdj
    // As dockerd: without AppArmor in the kernel the profile is none.
    if let profile = security.appArmor, profile != "unconfined", SecurityModules.hasAppArmor {
      process.apparmorProfile = profile
    }
    return process
  }

  private func namespaces() -> [RuntimeSpec.Namespace] {
    var result = [RuntimeSpec.Namespace(.mount)]
    if let userNamespace { result.append(RuntimeSpec.Namespace(.user, path: userNamespace)) }
    if !inheritsNetwork { result.append(RuntimeSpec.Namespace(.network, path: networkNamespace)) }
    if hostConfig.utsMode != "host" { result.append(RuntimeSpec.Namespace(.uts)) }
    if hostConfig.pidMode != "host" { result.append(RuntimeSpec.Namespace(.pid, path: joined[.pid])) }
    if hostConfig.ipcMode != "host" { result.append(RuntimeSpec.Namespace(.ipc, path: joined[.ipc])) }
    if hostConfig.cgroupnsMode == "private" { result.append(RuntimeSpec.Namespace(.cgroup)) }
    return result
  }

  /// With a network of its own: ping without CAP_NET_RAW, and any port without CAP_NET_BIND_SERVICE.
  private func sysctls() -> [String: String] {
    var result: [String: String] = [:]
    if !inheritsNetwork, !hostConfig.networkMode.hasPrefix("container:") {
      // In a user namespace the last of these groups is nobody's, and the kernel refuses the range.
      result["net.ipv4.ping_group_range"] = "0 \(groups.last.map { $0.containerID + ($0.size - 1) } ?? 2_147_483_647)"
      result["net.ipv4.ip_unprivileged_port_start"] = "0"
    }
    return result.merging(hostConfig.sysctls) { $1 }
  }

  private var rootPropagation: String? {
    let modes = Set(snapshot.mounts.map(\.propagation))
    if !modes.isDisjoint(with: ["shared", "rshared"]) { return "shared" }
    if !modes.isDisjoint(with: ["slave", "rslave"]) { return "rslave" }
    return nil
  }

  static let maskedPaths =
    [
      "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
      "/proc/timer_list",
      "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
    ] + thermalThrottles

  /// Where the processors tell of their heat (GHSA-6fw5-f8r9-fgfm): none in most virtual machines.
  private static let thermalThrottles: [String] = {
    let processors = "/sys/devices/system/cpu"
    let names = (try? Sys.entries(of: processors))?.map(\.name).filter { $0.hasPrefix("cpu") } ?? []
    return names.map { "\(processors)/\($0)/thermal_throttle" }.filter { Sys.exists($0) }.sorted()
  }()

  static let readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
}

import Errdefs

/// What the engine refuses before a container exists. The texts are Docker's: clients and people match them.
struct Validation {
  /// What this host can do.
  var host: HostFacts
  /// The daemon maps containers' ids (`--userns-remap`).
  var isRemapped: Bool
  var warnings: [String] = []

  init(host: HostFacts, isRemapped: Bool = false) {
    self.host = host
    self.isRemapped = isRemapped
  }

  /// Checks both configurations together and drops (with a warning) what this host can't keep.
  mutating func check(_ config: inout ContainerConfig, _ hostConfig: inout HostConfig, update: Bool = false) throws {
    try networkMode(config, hostConfig)
    try Self.containerConfig(&config)
    try Self.hostConfig(hostConfig)
    try resources(&hostConfig.resources, update: update)
    try platform(hostConfig)
  }

  private static func refuse(_ text: String) -> EngineError { .invalidParameter(text) }

  /// runconfig/hostconfig.go and hostconfig_unix.go
  private func networkMode(_ config: ContainerConfig, _ host: HostConfig) throws {
    let mode = host.networkMode
    if mode == "container" || mode == "container:" {
      throw Self.refuse("Invalid network mode: invalid container format container:<name|id>")
    }
    if mode.hasPrefix("container:") {
      if !config.hostname.isEmpty { throw Self.refuse("conflicting options: hostname and the network mode") }
      if !(host.links ?? []).isEmpty {
        throw Self.refuse(
          "conflicting options: container type network can't be used with links. This would result in undefined behavior"
        )
      }
      if !(host.dns ?? []).isEmpty { throw Self.refuse("conflicting options: dns and the network mode") }
      if !(host.extraHosts ?? []).isEmpty {
        throw Self.refuse("conflicting options: custom host-to-IP mapping and the network mode")
      }
      if !(host.portBindings?.ports ?? []).isEmpty || host.publishAllPorts {
        throw Self.refuse("conflicting options: port publishing and the container type network mode")
      }
      if !config.exposedPorts.isEmpty {
        throw Self.refuse("conflicting options: port exposing and the container type network mode")
      }
    }
    if host.utsMode == "host", !config.hostname.isEmpty {
      throw Self.refuse("conflicting options: hostname and the UTS mode")
    }
    if mode == "host", !(host.links ?? []).isEmpty {
      throw Self.refuse(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior")
    }
  }

  /// daemon/container.go `validateContainerConfig`
  private static func containerConfig(_ config: inout ContainerConfig) throws {
    if !config.workingDir.isEmpty {
      guard config.workingDir.hasPrefix("/") else {
        throw refuse("the working directory '\(config.workingDir)' is invalid, it needs to be an absolute path")
      }
      config.workingDir = Path.clean(config.workingDir)
    }
    if !config.stopSignal.isEmpty { _ = try Signal.parse(config.stopSignal) }
    for variable in config.env ?? [] where variable.isEmpty || variable.hasPrefix("=") {
      throw refuse("invalid environment variable: \(variable)")
    }
    guard let health = config.healthcheck else { return }
    for (name, value) in [
      ("Interval", health.interval), ("Timeout", health.timeout), ("StartPeriod", health.startPeriod),
      ("StartInterval", health.startInterval),
    ] where value != 0 && value < 1_000_000 {
      throw refuse("\(name) in Healthcheck cannot be less than 1ms")
    }
    if health.retries < 0 { throw refuse("Retries in Healthcheck cannot be negative") }
  }

  /// daemon/container.go `validateHostConfig`
  private static func hostConfig(_ host: HostConfig) throws {
    let policy = host.restartPolicy
    let restarts = !policy.name.isEmpty && policy.name != "no"
    if host.autoRemove, restarts { throw refuse("can't create 'AutoRemove' container with restart policy") }
    for entry in host.extraHosts ?? [] {
      let parts = entry.split(
        separator: entry.contains("=") ? "=" : ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else { throw refuse("bad format for add-host: \"\(entry)\"") }
    }
    for (port, bindings) in host.portBindings?.ports ?? [] {
      try portNumber(port)
      for binding in bindings ?? [] where !binding.hostPort.isEmpty { try portNumber(binding.hostPort) }
    }
    switch policy.name {
    case "always", "unless-stopped", "no":
      if policy.maximumRetryCount != 0 {
        let text = "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        throw refuse(policy.maximumRetryCount < 0 ? text + " and cannot be negative" : text)
      }
    case "on-failure":
      if policy.maximumRetryCount < 0 { throw refuse("invalid restart policy: maximum retry count cannot be negative") }
    case "": break
    default:
      throw refuse(
        "invalid restart policy: unknown policy '\(policy.name)'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
      )
    }
    do { _ = try CapabilitySet.normalize(host.capAdd ?? []) } catch { throw refuse("invalid CapAdd: \(error)") }
    do { _ = try CapabilitySet.normalize(host.capDrop ?? []) } catch { throw refuse("invalid CapDrop: \(error)") }
    if !["", "default"].contains(host.isolation) { throw refuse("invalid isolation '\(host.isolation)' on linux") }
    if host.annotations.keys.contains("") {
      throw refuse("invalid Annotations: the empty string is not permitted as an annotation key")
    }
  }

  /// `80`, `80/tcp`, `8000-8010/udp`.
  private static func portNumber(_ text: String) throws {
    let number = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init) ?? ""
    let ends = number.split(separator: "-", omittingEmptySubsequences: false)
    let valid = (1...2).contains(ends.count) && ends.allSatisfy { UInt16($0) != nil && $0.allSatisfy(\.isNumber) }
    guard valid else { throw refuse("invalid port specification: \"\(number)\"") }
  }

  /// daemon/daemon_unix.go `verifyPlatformContainerSettings`
  private mutating func platform(_ config: HostConfig) throws {
    guard Self.mode(config.ipcMode, ["", "none", "private", "shareable", "host"]) else {
      throw Self.refuse("invalid IPC mode: \(config.ipcMode)")
    }
    guard Self.mode(config.pidMode, ["", "host"]) else { throw Self.refuse("invalid PID mode: \(config.pidMode)") }
    if config.shmSize < 0 { throw Self.refuse("SHM size can not be less than 0") }
    guard ["", "host"].contains(config.utsMode) else { throw Self.refuse("invalid UTS mode: \(config.utsMode)") }
    guard ["", "host", "private", "auto"].contains(config.usernsMode) else {
      throw Self.refuse("invalid userns mode: \(config.usernsMode)")
    }
    if config.usernsMode != "host", isRemapped || !config.usernsMode.isEmpty {
      if config.privileged {
        throw Self.refuse(
          "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when "
            + "running privileged mode")
      }
      if config.networkMode == "host" {
        throw Self.refuse("cannot share the host's network namespace when user namespaces are enabled")
      }
      if config.pidMode == "host" {
        throw Self.refuse("cannot share the host PID namespace when user namespaces are enabled")
      }
      if let image = config.mounts?.first(where: { $0.type == "image" }) {
        throw EngineError.notImplemented("image mounts in a user namespace are not built yet: '\(image.target)'")
      }
    }
    if config.oomScoreAdj < -1000 || config.oomScoreAdj > 1000 {
      throw Self.refuse("Invalid value \(config.oomScoreAdj), range for oom score adj is [-1000, 1000]")
    }
    if config.networkMode == "host", !(config.portBindings?.ports ?? []).isEmpty {
      warnings.append("Published ports are discarded when using host network mode")
    }
    guard ["", "private", "host"].contains(config.cgroupnsMode) else {
      throw Self.refuse("invalid cgroup namespace mode: \(config.cgroupnsMode)")
    }
    for path in config.tmpfs.keys {
      guard path.hasPrefix("/") else { throw Self.refuse("invalid mount path: '\(path)' mount path must be absolute") }
      if Path.clean(path) == "/" { throw Self.refuse("invalid specification: destination can't be '/'") }
    }
    if !["", "runc", "berth", "io.containerd.runc.v2"].contains(config.runtime) {
      throw Self.refuse("unknown or invalid runtime name: \(config.runtime)")
    }
    if !["", "json-file", "none"].contains(config.logConfig.type) {
      throw Self.refuse("logger: no log driver named '\(config.logConfig.type)' is registered")
    }
  }

  private static func mode(_ mode: String, _ words: [String]) -> Bool {
    words.contains(mode) || (mode.hasPrefix("container:") && mode.utf8.count > "container:".utf8.count)
  }
}

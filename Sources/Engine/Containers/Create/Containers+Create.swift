import Cgroups
import Errdefs
import Kernel
import Metadata
import OCI
import Snapshots
import Synchronization

extension Containers {
  /// Creates a container: checks everything, resolves the image, reserves name and snapshot, then writes the row that makes it exist.
  ///
  /// `name` is empty for a generated one. Throws Docker's texts: 400 for what can't be, 404 `No such image: x:latest`, 409 for a taken
  /// name; and 501 for what isn't built yet.
  public func create(
    name: String, config: ContainerConfig, hostConfig: HostConfig, networking: NetworkingConfig = NetworkingConfig(),
    platform: String = ""
  ) async throws -> CreatedContainer {
    var config = config
    var hostConfig = hostConfig
    if hostConfig.restartPolicy.name.isEmpty { hostConfig.restartPolicy.name = "no" }
    var validation = Validation(host: host, isRemapped: configuration.remap != nil)
    try validation.check(&config, &hostConfig)
    try refuseUnbuilt(config, hostConfig)
    _ = try SecurityOptions(hostConfig.securityOpt ?? [])
    let isMapped = try mapping(for: hostConfig) != nil
    var mounts = try MountPlan(hostConfig, inherited: inherited(hostConfig))

    validation.warnings += try checkBinds(mounts)

    guard !config.image.isEmpty else { throw EngineError.invalidParameter("no image specified") }
    let image = try images.image(config.image)
    if !platform.isEmpty { try check(platform: platform, of: image, named: config.image) }
    config.merge(image: image.config)
    try mounts.declare(config.volumes ?? [], driver: hostConfig.volumeDriver)
    let command = config.command
    guard let path = command.first else { throw EngineError.invalidParameter("no command specified") }

    let id = Self.newID()
    adapt(&config, &hostConfig, id: id)
    let reserved = try reserve(name: name, id: id)
    var snapshot = ContainerSnapshot(
      id: id, name: reserved, created: Sys.realtimeNanoseconds(), path: path, args: Array(command.dropFirst()),
      imageID: image.id, config: config, hostConfig: hostConfig, networking: networking)
    snapshot.layers = image.layers.map(\.description)
    snapshot.driver = snapshotter.driver
    snapshot.platform = image.os
    if hostConfig.logConfig.type == "json-file" { snapshot.logPath = directory(id) + "/\(id)-json.log" }

    do {
      let removes = hostConfig.autoRemove
      let prepared = try await blocking { [snapshotter, directory = directory(id)] in
        // An overlay made ahead shows the ids as they are.
        let tree =
          isMapped
          ? try snapshotter.prepare(id, layers: image.layers)
          : try snapshotter.prepareToStart(id, layers: image.layers, volatile: removes)
        try Sys.mkdir(directory, mode: 0o710)
        return tree
      }
      snapshot.driverData = [
        "LowerDir": prepared.lower.joined(separator: ":"), "UpperDir": prepared.upper, "WorkDir": prepared.work,
        "MergedDir": "",
      ]
      snapshot.mounts = try await realize(mounts, id: id, tree: prepared)
      let record = snapshot.record
      try await metadata.write { try $0.insert(record) }
    } catch {
      await takeBack(mounts, id: id)
      discard(id)
      release(name: reserved, of: id)
      throw error
    }
    let created = snapshot
    table.withLock { $0.byID[id] = Container(created) }
    tell("create", created)
    return CreatedContainer(id: id, warnings: validation.warnings)
  }

  /// 64 hexadecimal digits; not all of the first twelve are decimal, since a host name of digits is taken for a number.
  static func newID() -> String {
    let digits = Array("0123456789abcdef".utf8)
    while true {
      let id = Sys.random(32).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
      if id.prefix(12).contains(where: { $0 > UInt8(ascii: "9") }) { return String(decoding: id, as: UTF8.self) }
    }
  }

  /// What the configuration leaves to the daemon (daemon/daemon_unix.go `adaptContainerSettings`).
  private func adapt(_ config: inout ContainerConfig, _ host: inout HostConfig, id: String) {
    if host.resources.memory > 0, host.resources.memorySwap == 0 {
      host.resources.memorySwap = host.resources.memory.multipliedReportingOverflow(by: 2).partialValue
    }
    if host.shmSize == 0 { host.shmSize = configuration.shmSize }
    if host.ipcMode.isEmpty { host.ipcMode = configuration.ipcMode }
    if host.cgroupnsMode.isEmpty { host.cgroupnsMode = self.host.layout.mode == .v2 ? "private" : "host" }
    if host.networkMode.isEmpty { host.networkMode = "default" }
    if host.runtime.isEmpty { host.runtime = "berth" }
    // A privileged container has none, whatever was asked.
    host.maskedPaths = host.privileged ? nil : host.maskedPaths ?? SpecBuilder.maskedPaths
    host.readonlyPaths = host.privileged ? nil : host.readonlyPaths ?? SpecBuilder.readonlyPaths
    if host.logConfig.type.isEmpty {
      host.logConfig.type = configuration.logDriver
      if host.logConfig.config.isEmpty { host.logConfig.config = configuration.logOptions }
    }
    if host.resources.oomKillDisable == nil, self.host.oomKillDisable { host.resources.oomKillDisable = false }
    host.networkMode = shared(host.networkMode)
    host.pidMode = shared(host.pidMode)
    host.ipcMode = shared(host.ipcMode)
    if config.hostname.isEmpty {
      let own = host.networkMode == "host" || host.utsMode == "host" ? try? Sys.uname().nodename : nil
      config.hostname = own ?? String(id.prefix(12))
    }
  }

  /// `container:name` with the full id, as `inspect` shows it.
  private func shared(_ mode: String) -> String {
    guard mode.hasPrefix("container:"), let other = try? find(String(mode.dropFirst("container:".count))) else {
      return mode
    }
    return "container:" + other.id
  }

  /// What would otherwise be taken and not kept.
  private func refuseUnbuilt(_ config: ContainerConfig, _ host: HostConfig) throws {
    if let requests = host.resources.deviceRequests?.arrayValue, !requests.isEmpty {
      throw EngineError.notImplemented("device requests (--gpus) are not built yet")
    }
    if !host.storageOpt.isEmpty {
      throw EngineError.invalidParameter(
        "--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    }
  }

  private func check(platform: String, of image: ContainerImage, named name: String) throws {
    let asked = platform.split(separator: "/").map(String.init)
    let own = [image.os] + image.architecture.split(separator: "/").map(String.init)
    guard zip(asked, own).allSatisfy(==), asked.count <= own.count else {
      throw EngineError.notFound(
        "image with reference \(name) was found but does not provide the specified platform (\(platform))")
    }
  }

  // MARK: Names

  /// Reserves a name for an id; an empty one is generated.
  func reserve(name: String, id: String) throws -> String {
    if name.isEmpty {
      return table.withLock { table in
        for attempt in 0..<6 {
          let name = ContainerNames.random(attempt: attempt)
          if table.names[name] == nil {
            table.names[name] = id
            return name
          }
        }
        let name = String(id.prefix(12))
        table.names[name] = id
        return name
      }
    }
    let bare = try ContainerNames.check(name)
    try table.withLock { table in
      if let owner = table.names[bare] {
        throw EngineError.conflict(
          """
          Conflict. The container name "/\(bare)" is already in use by container "\(owner)". You have to remove (or rename) that \
          container to be able to reuse that name.
          """)
      }
      table.names[bare] = id
    }
    return bare
  }

  func release(name: String, of id: String) {
    table.withLock { table in
      if table.names[name] == id { table.names[name] = nil }
    }
  }

  /// Takes away what a container has on disk, behind; no row may name it any more.
  func discard(_ id: String) {
    behind("remove what container \(id) left") { [snapshotter, configuration] in
      try snapshotter.remove(id)
      for root in [configuration.execRoot, configuration.dataRoot] {
        let path = root + "/containers/" + id
        if Sys.exists(path) { try Sys.removeTree(path) }
      }
    }
  }
}

extension ContainerSnapshot {
  /// As it is before anything happened to it.
  init(
    id: String, name: String, created: Int64, path: String, args: [String], imageID: String, config: ContainerConfig,
    hostConfig: HostConfig, networking: NetworkingConfig
  ) {
    self.id = id
    self.name = name
    self.created = created
    self.path = path
    self.args = args
    state = ContainerState()
    if let test = config.healthcheck?.test, !test.isEmpty, test != ["NONE"] {
      state.health = Health(status: "starting")
    }
    self.imageID = imageID
    self.config = config
    self.hostConfig = hostConfig
    networkingConfig = networking
    endpoints = []
    sandboxKey = ""
    ports = PortMap()
    mounts = []
    resolvConfPath = ""
    hostnamePath = ""
    hostsPath = ""
    logPath = ""
    restartCount = 0
    execIDs = []
    layers = []
    driver = ""
    driverData = [:]
    platform = "linux"
    appArmorProfile = ""
    hasBeenManuallyStopped = false
    revision = 0
  }
}

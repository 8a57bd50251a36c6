import Errdefs
import Metadata
import OCI

extension ContainerSnapshot {
  /// The row, as `containers.config` and `containers.state` have it.
  var record: ContainerRecord {
    ContainerRecord(
      id: id, name: name, image: imageID, created: created, config: configJSON.text, state: stateJSON.text)
  }

  /// What stays: `{path, args, config, host, networking, layers, mounts, driver, platform, logPath, …}`.
  var configJSON: JSON {
    var json = JSONBuilder()
    json.set("path", path)
    json.set("args", args)
    json.set("config", config.json)
    json.set("host", hostConfig.json)
    json.set("networking", networkingConfig.json)
    json.set("layers", layers)
    json.set("mounts", .array(mounts.map(\.json)))
    json.set("driver", driver)
    json.set("driverData", driverData)
    json.set("platform", platform)
    json.set("logPath", logPath)
    return json.json
  }

  /// What changes: `{status, pid, exitCode, error, oomKilled, startedAt, finishedAt, manuallyStopped, restartCount, network}`.
  var stateJSON: JSON {
    var json = JSONBuilder()
    json.set("status", state.status.rawValue)
    json.set("pid", integer: state.pid)
    json.set("exitCode", integer: state.exitCode)
    json.set("error", state.error)
    json.set("oomKilled", state.oomKilled)
    json.set("startedAt", state.startedAt)
    json.set("finishedAt", state.finishedAt)
    json.set("manuallyStopped", hasBeenManuallyStopped)
    json.set("restartCount", integer: restartCount)
    json.set("network", network)
    json.set("sandboxKey", sandboxKey)
    json.set("health", state.health?.status)
    return json.json
  }

  init(_ record: ContainerRecord) throws {
    do {
      let config = try JSONFields(JSON.parse(record.config), path: "config")
      let state = try JSONFields(JSON.parse(record.state), path: "state")
      id = record.id
      name = record.name
      imageID = record.image
      created = record.created
      path = try config.string("path") ?? ""
      args = try config.strings("args") ?? []
      self.config = try config.object("config", ContainerConfig.init) ?? ContainerConfig()
      hostConfig = try config.object("host", HostConfig.init) ?? HostConfig()
      networkingConfig = try config.object("networking", NetworkingConfig.init) ?? NetworkingConfig()
      layers = try config.strings("layers") ?? []
      mounts = try config.list("mounts", MountPoint.init) ?? []
      driver = try config.string("driver") ?? ""
      driverData = try config.map("driverData") ?? [:]
      platform = try config.string("platform") ?? "linux"
      logPath = try config.string("logPath") ?? ""
      self.state = ContainerState()
      self.state.status = try state.string("status").flatMap(ContainerState.Status.init) ?? .created
      self.state.pid = try state.integer("pid") ?? 0
      self.state.exitCode = try state.integer("exitCode") ?? 0
      self.state.error = try state.string("error") ?? ""
      self.state.oomKilled = try state.bool("oomKilled") ?? false
      self.state.startedAt = try state.int("startedAt") ?? 0
      self.state.finishedAt = try state.int("finishedAt") ?? 0
      self.state.health = try state.string("health").map { Self.Health(status: $0) }
      hasBeenManuallyStopped = try state.bool("manuallyStopped") ?? false
      restartCount = try state.integer("restartCount") ?? 0
      network = state.value("network")
      sandboxKey = try state.string("sandboxKey") ?? ""
    } catch {
      throw EngineError.system("read the record of container \(record.id): \(error)", cause: error)
    }
    endpoints = []
    ports = PortMap()
    resolvConfPath = ""
    hostnamePath = ""
    hostsPath = ""
    execIDs = []
    appArmorProfile = ""
    revision = 0
  }

  typealias Health = ContainerState.Health
}

extension ContainerSnapshot.MountPoint {
  var json: JSON {
    var json = JSONBuilder()
    json.set("type", type)
    json.set("name", name)
    json.set("source", source)
    json.set("destination", destination)
    json.set("driver", driver)
    json.set("mode", mode)
    json.set("rw", rw)
    json.set("propagation", propagation)
    json.set("options", options)
    if createsSource { json.set("createsSource", true) }
    if anonymous { json.set("anonymous", true) }
    if !volumeID.isEmpty { json.set("volumeID", volumeID) }
    if !subpath.isEmpty { json.set("subpath", subpath) }
    if let idMapping { json.set("idMapping", idMapping.json) }
    if !snapshotID.isEmpty {
      json.set("snapshotID", snapshotID)
      json.set("imageLayers", imageLayers.map(\.description))
    }
    return json.json
  }

  init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      type: try fields.string("type") ?? "", name: try fields.string("name") ?? "",
      source: try fields.string("source") ?? "",
      destination: try fields.string("destination") ?? "", driver: try fields.string("driver") ?? "",
      mode: try fields.string("mode") ?? "", rw: try fields.bool("rw") ?? true,
      propagation: try fields.string("propagation") ?? "")
    options = try fields.strings("options") ?? []
    createsSource = try fields.bool("createsSource") ?? false
    anonymous = try fields.bool("anonymous") ?? false
    volumeID = try fields.string("volumeID") ?? ""
    subpath = try fields.string("subpath") ?? ""
    idMapping = try fields.object("idMapping", IDMapping.init)
    snapshotID = try fields.string("snapshotID") ?? ""
    imageLayers = (try fields.strings("imageLayers") ?? []).compactMap { Digest($0) }
  }
}

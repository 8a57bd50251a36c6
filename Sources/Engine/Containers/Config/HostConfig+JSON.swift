public import OCI

extension HostConfig {
  static let known: Set<String> = HostResources.known.union([
    "Binds", "ContainerIDFile", "LogConfig", "NetworkMode", "PortBindings", "RestartPolicy", "AutoRemove",
    "VolumeDriver",
    "VolumesFrom", "ConsoleSize", "Annotations", "CapAdd", "CapDrop", "Capabilities", "CgroupnsMode", "Dns",
    "DnsOptions",
    "DnsSearch", "ExtraHosts", "GroupAdd", "IpcMode", "Cgroup", "Links", "OomScoreAdj", "PidMode", "Privileged",
    "PublishAllPorts", "ReadonlyRootfs", "SecurityOpt", "StorageOpt", "Tmpfs", "UTSMode", "UsernsMode", "ShmSize",
    "Sysctls",
    "Runtime", "Isolation", "Mounts", "MaskedPaths", "ReadonlyPaths", "Init",
  ])

  public init(_ fields: JSONFields) throws(JSONError) {
    binds = try fields.strings("Binds")
    containerIDFile = try fields.string("ContainerIDFile") ?? ""
    if let log = try fields.fields("LogConfig") {
      logConfig.type = try log.string("Type") ?? ""
      logConfig.config = try log.map("Config") ?? [:]
    }
    networkMode = try fields.string("NetworkMode") ?? ""
    portBindings = try fields.object("PortBindings", PortMap.init)
    if let policy = try fields.fields("RestartPolicy") {
      restartPolicy.name = try policy.string("Name") ?? ""
      restartPolicy.maximumRetryCount = try policy.integer("MaximumRetryCount") ?? 0
    }
    autoRemove = try fields.bool("AutoRemove") ?? false
    volumeDriver = try fields.string("VolumeDriver") ?? ""
    volumesFrom = try fields.strings("VolumesFrom")
    if let size = fields.value("ConsoleSize")?.arrayValue, size.count == 2 {
      consoleSize = (Self.dimension(size[0]), Self.dimension(size[1]))
    }
    annotations = try fields.map("Annotations") ?? [:]
    capAdd = try ContainerConfig.words(fields, "CapAdd")
    capDrop = try ContainerConfig.words(fields, "CapDrop")
    cgroupnsMode = try fields.string("CgroupnsMode") ?? ""
    dns = try fields.strings("Dns")
    dnsOptions = try fields.strings("DnsOptions")
    dnsSearch = try fields.strings("DnsSearch")
    extraHosts = try fields.strings("ExtraHosts")
    groupAdd = try fields.strings("GroupAdd")
    ipcMode = try fields.string("IpcMode") ?? ""
    cgroup = try fields.string("Cgroup") ?? ""
    links = try fields.strings("Links")
    oomScoreAdj = try fields.integer("OomScoreAdj") ?? 0
    pidMode = try fields.string("PidMode") ?? ""
    privileged = try fields.bool("Privileged") ?? false
    publishAllPorts = try fields.bool("PublishAllPorts") ?? false
    readonlyRootfs = try fields.bool("ReadonlyRootfs") ?? false
    securityOpt = try fields.strings("SecurityOpt")
    storageOpt = try fields.map("StorageOpt") ?? [:]
    tmpfs = try fields.map("Tmpfs") ?? [:]
    utsMode = try fields.string("UTSMode") ?? ""
    usernsMode = try fields.string("UsernsMode") ?? ""
    shmSize = try fields.int("ShmSize") ?? 0
    sysctls = try fields.map("Sysctls") ?? [:]
    runtime = try fields.string("Runtime") ?? ""
    isolation = try fields.string("Isolation") ?? ""
    resources = try HostResources(fields)
    mounts = try fields.list("Mounts", MountSpec.init)
    maskedPaths = try fields.strings("MaskedPaths")
    readonlyPaths = try fields.strings("ReadonlyPaths")
    useInit = try fields.bool("Init")
    for (key, value) in fields.object.members where !Self.known.contains(key) { unknown[key] = value }
  }

  private static func dimension(_ value: JSON) -> UInt16 { value.intValue.flatMap { UInt16(exactly: $0) } ?? 0 }

  public var json: JSON {
    var json = JSONBuilder()
    json.set("Binds", JSON(orNull: binds))
    json.set("ContainerIDFile", containerIDFile)
    json.set("LogConfig", ["Type": JSON(logConfig.type), "Config": JSON(logConfig.config)])
    json.set("NetworkMode", networkMode)
    json.set("PortBindings", portBindings?.json ?? .null)
    json.set(
      "RestartPolicy", ["Name": JSON(restartPolicy.name), "MaximumRetryCount": JSON(restartPolicy.maximumRetryCount)])
    json.set("AutoRemove", autoRemove)
    json.set("VolumeDriver", volumeDriver)
    json.set("VolumesFrom", JSON(orNull: volumesFrom))
    json.set("ConsoleSize", [JSON(Int64(consoleSize.height)), JSON(Int64(consoleSize.width))])
    if !annotations.isEmpty { json.set("Annotations", annotations) }
    json.set("CapAdd", JSON(orNull: capAdd))
    json.set("CapDrop", JSON(orNull: capDrop))
    json.set("CgroupnsMode", cgroupnsMode)
    json.set("Dns", JSON(orNull: dns))
    json.set("DnsOptions", JSON(orNull: dnsOptions))
    json.set("DnsSearch", JSON(orNull: dnsSearch))
    json.set("ExtraHosts", JSON(orNull: extraHosts))
    json.set("GroupAdd", JSON(orNull: groupAdd))
    json.set("IpcMode", ipcMode)
    json.set("Cgroup", cgroup)
    json.set("Links", JSON(orNull: links))
    json.set("OomScoreAdj", integer: oomScoreAdj)
    json.set("PidMode", pidMode)
    json.set("Privileged", privileged)
    json.set("PublishAllPorts", publishAllPorts)
    json.set("ReadonlyRootfs", readonlyRootfs)
    json.set("SecurityOpt", JSON(orNull: securityOpt))
    if !storageOpt.isEmpty { json.set("StorageOpt", storageOpt) }
    if !tmpfs.isEmpty { json.set("Tmpfs", tmpfs) }
    json.set("UTSMode", utsMode)
    json.set("UsernsMode", usernsMode)
    json.set("ShmSize", shmSize)
    if !sysctls.isEmpty { json.set("Sysctls", sysctls) }
    if !runtime.isEmpty { json.set("Runtime", runtime) }
    json.set("Isolation", isolation)
    resources.encode(into: &json)
    if let mounts, !mounts.isEmpty { json.set("Mounts", .array(mounts.map(\.json))) }
    json.set("MaskedPaths", JSON(orNull: maskedPaths))
    json.set("ReadonlyPaths", JSON(orNull: readonlyPaths))
    json.set("Init", useInit)
    for (key, value) in unknown.members { json.set(key, value) }
    return json.json
  }
}

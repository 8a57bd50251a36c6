extension RuntimeSpec.Linux {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    namespaces =
      try fields.list("namespaces") { fields throws(JSONError) in
        let type = try fields.required("type", try fields.string("type"))
        guard let kind = RuntimeSpec.NamespaceKind(rawValue: type) else {
          throw JSONError(path: fields.path(of: "type"), "\"\(type)\" is no kind of namespace")
        }
        return RuntimeSpec.Namespace(kind, path: try fields.string("path"))
      } ?? []
    uidMappings = try fields.mappings("uidMappings")
    gidMappings = try fields.mappings("gidMappings")
    if let offsets = try fields.fields("timeOffsets") {
      for (clock, _) in offsets.object.members {
        timeOffsets[clock] = try offsets.object(clock) { fields throws(JSONError) in
          RuntimeSpec.TimeOffset(secs: try fields.int("secs") ?? 0, nanosecs: try fields.integer("nanosecs") ?? 0)
        }
      }
    }
    devices = try fields.list("devices") { fields throws(JSONError) in try RuntimeSpec.Device(fields) } ?? []
    cgroupsPath = try fields.string("cgroupsPath")
    resources = try fields.object("resources") { fields throws(JSONError) in try RuntimeSpec.Resources(fields) }
    rootfsPropagation = try fields.string("rootfsPropagation")
    seccomp = try fields.object("seccomp") { fields throws(JSONError) in try RuntimeSpec.Seccomp(fields) }
    sysctl = try fields.map("sysctl") ?? [:]
    maskedPaths = try fields.strings("maskedPaths") ?? []
    readonlyPaths = try fields.strings("readonlyPaths") ?? []
    mountLabel = try fields.string("mountLabel")
    personality = try fields.object("personality") { fields throws(JSONError) in
      // config-linux.md: "currently no additional flag values are supported"
      if let flags = try fields.strings("flags"), !flags.isEmpty {
        throw JSONError(path: fields.path(of: "flags"), "no flags are supported")
      }
      return try fields.required("domain", try fields.string("domain"))
    }
    intelRDT = try fields.object("intelRdt") { fields throws(JSONError) in try RuntimeSpec.IntelRDT(fields) }
    memoryPolicy = try fields.object("memoryPolicy") { fields throws(JSONError) in
      try RuntimeSpec.MemoryPolicy(fields)
    }
    if let devices = try fields.fields("netDevices") {
      for (name, _) in devices.object.members {
        netDevices[name] =
          try devices.object(name) { fields throws(JSONError) in try fields.string("name") ?? name } ?? name
      }
    }
  }
}

extension RuntimeSpec.Device {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      type: try fields.required("type", try fields.string("type")),
      path: try fields.required("path", try fields.string("path")),
      major: try fields.int("major") ?? 0, minor: try fields.int("minor") ?? 0,
      fileMode: try fields.integer("fileMode"),
      uid: try fields.integer("uid"), gid: try fields.integer("gid"))
  }
}

extension RuntimeSpec.Resources {
  /// Reads a `resources` object, which update takes by itself.
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    devices =
      try fields.list("devices") { fields throws(JSONError) in
        RuntimeSpec.DeviceRule(
          allow: try fields.bool("allow") ?? false, type: try fields.string("type"), major: try fields.int("major"),
          minor: try fields.int("minor"), access: try fields.string("access"))
      } ?? []
    memory = try fields.object("memory") { fields throws(JSONError) in
      var memory = Memory()
      memory.limit = try fields.int("limit")
      memory.reservation = try fields.int("reservation")
      memory.swap = try fields.int("swap")
      memory.kernelTCP = try fields.int("kernelTCP")
      memory.swappiness = try fields.unsigned("swappiness")
      memory.disableOOMKiller = try fields.bool("disableOOMKiller")
      memory.checkBeforeUpdate = try fields.bool("checkBeforeUpdate")
      return memory
    }
    cpu = try fields.object("cpu") { fields throws(JSONError) in
      var cpu = CPU()
      cpu.shares = try fields.unsigned("shares")
      cpu.quota = try fields.int("quota")
      cpu.burst = try fields.unsigned("burst")
      cpu.period = try fields.unsigned("period")
      cpu.realtimeRuntime = try fields.int("realtimeRuntime")
      cpu.realtimePeriod = try fields.unsigned("realtimePeriod")
      cpu.cpus = try fields.string("cpus")
      cpu.mems = try fields.string("mems")
      cpu.idle = try fields.int("idle")
      return cpu
    }
    pids = try fields.object("pids") { fields throws(JSONError) in try fields.int("limit") } ?? nil
    blockIO = try fields.object("blockIO") { fields throws(JSONError) in try BlockIO(fields) }
    hugepageLimits =
      try fields.list("hugepageLimits") { fields throws(JSONError) in
        HugepageLimit(
          pageSize: try fields.required("pageSize", try fields.string("pageSize")),
          limit: try fields.unsigned("limit") ?? 0)
      } ?? []
    unified = try fields.map("unified") ?? [:]
    network = try fields.object("network") { fields throws(JSONError) in try Network(fields) }
    if let devices = try fields.fields("rdma") {
      for (name, _) in devices.object.members {
        rdma[name] = try devices.object(name) { fields throws(JSONError) in try RDMA(fields) }
      }
    }
  }
}

extension RuntimeSpec.Resources.BlockIO {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    func throttles(_ key: String) throws(JSONError) -> [RuntimeSpec.Resources.Throttle] {
      try fields.list(key) { fields throws(JSONError) in
        RuntimeSpec.Resources.Throttle(
          major: try fields.int("major") ?? 0, minor: try fields.int("minor") ?? 0,
          rate: try fields.unsigned("rate") ?? 0)
      } ?? []
    }
    weight = try fields.integer("weight")
    leafWeight = try fields.integer("leafWeight")
    weightDevice =
      try fields.list("weightDevice") { fields throws(JSONError) in
        RuntimeSpec.Resources.Weight(
          major: try fields.int("major") ?? 0, minor: try fields.int("minor") ?? 0,
          weight: try fields.integer("weight"),
          leafWeight: try fields.integer("leafWeight"))
      } ?? []
    throttleReadBps = try throttles("throttleReadBpsDevice")
    throttleWriteBps = try throttles("throttleWriteBpsDevice")
    throttleReadIOPS = try throttles("throttleReadIOPSDevice")
    throttleWriteIOPS = try throttles("throttleWriteIOPSDevice")
  }
}

extension RuntimeSpec.Seccomp {
  /// Reads a `linux.seccomp` object.
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      defaultAction: try fields.required("defaultAction", try fields.string("defaultAction")),
      defaultErrnoRet: try fields.integer("defaultErrnoRet"), architectures: try fields.strings("architectures") ?? [],
      flags: try fields.strings("flags") ?? [], listenerPath: try fields.string("listenerPath"),
      listenerMetadata: try fields.string("listenerMetadata"),
      syscalls: try fields.list("syscalls") { fields throws(JSONError) in
        Rule(
          names: try fields.strings("names") ?? [], action: try fields.required("action", try fields.string("action")),
          errnoRet: try fields.integer("errnoRet"),
          args: try fields.list("args") { fields throws(JSONError) in
            Argument(
              index: try fields.integer("index") ?? 0, value: try fields.unsigned("value") ?? 0,
              valueTwo: try fields.unsigned("valueTwo") ?? 0, op: try fields.required("op", try fields.string("op")))
          } ?? [])
      } ?? [])
  }
}

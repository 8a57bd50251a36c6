extension RuntimeSpec.Linux {
  var json: JSON {
    var builder = JSONBuilder()
    builder.list("uidMappings", uidMappings.map(\.json))
    builder.list("gidMappings", gidMappings.map(\.json))
    if !sysctl.isEmpty { builder.set("sysctl", sysctl) }
    builder.set("resources", resources?.json)
    builder.set("cgroupsPath", cgroupsPath)
    builder.list("namespaces", namespaces.map(\.json))
    builder.list("devices", devices.map(\.json))
    builder.set("seccomp", seccomp?.json)
    builder.set("rootfsPropagation", rootfsPropagation)
    builder.strings("maskedPaths", maskedPaths)
    builder.strings("readonlyPaths", readonlyPaths)
    builder.set("mountLabel", mountLabel)
    if let personality { builder.set("personality", ["domain": personality]) }
    builder.set("intelRdt", intelRDT?.json)
    builder.set("memoryPolicy", memoryPolicy?.json)
    if !netDevices.isEmpty {
      builder.set(
        "netDevices",
        .object(JSONObject(netDevices.sorted { $0.key < $1.key }.map { ($0.key, ["name": .string($0.value)]) })))
    }
    if !timeOffsets.isEmpty {
      builder.set(
        "timeOffsets", .object(JSONObject(timeOffsets.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })))
    }
    return builder.json
  }
}

extension RuntimeSpec.Namespace {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("type", kind.rawValue)
    builder.set("path", path)
    return builder.json
  }
}

extension RuntimeSpec.TimeOffset {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("secs", secs)
    builder.set("nanosecs", integer: nanosecs)
    return builder.json
  }
}

extension RuntimeSpec.Device {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("path", path)
    builder.set("type", type)
    builder.set("major", major)
    builder.set("minor", minor)
    builder.set("fileMode", integer: fileMode)
    builder.set("uid", integer: uid)
    builder.set("gid", integer: gid)
    return builder.json
  }
}

extension RuntimeSpec.Resources {
  public var json: JSON {
    var builder = JSONBuilder()
    builder.list(
      "devices",
      devices.map { rule in
        var builder = JSONBuilder()
        builder.set("allow", rule.allow)
        builder.set("type", rule.type)
        builder.set("major", rule.major)
        builder.set("minor", rule.minor)
        builder.set("access", rule.access)
        return builder.json
      })
    if let memory {
      var inner = JSONBuilder()
      inner.set("limit", memory.limit)
      inner.set("reservation", memory.reservation)
      inner.set("swap", memory.swap)
      inner.set("kernelTCP", memory.kernelTCP)
      inner.set("swappiness", integer: memory.swappiness)
      inner.set("disableOOMKiller", memory.disableOOMKiller)
      inner.set("checkBeforeUpdate", memory.checkBeforeUpdate)
      builder.set("memory", inner.json)
    }
    if let cpu {
      var inner = JSONBuilder()
      inner.set("shares", integer: cpu.shares)
      inner.set("quota", cpu.quota)
      inner.set("burst", integer: cpu.burst)
      inner.set("period", integer: cpu.period)
      inner.set("realtimeRuntime", cpu.realtimeRuntime)
      inner.set("realtimePeriod", integer: cpu.realtimePeriod)
      inner.set("cpus", cpu.cpus)
      inner.set("mems", cpu.mems)
      inner.set("idle", cpu.idle)
      builder.set("cpu", inner.json)
    }
    if let pids { builder.set("pids", ["limit": .int(pids)]) }
    builder.set("blockIO", blockIO?.json)
    builder.list(
      "hugepageLimits",
      hugepageLimits.map { limit in
        var builder = JSONBuilder()
        builder.set("pageSize", limit.pageSize)
        builder.set("limit", integer: limit.limit)
        return builder.json
      })
    if !unified.isEmpty { builder.set("unified", unified) }
    builder.set("network", network?.json)
    if !rdma.isEmpty {
      builder.set("rdma", .object(JSONObject(rdma.sorted { $0.key < $1.key }.map { ($0.key, $0.value.json) })))
    }
    return builder.json
  }
}

extension RuntimeSpec.Resources.BlockIO {
  var json: JSON {
    func throttles(_ list: [RuntimeSpec.Resources.Throttle]) -> [JSON] {
      list.map { throttle in
        var builder = JSONBuilder()
        builder.set("major", throttle.major)
        builder.set("minor", throttle.minor)
        builder.set("rate", integer: throttle.rate)
        return builder.json
      }
    }
    var builder = JSONBuilder()
    builder.set("weight", integer: weight)
    builder.set("leafWeight", integer: leafWeight)
    builder.list(
      "weightDevice",
      weightDevice.map { device in
        var builder = JSONBuilder()
        builder.set("major", device.major)
        builder.set("minor", device.minor)
        builder.set("weight", integer: device.weight)
        builder.set("leafWeight", integer: device.leafWeight)
        return builder.json
      })
    builder.list("throttleReadBpsDevice", throttles(throttleReadBps))
    builder.list("throttleWriteBpsDevice", throttles(throttleWriteBps))
    builder.list("throttleReadIOPSDevice", throttles(throttleReadIOPS))
    builder.list("throttleWriteIOPSDevice", throttles(throttleWriteIOPS))
    return builder.json
  }
}

extension RuntimeSpec.Seccomp {
  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("defaultAction", defaultAction)
    builder.set("defaultErrnoRet", integer: defaultErrnoRet)
    builder.strings("architectures", architectures)
    builder.strings("flags", flags)
    builder.set("listenerPath", listenerPath)
    builder.set("listenerMetadata", listenerMetadata)
    builder.list(
      "syscalls",
      syscalls.map { rule in
        var builder = JSONBuilder()
        builder.set("names", rule.names)
        builder.set("action", rule.action)
        builder.set("errnoRet", integer: rule.errnoRet)
        builder.list(
          "args",
          rule.args.map { argument in
            var builder = JSONBuilder()
            builder.set("index", integer: argument.index)
            builder.set("value", integer: argument.value)
            builder.set("valueTwo", integer: argument.valueTwo)
            builder.set("op", argument.op)
            return builder.json
          })
        return builder.json
      })
    return builder.json
  }
}

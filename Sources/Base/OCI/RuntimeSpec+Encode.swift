extension RuntimeSpec {
  /// The text of a `config.json`; what is absent or empty is left out, as the specification's Go types do.
  public func encoded() -> [UInt8] { json.encoded() }

  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("ociVersion", ociVersion)
    builder.set("process", process?.json)
    if let root {
      var inner = JSONBuilder()
      inner.set("path", root.path)
      inner.flag("readonly", root.readonly)
      builder.set("root", inner.json)
    }
    builder.set("hostname", hostname)
    builder.set("domainname", domainname)
    builder.list("mounts", mounts.map(\.json))
    builder.set("hooks", hooks?.json)
    builder.set("annotations", annotations)
    builder.set("linux", linux.json)
    return builder.json
  }
}

extension JSONBuilder {
  /// An array, unless it is empty.
  mutating func list(_ key: String, _ values: [JSON]) { if !values.isEmpty { set(key, JSON.array(values)) } }
  mutating func strings(_ key: String, _ values: [String]) { if !values.isEmpty { set(key, values) } }
  /// `true`, or nothing.
  mutating func flag(_ key: String, _ value: Bool) { if value { set(key, true) } }
}

extension RuntimeSpec.Mount {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("destination", destination)
    builder.set("type", type)
    builder.set("source", source)
    builder.strings("options", options)
    builder.list("uidMappings", uidMappings.map(\.json))
    builder.list("gidMappings", gidMappings.map(\.json))
    return builder.json
  }
}

extension RuntimeSpec.IDMapping {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("containerID", integer: containerID)
    builder.set("hostID", integer: hostID)
    builder.set("size", integer: size)
    return builder.json
  }
}

extension RuntimeSpec.Hook {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("path", path)
    builder.set("args", args)
    builder.set("env", env)
    builder.set("timeout", timeout)
    return builder.json
  }
}

extension RuntimeSpec.Hooks {
  var json: JSON {
    var builder = JSONBuilder()
    builder.list("prestart", prestart.map(\.json))
    builder.list("createRuntime", createRuntime.map(\.json))
    builder.list("createContainer", createContainer.map(\.json))
    builder.list("startContainer", startContainer.map(\.json))
    builder.list("poststart", poststart.map(\.json))
    builder.list("poststop", poststop.map(\.json))
    return builder.json
  }
}

extension RuntimeSpec.Process {
  public var json: JSON {
    var builder = JSONBuilder()
    builder.flag("terminal", terminal)
    if let consoleSize {
      var size = JSONBuilder()
      size.set("height", integer: consoleSize.height)
      size.set("width", integer: consoleSize.width)
      builder.set("consoleSize", size.json)
    }
    builder.set("user", user.json)
    builder.strings("args", args)
    builder.strings("env", env)
    builder.set("cwd", cwd)
    builder.set("capabilities", capabilities?.json)
    builder.list("rlimits", rlimits.map(\.json))
    builder.flag("noNewPrivileges", noNewPrivileges)
    builder.set("apparmorProfile", apparmorProfile)
    builder.set("selinuxLabel", selinuxLabel)
    builder.set("oomScoreAdj", integer: oomScoreAdj)
    builder.set("scheduler", scheduler?.json)
    builder.set("ioPriority", ioPriority?.json)
    builder.set("execCPUAffinity", execCPUAffinity?.json)
    return builder.json
  }
}

extension RuntimeSpec.User {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("uid", integer: uid)
    builder.set("gid", integer: gid)
    builder.set("umask", integer: umask)
    builder.list("additionalGids", additionalGids.map { .int(Int64($0)) })
    return builder.json
  }
}

extension RuntimeSpec.Capabilities {
  var json: JSON {
    var builder = JSONBuilder()
    builder.strings("bounding", bounding)
    builder.strings("effective", effective)
    builder.strings("inheritable", inheritable)
    builder.strings("permitted", permitted)
    builder.strings("ambient", ambient)
    return builder.json
  }
}

extension RuntimeSpec.Rlimit {
  var json: JSON {
    var builder = JSONBuilder()
    builder.set("type", type)
    builder.set("hard", integer: hard)
    builder.set("soft", integer: soft)
    return builder.json
  }
}

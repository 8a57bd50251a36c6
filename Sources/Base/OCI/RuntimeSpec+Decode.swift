extension RuntimeSpec {
  /// Reads a whole `config.json`.
  public init(decoding bytes: [UInt8]) throws(JSONError) { try self.init(JSONFields(try JSON.parse(bytes))) }

  /// Reads the configuration from an object; a wrong type names the member's path (`process.rlimits[2].hard`).
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    ociVersion = try fields.string("ociVersion") ?? OCI.runtimeVersion
    process = try fields.object("process") { fields throws(JSONError) in try Process(fields) }
    root = try fields.object("root") { fields throws(JSONError) in
      Root(path: try fields.required("path", try fields.string("path")), readonly: try fields.bool("readonly") ?? false)
    }
    hostname = try fields.string("hostname")
    domainname = try fields.string("domainname")
    mounts = try fields.list("mounts") { fields throws(JSONError) in try Mount(fields) } ?? []
    hooks = try fields.object("hooks") { fields throws(JSONError) in try Hooks(fields) }
    annotations = try fields.map("annotations")
    linux = try fields.object("linux") { fields throws(JSONError) in try Linux(fields) } ?? Linux()
  }
}

extension RuntimeSpec.Mount {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      destination: try fields.required("destination", try fields.string("destination")),
      type: try fields.string("type"),
      source: try fields.string("source"), options: try fields.strings("options") ?? [],
      uidMappings: try fields.mappings("uidMappings"), gidMappings: try fields.mappings("gidMappings"))
  }
}

extension RuntimeSpec.Hook {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      path: try fields.required("path", try fields.string("path")), args: try fields.strings("args"),
      env: try fields.strings("env"), timeout: try fields.int("timeout"))
  }
}

extension RuntimeSpec.Hooks {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    func hooks(_ key: String) throws(JSONError) -> [RuntimeSpec.Hook] {
      try fields.list(key) { fields throws(JSONError) in try RuntimeSpec.Hook(fields) } ?? []
    }
    prestart = try hooks("prestart")
    createRuntime = try hooks("createRuntime")
    createContainer = try hooks("createContainer")
    startContainer = try hooks("startContainer")
    poststart = try hooks("poststart")
    poststop = try hooks("poststop")
  }
}

extension RuntimeSpec.Process {
  /// Reads a `process` object, which exec takes by itself (`runc exec --process`).
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    terminal = try fields.bool("terminal") ?? false
    consoleSize = try fields.object("consoleSize") { fields throws(JSONError) in
      (try fields.integer("width") ?? 0, try fields.integer("height") ?? 0)
    }
    user = try fields.object("user") { fields throws(JSONError) in try RuntimeSpec.User(fields) } ?? RuntimeSpec.User()
    args = try fields.strings("args") ?? []
    env = try fields.strings("env") ?? []
    cwd = try fields.string("cwd") ?? "/"
    capabilities = try fields.object("capabilities") { fields throws(JSONError) in try RuntimeSpec.Capabilities(fields)
    }
    rlimits =
      try fields.list("rlimits") { fields throws(JSONError) in
        RuntimeSpec.Rlimit(
          type: try fields.required("type", try fields.string("type")), soft: try fields.unsigned("soft") ?? 0,
          hard: try fields.unsigned("hard") ?? 0)
      } ?? []
    noNewPrivileges = try fields.bool("noNewPrivileges") ?? false
    apparmorProfile = try fields.string("apparmorProfile")
    selinuxLabel = try fields.string("selinuxLabel")
    oomScoreAdj = try fields.integer("oomScoreAdj")
    scheduler = try fields.object("scheduler") { fields throws(JSONError) in try RuntimeSpec.Scheduler(fields) }
    ioPriority = try fields.object("ioPriority") { fields throws(JSONError) in try RuntimeSpec.IOPriority(fields) }
    execCPUAffinity = try fields.object("execCPUAffinity") { fields throws(JSONError) in
      try RuntimeSpec.CPUAffinity(fields)
    }
  }
}

extension RuntimeSpec.User {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    uid = try fields.integer("uid") ?? 0
    gid = try fields.integer("gid") ?? 0
    umask = try fields.integer("umask")
    additionalGids = try fields.integers("additionalGids") ?? []
  }
}

extension RuntimeSpec.Capabilities {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    bounding = try fields.strings("bounding") ?? []
    effective = try fields.strings("effective") ?? []
    inheritable = try fields.strings("inheritable") ?? []
    permitted = try fields.strings("permitted") ?? []
    ambient = try fields.strings("ambient") ?? []
  }
}

extension JSONFields {
  /// An unsigned integer of 64 bits. What is above `Int64.max` went through a double, whose nearest value to
  /// `UInt64.max` lies one above it.
  func unsigned(_ key: String) throws(JSONError) -> UInt64? {
    switch value(key) {
    case nil: return nil
    case .int(let value)?:
      if let value = UInt64(exactly: value) { return value }
    case .double(let value)?:
      if value == 0x1p64 { return .max }
      if let value = UInt64(exactly: value) { return value }
    default: break
    }
    throw JSONError(path: path(of: key), "an integer from 0 to \(UInt64.max) is expected")
  }

  /// A list of integers that fit `T`.
  func integers<T: FixedWidthInteger>(_ key: String, as type: T.Type = T.self) throws(JSONError) -> [T]? {
    guard let value = value(key) else { return nil }
    guard let array = value.arrayValue else { throw JSONError(path: path(of: key), "a list is expected") }
    var result: [T] = []
    result.reserveCapacity(array.count)
    for (index, element) in array.enumerated() {
      guard let number = element.intValue.flatMap({ T(exactly: $0) }) else {
        throw JSONError(path: "\(path(of: key))[\(index)]", "an integer from \(T.min) to \(T.max) is expected")
      }
      result.append(number)
    }
    return result
  }

  func mappings(_ key: String) throws(JSONError) -> [RuntimeSpec.IDMapping] {
    try list(key) { fields throws(JSONError) in
      RuntimeSpec.IDMapping(
        containerID: try fields.integer("containerID") ?? 0, hostID: try fields.integer("hostID") ?? 0,
        size: try fields.integer("size") ?? 0)
    } ?? []
  }
}

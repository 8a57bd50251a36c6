import Cgroups
public import OCI
import Rootfs

extension LaunchPlan {
  public init(decoding bytes: [UInt8]) throws(JSONError) { try self.init(JSONFields(try JSON.parse(bytes))) }

  public init(_ fields: JSONFields) throws(JSONError) {
    let rootfs = try fields.required("rootfs", try fields.fields("rootfs"))
    self.init(
      id: try fields.required("id", try fields.string("id")),
      spec: try RuntimeSpec(try fields.required("spec", try fields.fields("spec"))),
      rootfs: try Rootfs(rootfs), user: try fields.string("user"),
      additionalGroups: try fields.strings("additionalGroups") ?? [], seccompFilter: try fields.string("seccompFilter"),
      initProcess: try fields.bool("initProcess") ?? false,
      stdio: try Stdio(try fields.required("stdio", try fields.fields("stdio"))),
      log: try fields.object("log") { fields throws(JSONError) in try Log(fields) },
      exitRecord: try fields.required("exitRecord", try fields.string("exitRecord")),
      durableExit: try fields.bool("durableExit") ?? true,
      cgroupLayout: try fields.object("cgroupLayout") { fields throws(JSONError) in try CgroupLayout(fields) },
      cgroupMade: try fields.bool("cgroupMade") ?? false)
    bundle = try fields.string("bundle") ?? ""
    seccompFlags = try fields.integer("seccompFlags")
    seccompListener = try SeccompListener(of: fields)
    mapsRoot = try fields.bool("mapsRoot") ?? false
    for (destination, value) in fields.value("pins")?.objectValue?.members ?? [] {
      // Device and inode, as text: JSON's numbers end before theirs.
      guard let words = value.arrayValue?.compactMap(\.stringValue), words.count == 2, let device = UInt64(words[0]),
        let inode = UInt64(words[1])
      else { continue }
      pins[destination] = SourcePin(device: device, inode: inode)
    }
    for (destination, value) in fields.value("borrowed")?.objectValue?.members ?? [] {
      borrowed[destination] = value.intValue.flatMap { Int32(exactly: $0) } ?? 0
    }
  }

  public func encoded() -> [UInt8] { json.encoded() }

  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("id", id)
    builder.set("rootfs", rootfs.json)
    builder.set("user", user)
    builder.set("additionalGroups", additionalGroups.isEmpty ? nil : additionalGroups)
    builder.set("seccompFilter", seccompFilter)
    SeccompListener.set(seccompListener, seccompFlags, &builder)
    builder.set("initProcess", initProcess)
    builder.set("stdio", stdio.json)
    builder.set("log", log?.json)
    builder.set("exitRecord", exitRecord)
    builder.set("durableExit", durableExit)
    builder.set("cgroupLayout", cgroupLayout?.json)
    builder.set("cgroupMade", cgroupMade)
    if !bundle.isEmpty { builder.set("bundle", bundle) }
    if mapsRoot { builder.set("mapsRoot", true) }
    if !pins.isEmpty {
      var object = JSONObject()
      for (destination, pin) in pins { object[destination] = [.string("\(pin.device)"), .string("\(pin.inode)")] }
      builder.set("pins", .object(object))
    }
    if !borrowed.isEmpty {
      var object = JSONObject()
      for (destination, pid) in borrowed { object[destination] = .int(Int64(pid)) }
      builder.set("borrowed", .object(object))
    }
    builder.set("spec", spec.json)
    return builder.json
  }
}

extension LaunchPlan.Rootfs {
  init(_ fields: JSONFields) throws(JSONError) {
    if let directory = try fields.string("directory") {
      self = .directory(directory)
    } else {
      self = .overlay(
        lower: try fields.required("lower", try fields.strings("lower")),
        upper: try fields.required("upper", try fields.string("upper")),
        work: try fields.required("work", try fields.string("work")), volatile: try fields.bool("volatile") ?? false)
    }
  }

  var json: JSON {
    switch self {
    case .directory(let path): ["directory": .string(path)]
    case .overlay(let lower, let upper, let work, let volatile):
      ["lower": JSON(lower), "upper": .string(upper), "work": .string(work), "volatile": .bool(volatile)]
    }
  }
}

extension LaunchPlan.Stdio {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      terminal: try fields.bool("terminal") ?? false, openStdin: try fields.bool("openStdin") ?? false,
      stdinOnce: try fields.bool("stdinOnce") ?? false)
  }

  var json: JSON { ["terminal": .bool(terminal), "openStdin": .bool(openStdin), "stdinOnce": .bool(stdinOnce)] }
}

extension LaunchPlan.Log {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      path: try fields.required("path", try fields.string("path")), maximumSize: try fields.int("maximumSize"),
      maximumFiles: try fields.integer("maximumFiles") ?? 1)
  }

  var json: JSON {
    var builder = JSONBuilder()
    builder.set("path", path)
    builder.set("maximumSize", maximumSize)
    builder.set("maximumFiles", integer: maximumFiles)
    return builder.json
  }
}

extension ExecPlan {
  public init(decoding bytes: [UInt8]) throws(JSONError) { try self.init(JSONFields(try JSON.parse(bytes))) }

  public init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      id: try fields.required("id", try fields.string("id")),
      process: try RuntimeSpec.Process(try fields.required("process", try fields.fields("process"))),
      user: try fields.string("user"), additionalGroups: try fields.strings("additionalGroups") ?? [],
      seccompFilter: try fields.string("seccompFilter"),
      stdio: try LaunchPlan.Stdio(try fields.required("stdio", try fields.fields("stdio"))))
    seccompFlags = try fields.integer("seccompFlags")
    seccompListener = try SeccompListener(of: fields)
  }

  public func encoded() -> [UInt8] { json.encoded() }

  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("id", id)
    builder.set("user", user)
    SeccompListener.set(seccompListener, seccompFlags, &builder)
    builder.set("additionalGroups", additionalGroups.isEmpty ? nil : additionalGroups)
    builder.set("seccompFilter", seccompFilter)
    builder.set("stdio", stdio.json)
    builder.set("process", process.json)
    return builder.json
  }
}

extension SeccompListener {
  /// `"seccompListener": {"path", "metadata"?}` of a plan.
  init?(of fields: JSONFields) throws(JSONError) {
    guard let own = try fields.fields("seccompListener") else { return nil }
    self.init(path: try own.required("path", try own.string("path")), metadata: try own.string("metadata"))
  }

  static func set(_ listener: SeccompListener?, _ flags: UInt32?, _ builder: inout JSONBuilder) {
    builder.set("seccompFlags", integer: flags)
    guard let listener else { return }
    var own = JSONBuilder()
    own.set("path", listener.path)
    own.set("metadata", listener.metadata)
    builder.set("seccompListener", own.json)
  }
}

extension LaunchFailure {
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      step: try fields.string("step") ?? "", errno: try fields.integer("errno") ?? 0,
      object: try fields.string("object") ?? "", message: try fields.string("message") ?? "")
  }

  /// `{"message", "step", "errno", "object"}`, as `ShimProtocol` has it.
  public var json: JSON {
    ["message": .string(message), "step": .string(step), "errno": .int(Int64(errno)), "object": .string(object)]
  }
}

extension ImageConfig {
  /// At most as many layers as an overlay takes; Docker stops at 127.
  public static let maximumLayers = 500

  public init(_ fields: JSONFields) throws(JSONError) {
    created = try fields.string("created")
    author = try fields.string("author")
    comment = try fields.string("comment")
    architecture = try fields.string("architecture") ?? ""
    variant = try fields.string("variant")
    os = try fields.string("os") ?? ""
    osVersion = try fields.string("os.version")
    osFeatures = try fields.strings("os.features")
    config = try fields.object("config") { fields throws(JSONError) in try Defaults(fields) } ?? Defaults()
    diffIDs = []
    if let rootfs = try fields.fields("rootfs") {
      if let type = try rootfs.string("type"), type != "layers" {
        throw JSONError(path: rootfs.path(of: "type"), "\"\(type)\" is unknown, \"layers\" is expected")
      }
      for (index, text) in (try rootfs.strings("diff_ids") ?? []).enumerated() {
        guard let digest = Digest(text) else {
          throw JSONError(path: "\(rootfs.path(of: "diff_ids"))[\(index)]", "a sha256 digest is expected")
        }
        diffIDs.append(digest)
      }
      guard diffIDs.count <= Self.maximumLayers else {
        throw JSONError(path: rootfs.path(of: "diff_ids"), "more than \(Self.maximumLayers) layers")
      }
    }
    history = try fields.list("history") { fields throws(JSONError) in try History(fields) } ?? []
  }

  public init(decoding bytes: [UInt8]) throws(JSONError) { try self.init(JSONFields(JSON.parse(bytes))) }

  /// The document as Docker writes it: members in its order, `omitempty` as there.
  public var json: JSON {
    var document = JSONBuilder()
    document.set("architecture", architecture)
    document.set("variant", variant)
    document.set("author", author)
    document.set("comment", comment)
    document.set("config", config.json)
    document.set("created", created)
    if !history.isEmpty { document.set("history", .array(history.map(\.json))) }
    document.set("os", os)
    document.set("os.version", osVersion)
    document.set("os.features", osFeatures)
    document.set("rootfs", ["type": "layers", "diff_ids": .array(diffIDs.map { .string($0.description) })])
    return document.json
  }
}

extension ImageConfig.Defaults {
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    user = try fields.string("User")
    exposedPorts = try Self.keys(fields, "ExposedPorts")
    env = try fields.strings("Env")
    entrypoint = try Self.words(fields, "Entrypoint")
    cmd = try Self.words(fields, "Cmd")
    volumes = try Self.keys(fields, "Volumes")
    workingDir = try fields.string("WorkingDir")
    labels = try fields.map("Labels")
    stopSignal = try fields.string("StopSignal")
    stopTimeout = try fields.int("StopTimeout")
    healthcheck = try fields.object("Healthcheck") { fields throws(JSONError) in try ImageConfig.Healthcheck(fields) }
    onBuild = try fields.strings("OnBuild")
    shell = try fields.strings("Shell")
    argsEscaped = try fields.bool("ArgsEscaped")
  }

  /// Docker's `strslice`: a list, or one string that stands for a list of one.
  private static func words(_ fields: JSONFields, _ key: String) throws(JSONError) -> [String]? {
    if let single = fields.value(key)?.stringValue { return [single] }
    return try fields.strings(key)
  }

  /// A set written as a map to empty objects.
  private static func keys(_ fields: JSONFields, _ key: String) throws(JSONError) -> [String]? {
    guard let value = fields.value(key) else { return nil }
    guard let object = value.objectValue else { throw JSONError(path: fields.path(of: key), "an object is expected") }
    return object.members.map(\.key).sorted()
  }

  private static func set(_ keys: [String]?) -> JSON? {
    keys.map { .object(JSONObject($0.map { ($0, .object(JSONObject())) })) }
  }

  public var json: JSON {
    var document = JSONBuilder()
    document.set("User", user)
    document.set("ExposedPorts", Self.set(exposedPorts))
    document.set("Env", env)
    document.set("Cmd", cmd)
    document.set("Healthcheck", healthcheck?.json)
    document.set("ArgsEscaped", argsEscaped)
    document.set("Volumes", Self.set(volumes))
    document.set("WorkingDir", workingDir)
    document.set("Entrypoint", entrypoint)
    document.set("OnBuild", onBuild)
    document.set("Labels", labels)
    document.set("StopSignal", stopSignal)
    document.set("StopTimeout", stopTimeout)
    document.set("Shell", shell)
    return document.json
  }
}

extension ImageConfig.Healthcheck {
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      test: try fields.strings("Test"), interval: try fields.int("Interval") ?? 0,
      timeout: try fields.int("Timeout") ?? 0,
      startPeriod: try fields.int("StartPeriod") ?? 0, startInterval: try fields.int("StartInterval") ?? 0,
      retries: try fields.int("Retries") ?? 0)
  }

  public var json: JSON {
    var document = JSONBuilder()
    document.set("Test", test)
    let numbers = [
      ("Interval", interval), ("Timeout", timeout), ("StartPeriod", startPeriod), ("StartInterval", startInterval),
      ("Retries", retries),
    ]
    for (key, value) in numbers where value != 0 { document.set(key, value) }
    return document.json
  }
}

extension ImageConfig.History {
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      created: try fields.string("created"), createdBy: try fields.string("created_by"),
      author: try fields.string("author"),
      comment: try fields.string("comment"), emptyLayer: try fields.bool("empty_layer") ?? false)
  }

  public var json: JSON {
    var document = JSONBuilder()
    document.set("created", created)
    document.set("created_by", createdBy)
    document.set("author", author)
    document.set("comment", comment)
    if emptyLayer { document.set("empty_layer", true) }
    return document.json
  }
}

public import OCI

/// What a container runs: the members of `ContainerConfig` in the Engine API, which don't depend on the host.
///
/// Decoded from the body of `POST /containers/create` (and from an image's own configuration), merged by `merging(image:)`, kept in
/// the container's record and encoded back for `inspect` in the order and with the nulls of Docker.
public struct ContainerConfig: Sendable, Equatable {
  public var hostname = ""
  public var domainname = ""
  /// `user[:group]`, names or numbers, as written.
  public var user = ""
  public var attachStdin = false
  public var attachStdout = false
  public var attachStderr = false
  /// `80/tcp`, sorted.
  public var exposedPorts: [String] = []
  public var tty = false
  public var openStdin = false
  public var stdinOnce = false
  /// `KEY=value`; `KEY` alone removes the image's.
  public var env: [String]?
  public var cmd: [String]?
  public var healthcheck: HealthConfig?
  public var argsEscaped = false
  /// The image as the user named it.
  public var image = ""
  /// Paths of anonymous volumes, sorted.
  public var volumes: [String]?
  public var workingDir = ""
  /// `[]` and `[""]` reset the image's.
  public var entrypoint: [String]?
  public var networkDisabled = false
  /// Deprecated since API 1.44 in favour of the endpoint's.
  public var macAddress = ""
  public var onBuild: [String]?
  public var labels: [String: String] = [:]
  /// `SIGTERM`, `15` or empty.
  public var stopSignal = ""
  /// Seconds; -1 waits for ever.
  public var stopTimeout: Int?
  public var shell: [String]?
  /// Members that this version doesn't know, kept for `inspect`.
  public var unknown = JSONObject()

  public init() {}

  /// A member of type `null`, string or list of strings, as Docker's `strslice`.
  static func words(_ fields: JSONFields, _ key: String) throws(JSONError) -> [String]? {
    if let text = fields.value(key)?.stringValue { return [text] }
    return try fields.strings(key)
  }

  static let known: Set<String> = [
    "Hostname", "Domainname", "User", "AttachStdin", "AttachStdout", "AttachStderr", "ExposedPorts", "Tty", "OpenStdin",
    "StdinOnce", "Env", "Cmd", "Healthcheck", "ArgsEscaped", "Image", "Volumes", "WorkingDir", "Entrypoint",
    "NetworkDisabled",
    "MacAddress", "OnBuild", "Labels", "StopSignal", "StopTimeout", "Shell", "HostConfig", "NetworkingConfig",
  ]

  public init(_ fields: JSONFields) throws(JSONError) {
    hostname = try fields.string("Hostname") ?? ""
    domainname = try fields.string("Domainname") ?? ""
    user = try fields.string("User") ?? ""
    attachStdin = try fields.bool("AttachStdin") ?? false
    attachStdout = try fields.bool("AttachStdout") ?? false
    attachStderr = try fields.bool("AttachStderr") ?? false
    exposedPorts = try fields.fields("ExposedPorts")?.object.members.map(\.key).sorted() ?? []
    tty = try fields.bool("Tty") ?? false
    openStdin = try fields.bool("OpenStdin") ?? false
    stdinOnce = try fields.bool("StdinOnce") ?? false
    env = try fields.strings("Env")
    cmd = try Self.words(fields, "Cmd")
    healthcheck = try fields.object("Healthcheck", HealthConfig.init)
    argsEscaped = try fields.bool("ArgsEscaped") ?? false
    image = try fields.string("Image") ?? ""
    volumes = try fields.fields("Volumes")?.object.members.map(\.key).sorted()
    workingDir = try fields.string("WorkingDir") ?? ""
    entrypoint = try Self.words(fields, "Entrypoint")
    networkDisabled = try fields.bool("NetworkDisabled") ?? false
    macAddress = try fields.string("MacAddress") ?? ""
    onBuild = try fields.strings("OnBuild")
    labels = try fields.map("Labels") ?? [:]
    stopSignal = try fields.string("StopSignal") ?? ""
    stopTimeout = try fields.integer("StopTimeout")
    shell = try Self.words(fields, "Shell")
    for (key, value) in fields.object.members where !Self.known.contains(key) { unknown[key] = value }
  }

  public var json: JSON {
    var json = JSONBuilder()
    json.set("Hostname", hostname)
    json.set("Domainname", domainname)
    json.set("User", user)
    json.set("AttachStdin", attachStdin)
    json.set("AttachStdout", attachStdout)
    json.set("AttachStderr", attachStderr)
    if !exposedPorts.isEmpty { json.set("ExposedPorts", Self.set(exposedPorts)) }
    json.set("Tty", tty)
    json.set("OpenStdin", openStdin)
    json.set("StdinOnce", stdinOnce)
    json.set("Env", JSON(orNull: env))
    json.set("Cmd", JSON(orNull: cmd))
    json.set("Healthcheck", healthcheck?.json)
    if argsEscaped { json.set("ArgsEscaped", true) }
    json.set("Image", image)
    json.set("Volumes", volumes.map(Self.set) ?? .null)
    json.set("WorkingDir", workingDir)
    json.set("Entrypoint", JSON(orNull: entrypoint))
    if networkDisabled { json.set("NetworkDisabled", true) }
    if !macAddress.isEmpty { json.set("MacAddress", macAddress) }
    json.set("OnBuild", JSON(orNull: onBuild))
    json.set("Labels", JSON(labels))
    if !stopSignal.isEmpty { json.set("StopSignal", stopSignal) }
    json.set("StopTimeout", integer: stopTimeout)
    if let shell { json.set("Shell", shell) }
    for (key, value) in unknown.members { json.set(key, value) }
    return json.json
  }

  private static func set(_ keys: [String]) -> JSON { .object(JSONObject(keys.map { ($0, [:]) })) }
}

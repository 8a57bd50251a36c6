import EngineClient
import Kernel
import OCI

/// The body of `POST /containers/create` from the flags of `run` and `create`. What isn't set is left out, but for what
/// docker's client always sends and `inspect` shows.
struct ContainerOptions {
  private(set) var body: JSON
  let attachStdin: Bool
  let attachStdout: Bool
  let attachStderr: Bool
  let tty: Bool
  let autoRemove: Bool
  let image: String

  /// `detached`: nothing will be attached.
  init(_ values: FlagValues, arguments: [String], detached: Bool, apiSocket: String = Host.standard.path) throws {
    let attach = values.list("attach").map { $0.lowercased() }
    image = arguments[0]
    tty = values.bool("tty")
    autoRemove = values.bool("rm")
    attachStdin = !detached && (values.bool("interactive") || attach.contains("stdin"))
    attachStdout = !detached && (attach.isEmpty || attach.contains("stdout"))
    attachStderr = !detached && (attach.isEmpty || attach.contains("stderr"))

    var config = JSONBuilder()
    for (key, flag) in [
      ("Hostname", "hostname"), ("Domainname", "domainname"), ("User", "user"), ("WorkingDir", "workdir"),
      ("StopSignal", "stop-signal"),
    ] {
      ContainerOptions.set(&config, key, values.string(flag))
    }
    config.set("AttachStdin", attachStdin)
    config.set("AttachStdout", attachStdout)
    config.set("AttachStderr", attachStderr)
    config.set("Tty", tty)
    config.set("OpenStdin", values.bool("interactive"))
    config.set("StdinOnce", values.bool("interactive") && attachStdin)
    let environment = try KeyValueFiles.environment(files: values.list("env-file"), flags: values.list("env"))
    config.set("Env", environment.isEmpty ? nil : environment)
    if arguments.count > 1 { config.set("Cmd", Array(arguments[1...])) }
    config.set("Image", image)
    if values.isSet("entrypoint") { config.set("Entrypoint", [values.string("entrypoint")]) }
    config.set("Labels", try KeyValueFiles.labels(files: values.list("label-file"), flags: values.list("label")))
    if values.isSet("stop-timeout") { config.set("StopTimeout", values.int("stop-timeout")) }
    config.set("Healthcheck", try ContainerOptions.healthcheck(values))

    let ports = try PortSpecs(publish: values.list("publish"), expose: values.list("expose"))
    config.set("ExposedPorts", ports.exposedJSON)
    let (binds, volumes) = try ContainerOptions.volumes(values)
    if !volumes.isEmpty { config.set("Volumes", .object(JSONObject(volumes.map { ($0, .object(JSONObject())) }))) }

    var host = try ContainerOptions.hostConfig(values, detached: detached, apiSocket: apiSocket)
    if !binds.isEmpty { host.set("Binds", binds) }
    host.set("PortBindings", ports.bindingsJSON)
    let (mode, endpoints) = try ContainerOptions.networks(values)
    host.set("NetworkMode", mode)
    if let hardware = endpoints[mode]?["MacAddress"]?.stringValue { config.set("MacAddress", hardware) }
    config.set("HostConfig", host.json)
    // Docker's daemon wants it even when it is empty.
    config.set("NetworkingConfig", ["EndpointsConfig": .object(endpoints)])
    body = config.json
  }

  static func set(_ builder: inout JSONBuilder, _ key: String, _ value: String) {
    if !value.isEmpty { builder.set(key, value) }
  }

  private static func volumes(_ values: FlagValues) throws -> (binds: [String], anonymous: [String]) {
    var binds: [String] = []
    var anonymous: [String] = []
    for text in values.list("volume") {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      guard parts.count > 1 else {
        guard !text.isEmpty else { throw CommandFailure("invalid empty volume spec") }
        anonymous.append(text)
        continue
      }
      guard !parts[0].isEmpty, !parts[1].isEmpty else {
        throw CommandFailure("invalid spec: \(text): empty section between colons")
      }
      binds.append(([HostPath.absolute(parts[0])] + parts.dropFirst()).joined(separator: ":"))
    }
    return (binds, anonymous)
  }

  private static func healthcheck(_ values: FlagValues) throws -> JSON? {
    let durations = [
      ("Interval", "health-interval"), ("Timeout", "health-timeout"), ("StartPeriod", "health-start-period"),
      ("StartInterval", "health-start-interval"),
    ]
    let command = values.string("health-cmd")
    let retries = values.int("health-retries")
    let any = !command.isEmpty || retries != 0 || durations.contains { values.duration($0.1) != 0 }
    if values.bool("no-healthcheck") {
      if any { throw CommandFailure("--no-healthcheck conflicts with --health-* options") }
      return ["Test": ["NONE"]]
    }
    guard any else { return nil }
    var health = JSONBuilder()
    if !command.isEmpty { health.set("Test", ["CMD-SHELL", command]) }
    for (key, flag) in durations {
      let value = values.duration(flag)
      guard value >= 0 else { throw CommandFailure("--\(flag) cannot be negative") }
      if value > 0 { health.set(key, value) }
    }
    guard retries >= 0 else { throw CommandFailure("--health-retries cannot be negative") }
    if retries > 0 { health.set("Retries", retries) }
    return health.json
  }

  /// The network mode, and the endpoints that need settings of their own.
  private static func networks(_ values: FlagValues) throws -> (String, JSONObject) {
    var options = try values.list("network").map { try NetworkOption(parsing: $0) }
    let isGiven = !options.isEmpty
    if !isGiven { options = [NetworkOption(target: "default")] }
    try apply(values, to: &options[0])
    if options.contains(where: \.isUserDefined) && options.contains(where: { !$0.isUserDefined }) {
      throw CommandFailure("conflicting options: cannot attach both user-defined and non-user-defined network-modes")
    }
    var endpoints = JSONObject()
    for option in options {
      guard endpoints[option.target] == nil else {
        throw CommandFailure("network \(GoText.quote(option.target)) is specified multiple times")
      }
      let endpoint: JSON? = try option.endpoint()
      if let endpoint {
        endpoints[option.target] = endpoint
      } else if options.count > 1 || !isGiven {
        endpoints[option.target] = .object(JSONObject())
      }
    }
    return (options[0].target, endpoints)
  }

  private static func apply(_ values: FlagValues, to option: inout NetworkOption) throws {
    func conflict(_ what: String) -> CommandFailure {
      CommandFailure("conflicting options: cannot specify both \(what)")
    }
    let aliases = values.list("network-alias")
    if !aliases.isEmpty {
      guard option.aliases.isEmpty else { throw conflict("--network-alias and per-network alias") }
      option.aliases = aliases
    }
    let links = values.list("link")
    if !links.isEmpty && option.target != "default" && option.isUserDefined {
      guard option.links.isEmpty else { throw conflict("--link and per-network links") }
      option.links = links
    }
    func address(_ flag: String, _ own: inout String, _ what: String) throws {
      let value = values.string(flag)
      guard !value.isEmpty else { return }
      guard own.isEmpty else { throw conflict("--\(flag) and per-network \(what)") }
      own = value
    }
    try address("ip", &option.address4, "IPv4 address")
    try address("ip6", &option.address6, "IPv6 address")
    try address("mac-address", &option.hardwareAddress, "MAC address")
    let linkLocal = values.list("link-local-ip")
    if !linkLocal.isEmpty {
      guard option.linkLocal.isEmpty else { throw conflict("--link-local-ip and per-network link-local IP addresses") }
      option.linkLocal = linkLocal
    }
  }
}

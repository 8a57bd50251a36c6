import OCI

/// What a template computes with: JSON from the daemon, or rows that commands make of it.
enum TemplateValue {
  /// A map's key that isn't there: `<no value>`.
  case missing
  case null
  case bool(Bool)
  case int(Int64)
  case double(Double)
  case string(String)
  case list([TemplateValue])
  /// An object, an array or null, with the name under which it was found, which tells maps from structs.
  case json(JSON, name: String)
  case record(TemplateRecord)

  init(_ json: JSON, name: String = "") {
    switch json {
    case .bool(let value): self = .bool(value)
    case .int(let value): self = .int(value)
    case .double(let value): self = .double(value)
    case .string(let value): self = .string(value)
    default: self = .json(json, name: name)
    }
  }

  /// Go's truth: not the zero value, not empty.
  var isTrue: Bool {
    switch self {
    case .missing, .null: false
    case .bool(let value): value
    case .int(let value): value != 0
    case .double(let value): value != 0
    case .string(let value): !value.isEmpty
    case .list(let values): !values.isEmpty
    case .json(.array(let values), _): !values.isEmpty
    case .json(.object(let object), let name): !GoFields.isMap(name, object) || !object.isEmpty
    case .json: false
    case .record: true
    }
  }

  var json: JSON {
    switch self {
    case .missing, .null: .null
    case .bool(let value): .bool(value)
    case .int(let value): .int(value)
    case .double(let value): .double(value)
    case .string(let value): .string(value)
    case .list(let values): .array(values.map(\.json))
    case .json(let value, _): value
    case .record(let record): record.json
    }
  }

  /// As `{{.}}` prints it.
  var text: String {
    switch self {
    case .missing: "<no value>"
    case .null: "<no value>"
    default: plain
    }
  }

  /// fmt's `%v`.
  var plain: String {
    switch self {
    case .missing, .null: "<nil>"
    case .bool(let value): value ? "true" : "false"
    case .int(let value): String(value)
    case .double(let value): GoNumber.shortest(value)
    case .string(let value): value
    case .list(let values): "[" + values.map(\.plain).joined(separator: " ") + "]"
    case .json(.null, let name): GoFields.isMap(name) ? "map[]" : GoFields.isPointer(name) ? "<nil>" : "[]"
    case .json(.array(let values), let name):
      "[" + values.map { TemplateValue($0, name: GoFields.element(of: name)).plain }.joined(separator: " ") + "]"
    case .json(.object(let object), let name) where GoFields.isMap(name, object):
      "map["
        + object.members.sorted { $0.key < $1.key }
        .map { "\($0.key):\(TemplateValue($0.value, name: GoFields.element(of: name)).plain)" }.joined(separator: " ")
        + "]"
    case .json(.object(let object), let name):
      "{"
        + (object.members.map { TemplateValue($0.value, name: $0.key).plain } + GoFields.trailing(name, object))
        .joined(separator: " ") + "}"
    case .json(let value, _): value.text
    case .record(let record): record.json.text
    }
  }

  /// The elements of a list or of a map in the order of its keys; nil when it has none.
  var elements: [(key: TemplateValue, value: TemplateValue)]? {
    switch self {
    case .list(let values): values.enumerated().map { (.int(Int64($0.offset)), $0.element) }
    case .json(.array(let values), let name):
      values.enumerated().map { (.int(Int64($0.offset)), TemplateValue($0.element, name: GoFields.element(of: name))) }
    case .json(.object(let object), let name):
      object.members.sorted { $0.key < $1.key }
        .map {
          (.string($0.key), TemplateValue($0.value, name: GoFields.isMap(name) ? GoFields.element(of: name) : $0.key))
        }
    case .json(.null, _): []
    case .int(let count): (0..<max(0, count)).map { (.int($0), .int($0)) }
    default: nil
    }
  }

  var count: Int? {
    switch self {
    case .string(let value): value.utf8.count
    case .list(let values): values.count
    case .json(.array(let values), _): values.count
    case .json(.object(let object), _): object.count
    case .json(.null, _): 0
    default: nil
    }
  }
}

/// A row with named fields, as docker's formatters have: `ps`, `images`, `stats`.
struct TemplateRecord {
  /// As errors name it: `*formatter.ContainerContext`.
  let typeName: String
  let names: [String]
  let field: (String) -> TemplateValue?
  /// Methods with arguments: `.Label "key"`.
  var method: (String, [TemplateValue]) -> TemplateValue? = { _, _ in nil }

  /// All fields in the order of their names, as docker's `{{json .}}` writes a row.
  var json: JSON { .object(JSONObject(names.sorted().map { ($0, field($0)?.json ?? .null) })) }
}

/// What Go's types know and JSON doesn't: which members are maps, which are pointers, which may be left out.
enum GoFields {
  private static let maps: Set<String> = [
    "Annotations", "Attributes", "Config.Labels", "Data", "Details", "DriverOpts", "ExposedPorts", "Labels", "LogOpts",
    "Networks",
    "Options", "PortBindings", "Ports", "Runtimes", "StorageOpt", "Sysctls", "Tmpfs", "Volumes", "Opts", "Containers",
    "AuxiliaryAddresses", "Status", "DriverStatus",
  ]
  private static let pointers: Set<String> = [
    "Health", "Healthcheck", "Init", "OomKillDisable", "PidsLimit", "MemorySwappiness", "StopTimeout", "IPAMConfig",
    "SizeRw",
    "SizeRootFs", "State", "HostConfig", "NetworkSettings", "ContainerJSONBase", "UsageData", "ClusterVolume",
    "Descriptor",
    "ImageManifestDescriptor", "VolumeOptions", "BindOptions", "TmpfsOptions", "Cluster", "RegistryConfig",
  ]
  /// Members that Go's encoder leaves out when empty, with what a template prints for them then.
  /// Members that Go's encoder leaves out when empty.
  private static let omittedTexts: Set<String> = [
    "StopSignal", "MacAddress", "Runtime", "Comment", "Parent", "Variant", "OsVersion", "Platform", "CgroupnsMode",
    "Name", "from",
    "status", "id", "User", "WorkingDir", "Author", "DockerVersion", "Hostname", "Domainname", "Container",
  ]
  private static let omittedFlags: Set<String> = [
    "ArgsEscaped", "NetworkDisabled", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce",
  ]
  private static let omittedOthers: Set<String> = [
    "Health", "Healthcheck", "Init", "StopTimeout", "SizeRw", "SizeRootFs", "ExposedPorts", "Shell", "Mounts", "Tmpfs",
    "Sysctls",
    "StorageOpt", "Annotations", "ReadonlyPaths", "MaskedPaths", "Status", "UsageData", "ConfigFrom", "Peers",
    "Services",
    "GroupAdd", "Cmd", "Entrypoint", "Env", "OnBuild", "RepoDigests", "RepoTags", "Volumes", "Labels", "PidsLimit",
    "MemorySwappiness", "OomKillDisable",
  ]

  /// `Config` is a container's struct, but a map in a log configuration.
  static func isMap(_ name: String, _ object: JSONObject? = nil) -> Bool {
    if name == "Config", let object { return object.members.allSatisfy { $0.value.stringValue != nil } }
    return maps.contains(name)
  }
  static func isPointer(_ name: String) -> Bool { pointers.contains(name) }
  /// What a template prints for a member that was left out; nil when Go's types know none of that name.
  static func omitted(_ name: String) -> TemplateValue? {
    if omittedTexts.contains(name) { return .string("") }
    if omittedFlags.contains(name) { return .bool(false) }
    return omittedOthers.contains(name) ? .json(.null, name: name) : nil
  }
  /// What Go prints at the end of a struct for members that were left out.
  static func trailing(_ name: String, _ object: JSONObject) -> [String] {
    name == "State" && object["Health"] == nil && object["Pid"] != nil ? ["<nil>"] : []
  }
  /// The name that the elements of a map or list go by.
  static func element(of name: String) -> String { name == "Ports" || name == "PortBindings" ? "bindings" : "" }
}

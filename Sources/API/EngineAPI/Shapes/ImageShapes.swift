import Images
import OCI

/// Images as the API shows them.
struct ImageShapes {
  let version: APIVersion
  /// Containers by image, for who asked for manifests; nil: nobody did.
  var uses: [Digest: [String]]?

  init(version: APIVersion) { self.version = version }

  func summary(_ summary: ImageSummary) -> JSON {
    let image = summary.image
    var json = JSONBuilder()
    json.set("Containers", summary.containers)
    json.set("Created", image.created.seconds < 0 ? 0 : image.created.seconds)
    json.set("Id", image.id.description)
    json.set("Labels", image.config.config.labels.map { JSON($0) } ?? .null)
    json.set("ParentId", image.parent?.description ?? "")
    json.set("RepoDigests", summary.repoDigests)
    json.set("RepoTags", summary.repoTags)
    json.set("SharedSize", summary.sharedSize)
    json.set("Size", image.size)
    if version.hasVirtualSize { json.set("VirtualSize", image.size) }
    setManifests(image, &json)
    return json.json
  }

  /// 1.48: the descriptor of what a registry knows the image by, and, for who asks, what is known of its manifests: here always one.
  private func setManifests(_ image: Image, _ json: inout JSONBuilder) {
    guard version.hasDescriptors else { return }
    json.set("Descriptor", image.manifest?.json)
    guard let uses else { return }
    guard let manifest = image.manifest else { return json.set("Manifests", []) }
    let summary: JSON = [
      "ID": JSON(manifest.digest.description), "Descriptor": manifest.json,
      "Available": JSON(image.missingLayers.isEmpty),
      "Size": ["Total": JSON(image.contentSize &+ image.size), "Content": JSON(image.contentSize)], "Kind": "image",
      "ImageData": [
        "Platform": image.platform.json, "Containers": JSON(uses[image.id] ?? []),
        "Size": ["Unpacked": JSON(image.size)],
      ],
    ]
    json.set("Manifests", [summary])
  }

  func inspect(_ image: Image, driver: String, driverData: [String: String]) -> JSON {
    var json = JSONBuilder()
    json.set("Id", image.id.description)
    json.set("RepoTags", image.repoTags)
    json.set("RepoDigests", image.repoDigests)
    // Newer versions leave it out where it is empty.
    json.set("Parent", image.parent?.description ?? (version.hasGraphDriver ? "" : nil))
    json.set("Comment", version.imageConfigOmitsEmpty ? image.config.comment : image.config.comment ?? "")
    json.set("Created", image.config.createdAt?.description ?? (version.isAtLeast(44) ? nil : ContainerShapes.time(0)))
    if version.imageHasContainer {
      json.set("Container", "")
      json.set("ContainerConfig", containerConfig(nil))
    }
    if version.hasGraphDriver { json.set("DockerVersion", "") }
    json.set("Author", version.imageConfigOmitsEmpty ? image.config.author : image.config.author ?? "")
    json.set("Config", containerConfig(image.config.config))
    json.set("Architecture", image.config.architecture)
    if let variant = image.config.variant, !variant.isEmpty { json.set("Variant", variant) }
    json.set("Os", image.config.os)
    if let system = image.config.osVersion, !system.isEmpty { json.set("OsVersion", system) }
    json.set("Size", image.size)
    if version.hasVirtualSize { json.set("VirtualSize", image.size) }
    if version.hasGraphDriver || !driverData.isEmpty {
      json.set("GraphDriver", ["Data": JSON(driverData), "Name": JSON(driver)])
    }
    json.set("RootFS", ["Type": "layers", "Layers": JSON(image.layers.map(\.description))])
    setManifests(image, &json)
    json.set("Metadata", ["LastTagTime": JSON((image.lastTagged ?? .zero).description)])
    return json.json
  }

  /// The image's defaults in the shape of a container's configuration, with the members that versions before 1.50 had of containers
  /// and the empty ones of versions before 1.52.
  private func containerConfig(_ config: ImageConfig.Defaults?) -> JSON {
    let config = config ?? ImageConfig.Defaults()
    if version.imageConfigOmitsEmpty { return config.json }
    let container = version.imageConfigHasContainerFields
    var json = JSONBuilder()
    func set(_ keys: [String]?) -> JSON? { keys.map { .object(JSONObject($0.map { ($0, [:]) })) } }
    if container {
      json.set("Hostname", "")
      json.set("Domainname", "")
    }
    json.set("User", config.user ?? "")
    if container {
      for name in ["AttachStdin", "AttachStdout", "AttachStderr"] { json.set(name, false) }
    }
    if let ports = config.exposedPorts, !ports.isEmpty { json.set("ExposedPorts", set(ports)) }
    if container {
      for name in ["Tty", "OpenStdin", "StdinOnce"] { json.set(name, false) }
    }
    json.set("Env", JSON(orNull: config.env))
    json.set("Cmd", JSON(orNull: config.cmd))
    json.set("Healthcheck", config.healthcheck?.json)
    if config.argsEscaped == true { json.set("ArgsEscaped", true) }
    if container { json.set("Image", "") }
    json.set("Volumes", set(config.volumes) ?? .null)
    json.set("WorkingDir", config.workingDir ?? "")
    json.set("Entrypoint", JSON(orNull: config.entrypoint))
    json.set("OnBuild", JSON(orNull: config.onBuild))
    json.set("Labels", config.labels.map { JSON($0) } ?? .null)
    if let signal = config.stopSignal, !signal.isEmpty { json.set("StopSignal", signal) }
    json.set("StopTimeout", config.stopTimeout)
    if let shell = config.shell, !shell.isEmpty { json.set("Shell", shell) }
    return json.json
  }

  static func deletion(_ deletion: ImageDeletion) -> JSON {
    switch deletion {
    case .untagged(let name): ["Untagged": JSON(name)]
    case .deleted(let id): ["Deleted": JSON(id)]
    }
  }

  static func history(_ item: ImageHistoryItem) -> JSON {
    [
      "Comment": JSON(item.comment), "Created": JSON(item.created.map { max(0, $0.seconds) } ?? 0),
      "CreatedBy": JSON(item.createdBy), "Id": JSON(item.id), "Size": JSON(item.size), "Tags": JSON(orNull: item.tags),
    ]
  }

  /// A line of the progress of load and import.
  static func progress(_ progress: ImageProgress) -> JSON {
    switch progress {
    case .stream(let text): ["stream": JSON(text)]
    case .status(let text): ["status": JSON(text)]
    case .named(let id, let status): ["status": JSON(status), "id": JSON(id)]
    case .transfer(let id, let status, let current, let total?):
      [
        "status": JSON(status), "progressDetail": ["current": JSON(current), "total": JSON(total)],
        "progress": JSON(ProgressBar.text(current: current, total: total)), "id": JSON(id),
      ]
    case .transfer(let id, let status, _, nil): ["status": JSON(status), "progressDetail": [:], "id": JSON(id)]
    case .pushed(let tag, let digest, let size):
      [
        "progressDetail": [:],
        "aux": ["Tag": JSON(tag), "Digest": JSON(digest.description), "Size": JSON(size)],
      ]
    case .layer(let id, let current, let total):
      [
        "status": "Loading layer", "progressDetail": ["current": JSON(current), "total": JSON(total)],
        "progress": JSON(ProgressBar.text(current: current, total: total)), "id": JSON(id),
      ]
    }
  }

  /// An error in a stream whose status is out already.
  static func failure(_ message: String) -> JSON {
    ["errorDetail": ["message": JSON(message)], "error": JSON(message)]
  }
}

/// `[==>   ]  1.5MB/2MB`, as dockerd draws it for clients that have no terminal of their own.
enum ProgressBar {
  static func text(current: Int64, total: Int64) -> String {
    guard total > 0, current >= 0, current <= total else { return size(current) }
    let filled = Int(Double(current) / Double(total) * 100) / 2
    let bar =
      filled < 50
      ? String(repeating: "=", count: filled) + ">" + String(repeating: " ", count: 50 - filled)
      : String(repeating: "=", count: 50) + ">"
    func padded(_ text: String) -> String { String(repeating: " ", count: max(0, 8 - text.count)) + text }
    return "[\(bar)] \(padded(size(current)))/\(size(total))"
  }

  /// Decimal units with four significant digits, as `units.HumanSize`.
  static func size(_ bytes: Int64) -> String {
    var value = Double(bytes)
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"]
    var unit = 0
    while value >= 1000, unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    let digits = value >= 1000 ? 0 : value >= 100 ? 1 : value >= 10 ? 2 : 3
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let rounded = (value * scale).rounded() / scale
    var text = "\(rounded)"
    if text.hasSuffix(".0") { text.removeLast(2) }
    return text + units[unit]
  }
}

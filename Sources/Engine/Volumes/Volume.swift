import Errdefs
import Metadata
import OCI

/// A volume as it is now.
public struct Volume: Sendable, Equatable {
  /// 64 hexadecimal digits; stays when the name changes.
  public let id: String
  public var name: String
  /// Nanoseconds since 1970.
  public let created: Int64
  public var labels: [String: String]
  /// The local driver's, as the user gave them.
  public var options: [String: String]
  /// Made without a name, for a container: goes with it.
  public var isAnonymous: Bool
  /// Of a volume whose size is a project quota: the project; 0: none.
  public var project: UInt32
  /// `<data-root>/volumes/<name>/_data`
  public var mountpoint: String

  /// Neither `rm` nor `prune` takes it.
  public var isProtected: Bool { options["protected"].map { VolumeOptions.bool($0) == true } ?? false }

  /// Bytes, with `--opt size=`.
  public var sizeLimit: Int64? { options["size"].flatMap { VolumeOptions.bytes($0) } }

  /// A size without a quota: a file system of its own, in a file.
  var hasOwnFileSystem: Bool { sizeLimit != nil && project == 0 }

  /// What marks volumes that Docker made without a name.
  public static let anonymousLabel = "com.docker.volume.anonymous"

  /// `volume.json`, and with `isBeingRemoved` the row's record.
  func json(isBeingRemoved: Bool = false) -> JSON {
    var json = JSONBuilder()
    json.set("id", id)
    json.set("name", name)
    json.set("created", created)
    if !labels.isEmpty { json.set("labels", labels) }
    if !options.isEmpty { json.set("options", options) }
    if isAnonymous { json.set("anonymous", true) }
    if project != 0 { json.set("project", integer: project) }
    if isBeingRemoved { json.set("removing", true) }
    return json.json
  }

  func record(isBeingRemoved: Bool = false) -> VolumeRecord {
    VolumeRecord(id: id, name: name, created: created, record: json(isBeingRemoved: isBeingRemoved).text)
  }

  init(
    id: String, name: String, created: Int64, labels: [String: String], options: [String: String], isAnonymous: Bool,
    project: UInt32 = 0, root: String
  ) {
    self.id = id
    self.name = name
    self.created = created
    self.labels = labels
    self.options = options
    self.isAnonymous = isAnonymous
    self.project = project
    mountpoint = "\(root)/\(name)/_data"
  }

  init(_ fields: JSONFields, root: String) throws(JSONError) {
    self.init(
      id: try fields.required("id", try fields.string("id")),
      name: try fields.required("name", try fields.string("name")),
      created: try fields.int("created") ?? 0, labels: try fields.map("labels") ?? [:],
      options: try fields.map("options") ?? [:], isAnonymous: try fields.bool("anonymous") ?? false,
      project: try fields.integer("project") ?? 0, root: root)
  }

  /// Another name, and the place that goes with it.
  func renamed(_ name: String, root: String) -> Volume {
    Volume(
      id: id, name: name, created: created, labels: labels, options: options, isAnonymous: isAnonymous,
      project: project, root: root)
  }
}

/// A volume that was removed and can be had back.
public struct TrashedVolume: Sendable, Equatable {
  public var volume: Volume
  /// Nanoseconds since 1970.
  public var removed: Int64

  /// `volume.json` in the trash.
  var json: JSON {
    guard case .object(var object) = volume.json() else { return .null }
    object["removed"] = JSON(removed)
    return .object(object)
  }
}

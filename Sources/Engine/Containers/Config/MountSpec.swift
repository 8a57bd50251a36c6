import Errdefs
public import OCI

/// One of `HostConfig.Mounts`.
public struct MountSpec: Sendable, Equatable {
  /// `bind`, `volume`, `tmpfs`, `npipe`, `cluster`, `image`.
  public var type = ""
  public var source = ""
  public var target = ""
  public var readOnly = false
  public var consistency = ""
  public var bind: BindOptions?
  public var volume: VolumeOptions?
  public var tmpfs: TmpfsOptions?
  /// Kept as it came.
  public var image: JSON?

  public init() {}

  public struct BindOptions: Sendable, Equatable {
    public var propagation = ""
    public var nonRecursive = false
    public var createMountpoint = false
    public var readOnlyNonRecursive = false
    public var readOnlyForceRecursive = false
    /// Berth's own: files keep their owner on the host while the container sees others.
    public var idMapping: IDMapping?
    public init() {}
  }

  public struct VolumeOptions: Sendable, Equatable {
    public var noCopy = false
    public var labels: [String: String] = [:]
    public var subpath = ""
    /// Kept as it came.
    public var driverConfig: JSON?
    /// As `BindOptions.idMapping`.
    public var idMapping: IDMapping?
    public init() {}

    /// The driver's name and its options.
    func driver() throws -> (name: String, options: [String: String]) {
      guard let driverConfig, driverConfig != .null else { return ("", [:]) }
      do {
        let fields = try JSONFields(driverConfig)
        return (try fields.string("Name") ?? "", try fields.map("Options") ?? [:])
      } catch {
        throw EngineError.invalidParameter("invalid JSON: \(error)")
      }
    }
  }

  public struct TmpfsOptions: Sendable, Equatable {
    /// Bytes; 0 is the kernel's default.
    public var size: Int64 = 0
    public var mode: UInt32 = 0
    /// `[["uid", "1000"], ["exec"]]`.
    public var options: [[String]]?
  }

  public init(_ fields: JSONFields) throws(JSONError) {
    type = try fields.string("Type") ?? ""
    source = try fields.string("Source") ?? ""
    target = try fields.string("Target") ?? ""
    readOnly = try fields.bool("ReadOnly") ?? false
    consistency = try fields.string("Consistency") ?? ""
    bind = try fields.object("BindOptions") { (fields: JSONFields) throws(JSONError) in
      var options = BindOptions()
      options.propagation = try fields.string("Propagation") ?? ""
      options.nonRecursive = try fields.bool("NonRecursive") ?? false
      options.createMountpoint = try fields.bool("CreateMountpoint") ?? false
      options.readOnlyNonRecursive = try fields.bool("ReadOnlyNonRecursive") ?? false
      options.readOnlyForceRecursive = try fields.bool("ReadOnlyForceRecursive") ?? false
      options.idMapping = try fields.object("IDMapping", IDMapping.init)
      return options
    }
    volume = try fields.object("VolumeOptions") { (fields: JSONFields) throws(JSONError) in
      var options = VolumeOptions()
      options.noCopy = try fields.bool("NoCopy") ?? false
      options.labels = try fields.map("Labels") ?? [:]
      options.subpath = try fields.string("Subpath") ?? ""
      options.driverConfig = fields.value("DriverConfig")
      options.idMapping = try fields.object("IDMapping", IDMapping.init)
      return options
    }
    tmpfs = try fields.object("TmpfsOptions") { (fields: JSONFields) throws(JSONError) in
      var options = TmpfsOptions()
      options.size = try fields.int("SizeBytes") ?? 0
      options.mode = try fields.integer("Mode") ?? 0
      options.options = fields.value("Options")?.arrayValue?.map { $0.arrayValue?.compactMap(\.stringValue) ?? [] }
      return options
    }
    image = fields.value("ImageOptions")
  }

  public var json: JSON {
    var json = JSONBuilder()
    if !type.isEmpty { json.set("Type", type) }
    if !source.isEmpty { json.set("Source", source) }
    if !target.isEmpty { json.set("Target", target) }
    if readOnly { json.set("ReadOnly", true) }
    if !consistency.isEmpty { json.set("Consistency", consistency) }
    if let bind {
      var options = JSONBuilder()
      if !bind.propagation.isEmpty { options.set("Propagation", bind.propagation) }
      if bind.nonRecursive { options.set("NonRecursive", true) }
      if bind.createMountpoint { options.set("CreateMountpoint", true) }
      if bind.readOnlyNonRecursive { options.set("ReadOnlyNonRecursive", true) }
      if bind.readOnlyForceRecursive { options.set("ReadOnlyForceRecursive", true) }
      if let mapping = bind.idMapping { options.set("IDMapping", mapping.json) }
      json.set("BindOptions", options.json)
    }
    if let volume {
      var options = JSONBuilder()
      if volume.noCopy { options.set("NoCopy", true) }
      if !volume.labels.isEmpty { options.set("Labels", volume.labels) }
      if !volume.subpath.isEmpty { options.set("Subpath", volume.subpath) }
      options.set("DriverConfig", volume.driverConfig)
      if let mapping = volume.idMapping { options.set("IDMapping", mapping.json) }
      json.set("VolumeOptions", options.json)
    }
    if let tmpfs {
      var options = JSONBuilder()
      if tmpfs.size != 0 { options.set("SizeBytes", tmpfs.size) }
      if tmpfs.mode != 0 { options.set("Mode", integer: tmpfs.mode) }
      if let list = tmpfs.options { options.set("Options", .array(list.map { JSON($0) })) }
      json.set("TmpfsOptions", options.json)
    }
    json.set("ImageOptions", image)
    return json.json
  }
}

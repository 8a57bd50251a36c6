import Errdefs
import Kernel
import OCI

extension MountPlan {
  /// One of `Mounts` (volume/mounts/linux_parser.go `validateMountConfigImpl`).
  static func mount(_ spec: MountSpec) throws -> Item {
    func refuse(_ reason: String) -> EngineError {
      .invalidParameter("invalid mount config for type \"\(spec.type)\": \(reason)")
    }
    func refuseOptions(but type: String) throws {
      let given = [
        ("bind", "BindOptions", spec.bind != nil), ("volume", "VolumeOptions", spec.volume != nil),
        ("tmpfs", "TmpfsOptions", spec.tmpfs != nil), ("image", "ImageOptions", spec.image != nil),
      ]
      for (name, field, isGiven) in given where isGiven && name != type {
        throw refuse("field \(field) must not be specified")
      }
    }
    guard !spec.target.isEmpty else { throw refuse("field Target must not be empty") }
    guard spec.target.hasPrefix("/") else {
      throw refuse("invalid mount path: '\(spec.target)' mount path must be absolute")
    }
    let destination = Path.clean(spec.target)
    guard destination != "/" else { throw refuse("invalid specification: destination can't be '/'") }
    switch spec.type {
    case "bind":
      guard !spec.source.isEmpty else { throw refuse("field Source must not be empty") }
      try refuseOptions(but: "bind")
      return Item(point: try bind(spec, destination, refuse))
    case "tmpfs":
      try refuseOptions(but: "tmpfs")
      guard spec.source.isEmpty else { throw refuse("field Source must not be specified") }
      return Item(point: tmpfs(spec, destination))
    case "volume":
      try refuseOptions(but: "volume")
      return try volume(spec, destination, refuse)
    case "image":
      try refuseOptions(but: "image")
      guard !spec.source.isEmpty else { throw refuse("field Source must not be empty") }
      return Item(point: try image(spec, destination, refuse))
    case "cluster": throw EngineError.notImplemented("cluster volumes are not built yet: '\(spec.target)'")
    default: throw refuse("mount type unknown")
    }
  }

  private static func bind(_ spec: MountSpec, _ destination: String, _ refuse: (String) -> EngineError) throws -> Point
  {
    guard spec.source.hasPrefix("/") else {
      throw refuse("invalid mount path: '\(spec.source)' mount path must be absolute")
    }
    let options = spec.bind ?? MountSpec.BindOptions()
    if !options.propagation.isEmpty, !propagations.contains(options.propagation) {
      throw refuse("invalid propagation mode: \(options.propagation)")
    }
    let source = Path.clean(spec.source)
    guard options.createMountpoint || Sys.exists(source) else {
      throw refuse("bind source path does not exist: \(spec.source)")
    }
    let propagation = options.propagation.isEmpty ? "rprivate" : options.propagation
    var point = Point(
      type: "bind", source: source, destination: destination, rw: !spec.readOnly, propagation: propagation)
    point.options = [options.nonRecursive ? "bind" : "rbind", propagation]
    if spec.readOnly { point.options.append(options.readOnlyNonRecursive ? "ro" : "rro") }
    point.createsSource = options.createMountpoint
    point.idMapping = try options.idMapping.map { try checked($0, refuse) }
    return point
  }

  private static func tmpfs(_ spec: MountSpec, _ destination: String) -> Point {
    var point = Point(type: "tmpfs", source: "", destination: destination, rw: !spec.readOnly)
    point.options = ["nosuid", "nodev", "noexec"]
    for option in spec.tmpfs?.options ?? [] {
      switch option.first {
      case "exec": point.options.removeAll { $0 == "noexec" }
      case "suid": point.options.removeAll { $0 == "nosuid" }
      case "dev": point.options.removeAll { $0 == "nodev" }
      default: break
      }
      if (1...2).contains(option.count) { point.options.append(option.joined(separator: "=")) }
    }
    if spec.readOnly { point.options.append("ro") }
    if let size = spec.tmpfs?.size, size > 0 { point.options.append("size=\(size)") }
    if let mode = spec.tmpfs?.mode, mode != 0 { point.options.append("mode=" + String(mode, radix: 8)) }
    return point
  }

  private static func volume(_ spec: MountSpec, _ destination: String, _ refuse: (String) -> EngineError) throws -> Item
  {
    let options = spec.volume ?? MountSpec.VolumeOptions()
    guard isLocal(options.subpath) else { throw refuse("subpath must be a relative path within the volume") }
    if spec.source.isEmpty, spec.readOnly { throw refuse("must not set ReadOnly mode when using anonymous volumes") }
    let (driver, driverOptions) = try options.driver()
    var point = Point(
      type: "volume", name: spec.source, source: "", destination: destination,
      driver: driver.isEmpty ? "local" : driver, mode: "z", rw: !spec.readOnly)
    point.anonymous = spec.source.isEmpty
    point.subpath = options.subpath
    point.idMapping = try options.idMapping.map { try checked($0, refuse) }
    point.options = ["rbind", "rprivate"] + (spec.readOnly ? ["ro"] : [])
    var item = Item(point: point)
    item.labels = options.labels
    item.options = driverOptions
    item.copies = !options.noCopy && options.subpath.isEmpty
    return item
  }

  private static func image(_ spec: MountSpec, _ destination: String, _ refuse: (String) -> EngineError) throws -> Point
  {
    let subpath = spec.image?["Subpath"]?.stringValue ?? ""
    guard isLocal(subpath) else { throw refuse("subpath must be a relative path within the image") }
    var point = Point(type: "image", name: spec.source, source: "", destination: destination, rw: !spec.readOnly)
    point.subpath = subpath
    return point
  }

  /// What the kernel would refuse of a mapping with less to go by; a kind that isn't said is as the other.
  private static func checked(_ mapping: IDMapping, _ refuse: (String) -> EngineError) throws -> IDMapping {
    var mapping = mapping
    if mapping.users.isEmpty { mapping.users = mapping.groups }
    if mapping.groups.isEmpty { mapping.groups = mapping.users }
    for ranges in [mapping.users, mapping.groups] {
      guard ranges.count <= 340 else { throw refuse("IDMapping has more than 340 ranges") }
      for (index, range) in ranges.enumerated() {
        // (uid_t)-1 is no id.
        let ends = [range.hostID, range.containerID].map { UInt64($0) + UInt64(range.size) }
        guard range.size > 0, ends.allSatisfy({ $0 <= UInt64(UInt32.max) }) else {
          throw refuse("IDMapping: \(range.hostID)-\(range.containerID)-\(range.size) isn't a range of ids")
        }
        for other in ranges[..<index] where range.overlaps(other) {
          throw refuse(
            "IDMapping: \(range.hostID)-\(range.containerID)-\(range.size) overlaps "
              + "\(other.hostID)-\(other.containerID)-\(other.size)")
        }
      }
    }
    return mapping
  }

  /// Go's filepath.IsLocal, or empty: it can't lead out in words. Links are another matter, for when it is opened.
  private static func isLocal(_ path: String) -> Bool {
    guard !path.hasPrefix("/") else { return false }
    var depth = 0
    for part in path.split(separator: "/") {
      switch part {
      case ".": continue
      case "..": depth -= 1
      default: depth += 1
      }
      if depth < 0 { return false }
    }
    return true
  }
}

import CLinux
import Errdefs
import Kernel

/// The mounts that a container's configuration asks for: `Binds`, `Mounts` and `Tmpfs`, checked.
struct MountPlan {
  var points: [ContainerSnapshot.MountPoint] = []

  typealias Point = ContainerSnapshot.MountPoint

  /// Throws Docker's texts; 501 for volumes, which aren't built yet.
  init(_ host: HostConfig, _ config: ContainerConfig) throws {
    var seen: Set<String> = []
    func add(_ point: Point) throws {
      guard seen.insert(point.destination).inserted else {
        throw EngineError.invalidParameter("Duplicate mount point: \(point.destination)")
      }
      points.append(point)
    }
    for bind in host.binds ?? [] { try add(Self.bind(bind)) }
    for mount in host.mounts ?? [] { try add(Self.mount(mount)) }
    for (path, _) in host.tmpfs where !seen.insert(Path.clean(path)).inserted {
      throw EngineError.invalidParameter("Duplicate mount point: \(Path.clean(path))")
    }
    if !(host.volumesFrom ?? []).isEmpty { throw EngineError.notImplemented("--volumes-from is not built yet") }
    points.sort { $0.destination < $1.destination }
  }

  private static let propagations: Set<String> = ["private", "rprivate", "shared", "rshared", "slave", "rslave"]

  /// `source:target[:mode]` (volume/mounts/linux_parser.go).
  private static func bind(_ text: String) throws -> Point {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (1...3).contains(parts.count), !parts[0].isEmpty else {
      throw EngineError.invalidParameter("invalid volume specification: '\(text)'")
    }
    if parts.count == 1 { throw EngineError.notImplemented("anonymous volumes are not built yet: '\(text)'") }
    let target = parts[1]
    guard target.hasPrefix("/") else {
      throw EngineError.invalidParameter(
        "invalid volume specification: '\(text)': invalid mount config for type \"bind\": invalid mount path: '\(target)' mount path must be absolute"
      )
    }
    let destination = Path.clean(target)
    guard destination != "/" else {
      throw EngineError.invalidParameter(
        "invalid volume specification: '\(text)': invalid specification: destination can't be '/'")
    }
    let mode = parts.count == 3 ? parts[2] : ""
    var rw = true
    var propagation = "rprivate"
    for word in mode.split(separator: ",", omittingEmptySubsequences: false) where !mode.isEmpty {
      switch word {
      case "rw": rw = true
      case "ro": rw = false
      case "z", "Z", "nocopy", "consistent", "cached", "delegated", "default": continue
      default:
        guard propagations.contains(String(word)) else { throw EngineError.invalidParameter("invalid mode: \(mode)") }
        propagation = String(word)
      }
    }
    guard parts[0].hasPrefix("/") else {
      throw EngineError.notImplemented("named volumes are not built yet: '\(text)'")
    }
    let source = Path.clean(parts[0])
    var point = Point(
      type: "bind", source: source, destination: destination, mode: mode, rw: rw, propagation: propagation)
    point.options = ["rbind", propagation] + (rw ? [] : ["rro"])
    point.createsSource = true
    return point
  }

  /// volume/mounts/linux_parser.go `validateMountConfigImpl`
  private static func mount(_ spec: MountSpec) throws -> Point {
    func refuse(_ reason: String) -> EngineError {
      .invalidParameter("invalid mount config for type \"\(spec.type)\": \(reason)")
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
      guard spec.source.hasPrefix("/") else {
        throw refuse("invalid mount path: '\(spec.source)' mount path must be absolute")
      }
      guard spec.volume == nil else { throw refuse("field VolumeOptions must not be specified") }
      let options = spec.bind ?? MountSpec.BindOptions()
      let source = Path.clean(spec.source)
      guard options.createMountpoint || Sys.exists(source) else {
        throw refuse("bind source path does not exist: \(spec.source)")
      }
      if !options.propagation.isEmpty, !propagations.contains(options.propagation) {
        throw refuse("invalid propagation mode: \(options.propagation)")
      }
      let propagation = options.propagation.isEmpty ? "rprivate" : options.propagation
      var point = Point(
        type: "bind", source: source, destination: destination, rw: !spec.readOnly, propagation: propagation)
      point.options = [options.nonRecursive ? "bind" : "rbind", propagation]
      if spec.readOnly { point.options.append(options.readOnlyNonRecursive ? "ro" : "rro") }
      point.createsSource = options.createMountpoint
      return point
    case "tmpfs":
      guard spec.source.isEmpty else { throw refuse("field Source must not be specified") }
      guard spec.bind == nil else { throw refuse("field BindOptions must not be specified") }
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
    case "volume": throw EngineError.notImplemented("volume mounts are not built yet: '\(spec.target)'")
    case "image": throw EngineError.notImplemented("image mounts are not built yet: '\(spec.target)'")
    case "cluster": throw EngineError.notImplemented("cluster volumes are not built yet: '\(spec.target)'")
    default: throw EngineError.invalidParameter("mount type unknown")
    }
  }
}

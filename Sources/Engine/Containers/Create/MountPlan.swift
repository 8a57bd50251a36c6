import Errdefs
import Kernel
import OCI

/// The mounts that a container's configuration asks for (`VolumesFrom`, `Binds`, `Mounts`, `Tmpfs`, the image's `VOLUME`s), checked,
/// before anything exists: which volumes are to be made and which content copied stands in `items`.
struct MountPlan {
  typealias Point = ContainerSnapshot.MountPoint

  /// A mount point and where it comes from.
  struct Item {
    var point: Point
    /// Of a volume that may have to be made.
    var labels: [String: String] = [:]
    var options: [String: String] = [:]
    /// An empty volume begins with what the image has at its destination.
    var copies = false
    /// From the image's or the user's `Volumes`: a file in its way is an error.
    var isDeclared = false
  }

  /// By destination, in the order of the paths.
  var items: [Item] { byDestination.values.sorted { $0.point.destination < $1.point.destination } }
  private var byDestination: [String: Item] = [:]
  private var tmpfs: Set<String> = []

  /// `inherited`: the mount points of the containers of `VolumesFrom`. Throws Docker's texts.
  init(_ host: HostConfig, inherited: [Point]) throws {
    for point in inherited { byDestination[point.destination] = Item(point: point) }
    var own: Set<String> = []
    func add(_ item: Item) throws {
      guard own.insert(item.point.destination).inserted else {
        throw EngineError.invalidParameter("Duplicate mount point: \(item.point.destination)")
      }
      byDestination[item.point.destination] = item
    }
    for bind in host.binds ?? [] { try add(Self.bind(bind, driver: host.volumeDriver)) }
    for mount in host.mounts ?? [] { try add(Self.mount(mount)) }
    for (path, _) in host.tmpfs {
      let path = Path.clean(path)
      guard own.insert(path).inserted else { throw EngineError.invalidParameter("Duplicate mount point: \(path)") }
      byDestination[path] = nil
      tmpfs.insert(path)
    }
  }

  /// The paths of `Volumes`, the image's and the user's, become anonymous volumes where nothing else is mounted.
  mutating func declare(_ paths: [String], driver: String) throws {
    for path in paths {
      guard path.hasPrefix("/") else {
        throw EngineError.invalidParameter("invalid mount path: '\(path)' mount path must be absolute")
      }
      let destination = Path.clean(path)
      guard destination != "/" else {
        throw EngineError.invalidParameter("invalid specification: destination can't be '/'")
      }
      guard byDestination[destination] == nil, !tmpfs.contains(destination) else { continue }
      var point = Point(type: "volume", source: "", destination: destination, driver: driver.isEmpty ? "local" : driver)
      point.anonymous = true
      point.options = ["rbind", "rprivate"]
      var item = Item(point: point)
      item.copies = true
      item.isDeclared = true
      byDestination[destination] = item
    }
  }

  static let propagations: Set<String> = ["private", "rprivate", "shared", "rshared", "slave", "rslave"]

  /// `container[:mode]` (volume/mounts/linux_parser.go `ParseVolumesFrom`).
  static func volumesFrom(_ text: String) throws -> (container: String, mode: String) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    guard let id = parts.first, !id.isEmpty else {
      throw EngineError.invalidParameter("invalid volumes-from specification: '\(text)'")
    }
    let mode = parts.count > 1 ? parts[1] : "rw"
    guard let words = ModeWords(mode), words.propagation == nil, !words.noCopy else {
      throw EngineError.invalidParameter("invalid mode: \(mode)")
    }
    return (id, mode)
  }

  /// The words after the second colon of `-v`.
  struct ModeWords {
    var readOnly = false
    var propagation: String?
    var noCopy = false
    var label: String?

    /// Nil: a word isn't one, or says again what another said.
    init?(_ mode: String) {
      guard !mode.isEmpty else { return }
      var seen: Set<String> = []
      for word in mode.split(separator: ",", omittingEmptySubsequences: false).map(String.init) {
        let kind: String
        switch word {
        case "rw", "ro":
          kind = "access"
          readOnly = word == "ro"
        case "z", "Z":
          kind = "label"
          label = word
        case "nocopy":
          kind = "copy"
          noCopy = true
        // For Docker Desktop; without meaning here.
        case "consistent", "cached", "delegated", "default": kind = "consistency"
        default:
          guard MountPlan.propagations.contains(word) else { return nil }
          kind = "propagation"
          propagation = word
        }
        guard seen.insert(kind).inserted else { return nil }
      }
    }
  }
}

import CLinux
import Kernel

/// What the kernel and the disk hold that a container may leave behind: compared before and after.
struct Inventory: Equatable, CustomStringConvertible {
  var mounts: [String]
  var cgroups: [String]
  /// Interfaces of the daemon's bridge, and namespaces, are counted: the pool names them anew as it is used.
  var links: Int
  var netns: Int
  var files: [String]
  var processes: Int
  var daemonDescriptors: Int

  init(of daemon: Daemon) throws {
    mounts = try Self.lines("/proc/self/mountinfo").filter { $0.contains(daemon.folder) }.compactMap { line in
      let fields = line.split(separator: " ")
      return fields.count > 4 && !fields[4].contains("/run/netns/") ? String(fields[4]) : nil
    }.sorted()
    cgroups = try Self.cgroupDirectories(daemon.cgroupParent())
    // A daemon in another network namespace has its bridge there, out of sight.
    links = ((try? Sys.entries(of: "/sys/class/net/\(daemon.bridge())/brif")) ?? []).count
    netns = ((try? Sys.entries(of: "\(daemon.folder)/run/netns")) ?? []).count
    files = ["run/containers", "data/containers", "data/snapshots"].flatMap { folder in
      ((try? Sys.entries(of: "\(daemon.folder)/\(folder)")) ?? []).map { "\(folder)/\($0.name)" }.filter {
        !$0.hasSuffix("/.pool")
      }
    }.sorted()
    processes = try Sys.entries(of: "/proc").count { entry in
      guard entry.name.allSatisfy(\.isNumber) else { return false }
      let command = (try? Sys.readFile("/proc/\(entry.name)/cmdline")) ?? []
      let text = String(decoding: command, as: UTF8.self)
      return text.contains(daemon.folder) && !text.contains(Self.waitingShim)
    }
    daemonDescriptors = daemon.process.map { (try? Sys.entries(of: "/proc/\($0.pid)/fd").count) ?? 0 } ?? 0
  }

  /// What shims without a container show.
  static let waitingShim = "/containers/----"

  private static func lines(_ path: String) throws -> [String] {
    String(decoding: try Sys.readFile(path), as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// The groups below the daemon's, in each hierarchy.
  private static func cgroupDirectories(_ parent: String) throws -> [String] {
    var found: [String] = []
    for line in try lines("/proc/self/mountinfo") where line.contains(" - cgroup") {
      let fields = line.split(separator: " ")
      guard fields.count > 4 else { continue }
      let root = "\(fields[4])\(parent)"
      // Groups made ahead come and go with the shims that wait for a container.
      for entry in (try? Sys.entries(of: root)) ?? []
      where entry.type == UInt8(DT_DIR) && !entry.name.hasPrefix(".spare-") {
        found.append("\(root)/\(entry.name)")
      }
    }
    return found.sorted()
  }

  var description: String {
    """
    mounts \(mounts)
    cgroups \(cgroups)
    links \(links)
    netns \(netns)
    files \(files)
    processes \(processes), descriptors of the daemon \(daemonDescriptors)
    """
  }
}

import CLinux
import Errdefs
import Kernel
import OCI
import Rootfs
import Snapshots

extension Containers {
  /// The mounts of the containers of `VolumesFrom`, with the volumes' names as they are now.
  func inherited(_ host: HostConfig) throws -> [MountPlan.Point] {
    var points: [MountPlan.Point] = []
    for text in host.volumesFrom ?? [] {
      let (reference, mode) = try MountPlan.volumesFrom(text)
      let readOnly = MountPlan.ModeWords(mode)?.readOnly ?? false
      for point in present(try find(reference).snapshot).mounts where point.type == "volume" || point.type == "bind" {
        var point = point
        if readOnly, point.rw {
          point.rw = false
          point.options.append(point.type == "bind" ? "rro" : "ro")
        }
        points.append(point)
      }
    }
    return points
  }

  /// Makes what a plan asks for: volumes, which the container holds from now on, their first content, and the snapshots of image mounts.
  func realize(_ plan: MountPlan, id: String, tree: Snapshot) async throws -> [MountPlan.Point] {
    var points: [MountPlan.Point] = []
    var copies: [(volumeID: String, destination: String, isDeclared: Bool)] = []
    for item in plan.items {
      var point = item.point
      switch point.type {
      case "volume":
        let volume =
          if point.volumeID.isEmpty {
            try await volumes.acquire(
              VolumeRequest(
                name: point.name, driver: point.driver, labels: item.labels, options: item.options, containerID: id))
          } else {
            try volumes.hold(id: point.volumeID, containerID: id)
          }
        point.volumeID = volume.id
        point.name = volume.name
        point.source = volume.path
        point.driver = volume.driver
        if item.copies { copies.append((volume.id, point.destination, item.isDeclared)) }
      case "image":
        let image = try images.image(point.name)
        point.snapshotID = Self.imageSnapshot(id, point.destination)
        point.imageLayers = image.layers
        let (name, subpath, reference) = (point.snapshotID, point.subpath, point.name)
        let (tree, part) = try await blocking { [snapshotter] in
          let tree = try snapshotter.prepare(name, layers: image.layers)
          return (tree, subpath.isEmpty ? "" : try ImageMount.prepare(subpath, of: reference, in: tree))
        }
        point.source = tree.upper
        point.subpath = part
      default: break
      }
      points.append(point)
    }
    if !copies.isEmpty { try await populate(copies, tree) }
    return points
  }

  /// What `realize` made for a container that doesn't come to be; volumes with a name stay, as Docker leaves them.
  func takeBack(_ plan: MountPlan, id: String) async {
    await volumes.release(containerID: id, removing: nil)
    for item in plan.items where item.point.type == "image" {
      let name = Self.imageSnapshot(id, item.point.destination)
      behind("remove snapshot \(name)") { [snapshotter] in try snapshotter.remove(name) }
    }
  }

  /// `<container>-<destination>`, in letters that a directory may have.
  private static func imageSnapshot(_ id: String, _ destination: String) -> String {
    let digits = Array("0123456789abcdef".utf8)
    let hex = destination.utf8.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    return "\(id)-\(String(decoding: hex.suffix(128), as: UTF8.self))"
  }

  func discardImages(_ mounts: [MountPlan.Point]) {
    for mount in mounts where !mount.snapshotID.isEmpty {
      behind("remove snapshot \(mount.snapshotID)") { [snapshotter] in try snapshotter.remove(mount.snapshotID) }
    }
  }

  /// Copies what the image has at the volumes' places into those that are empty. The image is mounted for that, seen by nobody, and
  /// each place is found as a process of the container would find it.
  private func populate(
    _ copies: [(volumeID: String, destination: String, isDeclared: Bool)], _ tree: Snapshot
  ) async throws {
    let root = try await blocking {
      // Read-only: the one overlay that writes to this upper directory may be mounted already.
      SharedDescriptor(
        try tree.lower.isEmpty ? Rootfs.directory(tree.upper) : Rootfs.readOnlyOverlay([tree.upper] + tree.lower))
    }
    for copy in copies {
      let source = try await blocking { () -> SharedDescriptor? in
        let top = Root(owning: try Rootfs.duplicate(root))
        do throws(SyscallError) {
          return SharedDescriptor(try top.open(copy.destination, O_RDONLY | O_DIRECTORY))
        } catch {
          switch error.errno {
          case .noSuchFile: return nil
          case .notDirectory:
            guard copy.isDeclared else { return nil }
            throw EngineError.system("cannot mount volume over existing file, file exists \(copy.destination)")
          default: throw error
          }
        }
      }
      if let source { try await volumes.populate(id: copy.volumeID, from: source) }
    }
    withExtendedLifetime(root) {}
  }

  /// The snapshot of a container that starts: its volumes mounted, the sources of all its binds opened, checked and named by what they
  /// are, so that nobody can put something else in their place before the container mounts them.
  func mounted(_ snapshot: ContainerSnapshot) async throws -> (snapshot: ContainerSnapshot, pins: [String: SourcePin]) {
    guard !snapshot.mounts.isEmpty else { return (snapshot, [:]) }
    let uses = snapshot.mounts.filter { !$0.volumeID.isEmpty }.map {
      VolumeUse(id: $0.volumeID, destination: $0.destination, isWritable: $0.rw, propagation: $0.propagation)
    }
    let places = uses.isEmpty ? [:] : try await volumes.mount(uses, containerID: snapshot.id)
    return try await blocking { [self] in try found(snapshot, places) }
  }

  /// The same for volumes that are in their places, by id.
  func found(_ snapshot: ContainerSnapshot, _ places: [String: String]) throws
    -> (snapshot: ContainerSnapshot, pins: [String: SourcePin])
  {
    var snapshot = snapshot
    var pins: [String: SourcePin] = [:]
    for index in snapshot.mounts.indices {
      var point = snapshot.mounts[index]
      switch point.type {
      case "volume":
        if let place = places[point.volumeID] { point.source = place }
        guard !point.subpath.isEmpty else { break }
        let (path, pin) = try MountSource.subpath(point.subpath, of: point.source)
        point.source = path
        pins[point.destination] = pin
      case "bind":
        guard let (path, pin) = try MountSource.bind(point, configuration.bindPolicy) else { break }
        point.source = path
        pins[point.destination] = pin
      case "image":
        switch try imageMount(point) {
        case .file(let path):
          point.type = "bind"
          point.source = path
          point.options = ["bind", "rprivate"] + (point.rw ? [] : ["ro"])
        case .directory(let lower, let upper, let work):
          point.options =
            lower.map { "lowerdir+=" + $0 }
            + ["upperdir=" + upper, "workdir=" + work, "index=off", "metacopy=off", "redirect_dir=off"]
            + (point.rw ? [] : ["ro"])
        }
      default: break
      }
      snapshot.mounts[index] = point
    }
    return (snapshot, pins)
  }

  func imageMount(_ point: MountPlan.Point) throws -> ImageMount {
    guard let tree = try snapshotter.snapshot(point.snapshotID) else {
      throw EngineError.system("the file system of image mount \(point.destination) is missing")
    }
    return try ImageMount(point.subpath, in: tree)
  }

  /// With the volumes' names as they are now.
  func present(_ snapshot: ContainerSnapshot) -> ContainerSnapshot {
    guard snapshot.mounts.contains(where: { !$0.volumeID.isEmpty }) else { return snapshot }
    var snapshot = snapshot
    for index in snapshot.mounts.indices where !snapshot.mounts[index].volumeID.isEmpty {
      guard let volume = volumes.volume(id: snapshot.mounts[index].volumeID) else { continue }
      snapshot.mounts[index].name = volume.name
      snapshot.mounts[index].source = volume.path
    }
    return snapshot
  }
}

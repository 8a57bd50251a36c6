import Kernel
public import OCI

/// One control group, by its path in every hierarchy: `/berth/<id>`.
///
/// On a hybrid host it is in the v1 hierarchies for their controllers and in the v2 tree for what v2 does better: freezing, killing
/// and telling when it is empty. The v1 freezer is then left alone.
public struct Cgroup: Sendable, Equatable {
  /// Absolute within the hierarchies, without a slash at the end and without `.` or `..`; never the root.
  public let path: String
  public let layout: CgroupLayout

  /// Names a group, which may or may not exist. A relative `path` is taken from the root; empty, `.` and `..` components,
  /// control characters and the root itself are EINVAL.
  public init(path: String, layout: CgroupLayout) throws(CgroupError) {
    let components = path.split(separator: "/")
    guard !components.isEmpty,
      components.allSatisfy({ $0 != "." && $0 != ".." && $0.utf8.count <= 255 && $0.utf8.allSatisfy { $0 >= 0x20 } })
    else { throw CgroupError("name", controller: "cgroup", path: path, .invalidArgument) }
    self.path = "/" + components.joined(separator: "/")
    self.layout = layout
  }

  private init(known path: String, layout: CgroupLayout) {
    self.path = path
    self.layout = layout
  }

  /// The group above; nil below the root.
  var parent: Cgroup? {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return nil }
    return Cgroup(known: String(path[..<slash]), layout: layout)
  }

  func child(_ name: String) -> Cgroup { Cgroup(known: path + "/" + name, layout: layout) }

  /// One directory of the group.
  struct Place {
    /// The controllers that are limited there.
    let controllers: [String]
    let directory: String
    let isUnified: Bool

    var name: String { controllers.isEmpty ? "cgroup" : controllers.joined(separator: ",") }
  }

  /// Every directory of the group: the v1 hierarchies, then the v2 tree. The v1 freezer counts only without a v2 tree.
  var places: [Place] {
    var result: [Place] = []
    result.reserveCapacity(layout.hierarchies.count + 1)
    for hierarchy in layout.hierarchies where layout.unified == nil || hierarchy.controllers != ["freezer"] {
      result.append(Place(controllers: hierarchy.controllers, directory: hierarchy.mountPoint + path, isUnified: false))
    }
    if let unified = unifiedPlace { result.append(unified) }
    return result
  }

  var unifiedPlace: Place? {
    layout.unified.map { Place(controllers: layout.unifiedControllers, directory: $0 + path, isUnified: true) }
  }

  /// Where a controller is: in a v1 hierarchy, or in the v2 tree. The v2 tree always has `devices` (as eBPF).
  func place(_ controller: String) -> Place? {
    for hierarchy in layout.hierarchies where hierarchy.controllers.contains(controller) {
      return Place(controllers: [controller], directory: hierarchy.mountPoint + path, isUnified: false)
    }
    let v2Name = controller == "blkio" ? "io" : controller
    guard let unified = layout.unified,
      layout.unifiedControllers.contains(v2Name) || v2Name == "devices"
    else { return nil }
    return Place(controllers: [controller], directory: unified + path, isUnified: true)
  }

  /// Whether any directory of it is there.
  public var exists: Bool { places.contains { Sys.exists($0.directory) } }

  /// Makes the directories (those above too) in every hierarchy and writes the limits. What exists is taken as it is.
  ///
  /// On v2 the controllers are switched on down the path. On v1 cpuset is initialised from the parent. `resources.devices` are
  /// applied in their order; an empty list leaves devices as inherited.
  ///
  /// Answers warnings: limits that this host can't keep. On an error what was made is removed.
  @discardableResult
  public func create(_ resources: RuntimeSpec.Resources) throws(CgroupError) -> [String] {
    var made: [String] = []
    do throws(CgroupError) {
      // on a hybrid host little is controlled in the v2 tree: switched on for who asks
      let needsUnified = layout.mode == .v2 || !resources.hugepageLimits.isEmpty || !resources.unified.isEmpty
      for place in places where try makeDirectory(place, controlled: !place.isUnified || needsUnified) {
        made.append(place.directory)
      }
      return try apply(resources)
    } catch {
      // nothing has entered it yet; what can't be removed now is found by the sweep
      for directory in made.reversed() { try? Sys.rmdir(directory) }
      throw error
    }
  }

  /// Changes limits of a live group; what isn't named stays. Device rules are changed only when there are any.
  @discardableResult
  public func update(_ resources: RuntimeSpec.Resources) throws(CgroupError) -> [String] { try apply(resources) }
}

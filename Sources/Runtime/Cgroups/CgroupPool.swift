import Kernel
public import OCI

/// Groups made ahead of time below one parent, so that a start only renames them (v1). Device rules are already in them. A v2
/// directory can't be renamed: that one is made at the claim.
///
/// ```
/// <parent>/.spare-<pid>-<n>     in each v1 hierarchy
/// ```
///
/// Owner: the daemon of that pid. Leftovers of a daemon that is gone are removed by `sweep`. Not thread-safe: the owner serialises.
public struct CgroupPool: Sendable {
  static let prefix = ".spare-"

  public let parent: String
  public let layout: CgroupLayout
  /// What the spare groups have already.
  public let devices: [RuntimeSpec.DeviceRule]
  private var spare: [Cgroup] = []
  private var made = 0
  private let owner: Int32

  public init(
    parent: String, layout: CgroupLayout, devices: [RuntimeSpec.DeviceRule] = Cgroups.defaultDevices, owner: Int32
  ) {
    self.parent = parent
    self.layout = layout
    self.devices = devices
    self.owner = owner
  }

  /// How many spare groups there are.
  public var count: Int { spare.count }

  /// Makes spare groups until there are `count`; off the way of a start. None without v1 hierarchies.
  public mutating func fill(to count: Int) throws(CgroupError) {
    guard !layout.hierarchies.isEmpty else { return }
    // only v1 directories: the v2 one of a hybrid host couldn't be renamed with them
    let v1 = CgroupLayout(mode: .v1, hierarchies: hierarchies, unified: nil, unifiedControllers: [])
    while spare.count < count {
      let group = try Cgroup(path: "\(parent)/\(Self.prefix)\(owner)-\(made)", layout: v1)
      made += 1
      var resources = RuntimeSpec.Resources()
      resources.devices = devices
      try group.create(resources)
      spare.append(group)
    }
  }

  /// The v1 hierarchies that a group of this layout is in.
  private var hierarchies: [CgroupLayout.Hierarchy] {
    layout.hierarchies.filter { layout.unified == nil || $0.controllers != ["freezer"] }
  }

  /// A group at `parent/name` with these limits: a spare one renamed when there is one and its device rules are those asked for,
  /// otherwise a new one. EEXIST when the name is taken. Answers `Cgroup.create`'s warnings too.
  public mutating func claim(_ name: String, _ resources: RuntimeSpec.Resources) throws(CgroupError) -> (
    cgroup: Cgroup, warnings: [String]
  ) {
    let group = try Cgroup(path: parent + "/" + name, layout: layout)
    guard resources.devices == devices, let ready = spare.popLast() else { return (group, try group.create(resources)) }
    for (index, hierarchy) in hierarchies.enumerated() {
      do throws(SyscallError) {
        try Sys.rename(hierarchy.mountPoint + ready.path, to: hierarchy.mountPoint + group.path)
      } catch {
        // back to where they were, so that the spare group stays whole and nobody else's group is touched
        for done in hierarchies[..<index] {
          try? Sys.rename(done.mountPoint + group.path, to: done.mountPoint + ready.path)
        }
        spare.append(ready)
        throw CgroupError(
          "create", controller: hierarchy.controllers.joined(separator: ","), path: hierarchy.mountPoint + group.path,
          error.errno)
      }
    }
    let needsUnified = !resources.hugepageLimits.isEmpty || !resources.unified.isEmpty
    do throws(CgroupError) {
      if let unified = group.unifiedPlace { _ = try group.makeDirectory(unified, controlled: needsUnified) }
      var rest = resources
      rest.devices = []
      return (group, try group.update(rest))
    } catch {
      try? group.remove(timeout: 0)
      throw error
    }
  }

  /// Removes the spare groups.
  public mutating func drain() throws(CgroupError) {
    while let group = spare.popLast() { try group.remove() }
  }

  /// Removes the spare groups of pools below `parent` whose owner isn't alive any more. At the daemon's start.
  public static func sweep(parent: String, layout: CgroupLayout) throws(CgroupError) {
    let group = try Cgroup(path: parent, layout: layout)
    for name in try group.subdirectories() where name.hasPrefix(prefix) {
      guard let owner = Int32(name.dropFirst(prefix.count).prefix { $0 != "-" }), owner > 0 else { continue }
      if Sys.exists("/proc/\(owner)") { continue }
      try group.child(name).remove()
    }
  }
}

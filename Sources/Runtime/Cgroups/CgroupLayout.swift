public import Kernel

/// What this host mounts of control groups, as `/proc/self/mountinfo` and `/proc/cgroups` tell. Mount points are never assumed.
public struct CgroupLayout: Sendable, Equatable {
  /// v1: every controller in a hierarchy of v1. Hybrid: so, and a v2 tree without them beside it. v2: one tree.
  public enum Mode: String, Sendable { case v1, hybrid, v2 }

  /// One v1 hierarchy; co-mounted controllers (`cpu,cpuacct`) share one.
  public struct Hierarchy: Sendable, Equatable {
    public let controllers: [String]
    public let mountPoint: String
  }

  public let mode: Mode
  /// The v1 hierarchies with at least one controller, in the order of mounting; named ones (`name=systemd`) are left out.
  public let hierarchies: [Hierarchy]
  /// The mount point of the v2 tree: always there in mode v2, and in mode hybrid.
  public let unified: String?
  /// What the v2 tree controls at its root (`cgroup.controllers`).
  public let unifiedControllers: [String]

  public init(mode: Mode, hierarchies: [Hierarchy], unified: String?, unifiedControllers: [String]) {
    self.mode = mode
    self.hierarchies = hierarchies
    self.unified = unified
    self.unifiedControllers = unifiedControllers
  }

  /// Reads the layout of this host as the calling process sees it; ENODEV when no cgroup file system is mounted.
  public static func probe() throws(SyscallError) -> CgroupLayout {
    throw SyscallError("probe", "cgroup", .noSuchCall)
  }
}

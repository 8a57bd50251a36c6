/// What a mount of type `cgroup` shows in a container: its own groups and nothing above them.
public struct CgroupMounts: Sendable, Equatable {
  /// The v2 directory alone (no v1 controllers on this host).
  public var unified: String?
  /// v1 and hybrid: a directory a hierarchy (`cpu,cpuacct`, `memory`, `unified`), with the container's own group of the host.
  public var hierarchies: [Hierarchy]
  /// `cpu` → `cpu,cpuacct`.
  public var links: [Link]
  /// The container has a cgroup namespace: v2 may be mounted afresh, its root is the container's group.
  public var namespaced: Bool

  public struct Hierarchy: Sendable, Equatable {
    public var name: String
    public var source: String
    public init(name: String, source: String) {
      self.name = name
      self.source = source
    }
  }

  public struct Link: Sendable, Equatable {
    public var name: String
    public var target: String
    public init(name: String, target: String) {
      self.name = name
      self.target = target
    }
  }

  public init(unified: String?, hierarchies: [Hierarchy] = [], links: [Link] = [], namespaced: Bool) {
    self.unified = unified
    self.hierarchies = hierarchies
    self.links = links
    self.namespaced = namespaced
  }
}

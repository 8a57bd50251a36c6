public import Cgroups
public import Kernel
import OCI

extension ContainerRuntime {
  /// What was made before the plan was known, for `prepare` to use if it fits.
  public struct Provisions: Sendable {
    /// Groups made ahead. The caller drains what is left of them, and gives none that another process draws on.
    public var groups: CgroupPool?
    /// The plan's root as a detached mount; let go of it after `prepare`, since it holds the file system.
    public var root: SharedDescriptor?

    public init(groups: CgroupPool? = nil, root: SharedDescriptor? = nil) {
      self.groups = groups
      self.root = root
    }

    /// The group at that path, with these limits unless they are nil, since it has been made; and what can't be limited here.
    func group(_ path: String, layout: CgroupLayout, _ resources: RuntimeSpec.Resources?) throws(CgroupError) -> (
      cgroup: Cgroup, warnings: [String]
    ) {
      let cgroup = try Cgroup(path: path, layout: layout)
      guard let resources else { return (cgroup, []) }
      if var groups, groups.layout == layout, path.hasPrefix(groups.parent + "/") {
        let name = String(path.dropFirst(groups.parent.utf8.count + 1))
        if !name.contains("/") { return try groups.claim(name, resources) }
      }
      return (cgroup, try cgroup.create(resources))
    }
  }
}

public import OCI

extension MountedTree {
  /// What the owners of a tree's files are for those who live in it, when that isn't what they are here: a container's user namespace.
  public struct Owners: Sendable, Equatable {
    public var users: [RuntimeSpec.IDMapping]
    public var groups: [RuntimeSpec.IDMapping]

    public init(users: [RuntimeSpec.IDMapping], groups: [RuntimeSpec.IDMapping]) {
      self.users = users
      self.groups = groups
    }

    /// As who lives there sees a file of these; what isn't mapped is nobody's (65534), as the kernel has it.
    public func inside(_ uid: UInt32, _ gid: UInt32) -> (uid: UInt32, gid: UInt32) {
      (Self.inside(uid, users) ?? 65534, Self.inside(gid, groups) ?? 65534)
    }

    /// What these are here; nil where one has no counterpart.
    public func outside(_ uid: UInt32, _ gid: UInt32) -> (uid: UInt32, gid: UInt32)? {
      guard let uid = Self.outside(uid, users), let gid = Self.outside(gid, groups) else { return nil }
      return (uid, gid)
    }

    private static func outside(_ id: UInt32, _ mappings: [RuntimeSpec.IDMapping]) -> UInt32? {
      for mapping in mappings where id >= mapping.containerID && id - mapping.containerID < mapping.size {
        return mapping.hostID &+ (id - mapping.containerID)
      }
      return nil
    }

    private static func inside(_ id: UInt32, _ mappings: [RuntimeSpec.IDMapping]) -> UInt32? {
      for mapping in mappings where id >= mapping.hostID && id - mapping.hostID < mapping.size {
        return mapping.containerID &+ (id - mapping.hostID)
      }
      return nil
    }
  }
}

public import OCI

/// Which ids a bind or a volume shows in place of those of its files (mount_setattr(2), MOUNT_ATTR_IDMAP): `BindOptions.IDMapping`,
/// `VolumeOptions.IDMapping`. Without ranges: those of the container's user namespace, so that its root is the files' root.
public struct IDMapping: Sendable, Equatable {
  public var users: [Range]
  public var groups: [Range]

  /// As in user_namespaces(7): `hostID` is the owner on the disk, `containerID` what the container sees.
  public struct Range: Sendable, Equatable {
    public var containerID: UInt32
    public var hostID: UInt32
    public var size: UInt32
  }

  public init(_ fields: JSONFields) throws(JSONError) {
    users = try fields.list("UIDMappings", Range.init) ?? []
    groups = try fields.list("GIDMappings", Range.init) ?? []
  }

  public var json: JSON {
    ["UIDMappings": .array(users.map(\.json)), "GIDMappings": .array(groups.map(\.json))]
  }
}

extension IDMapping.Range {
  func overlaps(_ other: Self) -> Bool {
    func meet(_ a: UInt32, _ b: UInt32) -> Bool {
      UInt64(a) < UInt64(b) + UInt64(other.size) && UInt64(b) < UInt64(a) + UInt64(size)
    }
    return meet(hostID, other.hostID) || meet(containerID, other.containerID)
  }

  init(_ fields: JSONFields) throws(JSONError) {
    containerID = try fields.integer("ContainerID") ?? 0
    hostID = try fields.integer("HostID") ?? 0
    size = try fields.integer("Size") ?? 1
  }

  var json: JSON {
    ["ContainerID": JSON(Int64(containerID)), "HostID": JSON(Int64(hostID)), "Size": JSON(Int64(size))]
  }
}

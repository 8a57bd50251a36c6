/// What of the host's hardware a container is given or kept to, beyond the control groups that every host has (config-linux.md).
extension RuntimeSpec.Resources {
  /// `network`: marks of the container's packets, by v1's net_cls and net_prio.
  public struct Network: Sendable, Equatable {
    public var classID: UInt32?
    /// By the interface's name.
    public var priorities: [Priority] = []
    public init() {}

    public struct Priority: Sendable, Equatable {
      public var name: String
      public var priority: UInt32
      public init(name: String, priority: UInt32) {
        self.name = name
        self.priority = priority
      }
    }
  }

  /// `rdma`: limits of one device; absent is unlimited.
  public struct RDMA: Sendable, Equatable {
    public var hcaHandles: UInt32?
    public var hcaObjects: UInt32?
    public init(hcaHandles: UInt32? = nil, hcaObjects: UInt32? = nil) {
      self.hcaHandles = hcaHandles
      self.hcaObjects = hcaObjects
    }
  }
}

extension RuntimeSpec {
  /// `linux.intelRdt`: a group of the resctrl file system.
  public struct IntelRDT: Sendable, Equatable {
    /// The group's name; absent: the container's id.
    public var closID: String?
    /// Lines of the group's `schemata`.
    public var schemata: [String] = []
    public var l3CacheSchema: String?
    public var memBwSchema: String?
    public var enableMonitoring = false
    public init() {}
  }

  /// `linux.memoryPolicy`: the arguments of set_mempolicy(2) (specification 1.3).
  public struct MemoryPolicy: Sendable, Equatable {
    /// `MPOL_BIND`.
    public var mode: String
    /// A list of nodes, `0-3,7`.
    public var nodes: String
    /// `MPOL_F_STATIC_NODES`.
    public var flags: [String]
    public init(mode: String, nodes: String = "", flags: [String] = []) {
      self.mode = mode
      self.nodes = nodes
      self.flags = flags
    }
  }
}

extension RuntimeSpec.Resources.Network {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    classID = try fields.integer("classID")
    priorities =
      try fields.list("priorities") { fields throws(JSONError) in
        Priority(
          name: try fields.required("name", try fields.string("name")),
          priority: try fields.required("priority", try fields.integer("priority")))
      } ?? []
  }

  var json: JSON {
    var builder = JSONBuilder()
    builder.set("classID", integer: classID)
    builder.list(
      "priorities", priorities.map { ["name": .string($0.name), "priority": .int(Int64($0.priority))] })
    return builder.json
  }
}

extension RuntimeSpec.Resources.RDMA {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(hcaHandles: try fields.integer("hcaHandles"), hcaObjects: try fields.integer("hcaObjects"))
  }

  var json: JSON {
    var builder = JSONBuilder()
    builder.set("hcaHandles", integer: hcaHandles)
    builder.set("hcaObjects", integer: hcaObjects)
    return builder.json
  }
}

extension RuntimeSpec.IntelRDT {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    closID = try fields.string("closID")
    schemata = try fields.strings("schemata") ?? []
    l3CacheSchema = try fields.string("l3CacheSchema")
    memBwSchema = try fields.string("memBwSchema")
    enableMonitoring = try fields.bool("enableMonitoring") ?? false
    // Of specification 1.2; 1.3 has one switch.
    for key in ["enableCMT", "enableMBM"] where try fields.bool(key) == true { enableMonitoring = true }
  }

  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("closID", closID)
    builder.strings("schemata", schemata)
    builder.set("l3CacheSchema", l3CacheSchema)
    builder.set("memBwSchema", memBwSchema)
    builder.flag("enableMonitoring", enableMonitoring)
    return builder.json
  }
}

extension RuntimeSpec.MemoryPolicy {
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      mode: try fields.required("mode", try fields.string("mode")), nodes: try fields.string("nodes") ?? "",
      flags: try fields.strings("flags") ?? [])
  }

  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("mode", mode)
    builder.set("nodes", nodes)
    builder.strings("flags", flags)
    return builder.json
  }
}

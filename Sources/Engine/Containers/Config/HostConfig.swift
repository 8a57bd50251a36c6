public import OCI

/// How a container is tied to this host: `HostConfig` of the Engine API 1.55, with `resources` apart.
public struct HostConfig: Sendable, Equatable {
  /// `source:target[:options]`; a source without a slash is a volume's name.
  public var binds: [String]?
  public var containerIDFile = ""
  public var logConfig = LogConfig()
  /// `default`, `bridge`, `none`, `host`, `container:ID` or a network's name.
  public var networkMode = ""
  public var portBindings: PortMap?
  public var restartPolicy = RestartPolicy()
  public var autoRemove = false
  public var volumeDriver = ""
  public var volumesFrom: [String]?
  /// Rows, columns.
  public var consoleSize: (height: UInt16, width: UInt16) = (0, 0)
  public var annotations: [String: String] = [:]
  public var capAdd: [String]?
  public var capDrop: [String]?
  /// `private`, `host` or empty for the daemon's default.
  public var cgroupnsMode = ""
  public var dns: [String]?
  public var dnsOptions: [String]?
  public var dnsSearch: [String]?
  /// `name:address`.
  public var extraHosts: [String]?
  public var groupAdd: [String]?
  /// `none`, `private`, `shareable`, `host`, `container:ID` or empty.
  public var ipcMode = ""
  public var cgroup = ""
  public var links: [String]?
  public var oomScoreAdj: Int32 = 0
  /// `host`, `container:ID` or empty.
  public var pidMode = ""
  public var privileged = false
  public var publishAllPorts = false
  public var readonlyRootfs = false
  public var securityOpt: [String]?
  public var storageOpt: [String: String] = [:]
  /// Path to mount options.
  public var tmpfs: [String: String] = [:]
  /// `host` or empty.
  public var utsMode = ""
  /// `host` or empty.
  public var usernsMode = ""
  /// Bytes; 0 is 64 MiB.
  public var shmSize: Int64 = 0
  public var sysctls: [String: String] = [:]
  public var runtime = ""
  public var isolation = ""
  public var resources = HostResources()
  public var mounts: [MountSpec]?
  /// `nil`: the defaults.
  public var maskedPaths: [String]?
  public var readonlyPaths: [String]?
  /// `nil`: the daemon's default.
  public var useInit: Bool?
  /// Members that this version doesn't know, kept for `inspect`.
  public var unknown = JSONObject()

  public init() {}

  public struct LogConfig: Sendable, Equatable {
    /// `json-file`, `none` or empty for the daemon's default.
    public var type = ""
    public var config: [String: String] = [:]
    public init() {}
  }

  public struct RestartPolicy: Sendable, Equatable {
    /// `no`, `always`, `unless-stopped`, `on-failure`; empty is `no`.
    public var name = ""
    public var maximumRetryCount = 0
    public init(name: String = "", maximumRetryCount: Int = 0) {
      self.name = name
      self.maximumRetryCount = maximumRetryCount
    }
  }

  public static func == (a: HostConfig, b: HostConfig) -> Bool { a.json == b.json }
}

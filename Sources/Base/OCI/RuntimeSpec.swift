/// `config.json` of an OCI bundle, for Linux (runtime-spec 1.2: config.md, config-linux.md).
///
/// Absent members are `nil`; a member that the specification doesn't name is kept nowhere and refused nowhere, as it asks.
public struct RuntimeSpec: Sendable, Equatable {
  public var ociVersion: String = OCI.runtimeVersion
  public var process: Process?
  public var root: Root?
  public var hostname: String?
  public var domainname: String?
  public var mounts: [Mount] = []
  public var hooks: Hooks?
  public var annotations: [String: String]?
  public var linux: Linux = Linux()

  public init() {}

  public struct Root: Sendable, Equatable {
    /// Absolute, or relative to the bundle.
    public var path: String
    public var readonly: Bool
    public init(path: String, readonly: Bool = false) {
      self.path = path
      self.readonly = readonly
    }
  }

  public struct Mount: Sendable, Equatable {
    public var destination: String
    public var type: String?
    public var source: String?
    public var options: [String]
    public var uidMappings: [IDMapping]
    public var gidMappings: [IDMapping]
    public init(
      destination: String, type: String? = nil, source: String? = nil, options: [String] = [],
      uidMappings: [IDMapping] = [],
      gidMappings: [IDMapping] = []
    ) {
      self.destination = destination
      self.type = type
      self.source = source
      self.options = options
      self.uidMappings = uidMappings
      self.gidMappings = gidMappings
    }
  }

  public struct IDMapping: Sendable, Equatable {
    public var containerID: UInt32
    public var hostID: UInt32
    public var size: UInt32
    public init(containerID: UInt32, hostID: UInt32, size: UInt32) {
      self.containerID = containerID
      self.hostID = hostID
      self.size = size
    }
  }

  public struct Hook: Sendable, Equatable {
    public var path: String
    public var args: [String]?
    public var env: [String]?
    /// Seconds.
    public var timeout: Int64?
    public init(path: String, args: [String]? = nil, env: [String]? = nil, timeout: Int64? = nil) {
      self.path = path
      self.args = args
      self.env = env
      self.timeout = timeout
    }
  }

  public struct Hooks: Sendable, Equatable {
    public var prestart: [Hook] = []
    public var createRuntime: [Hook] = []
    public var createContainer: [Hook] = []
    public var startContainer: [Hook] = []
    public var poststart: [Hook] = []
    public var poststop: [Hook] = []
    public init() {}
  }
}

extension RuntimeSpec {
  public struct Process: Sendable, Equatable {
    public var terminal = false
    /// Columns and rows.
    public var consoleSize: (width: UInt16, height: UInt16)?
    public var user = User()
    public var args: [String] = []
    public var env: [String] = []
    public var cwd = "/"
    public var capabilities: Capabilities?
    public var rlimits: [Rlimit] = []
    public var noNewPrivileges = false
    public var apparmorProfile: String?
    public var selinuxLabel: String?
    public var oomScoreAdj: Int32?
    public var scheduler: Scheduler?
    public var ioPriority: IOPriority?
    public var execCPUAffinity: CPUAffinity?

    public init() {}

    public static func == (a: Process, b: Process) -> Bool {
      a.terminal == b.terminal && a.consoleSize?.width == b.consoleSize?.width
        && a.consoleSize?.height == b.consoleSize?.height && a.user == b.user && a.args == b.args && a.env == b.env
        && a.cwd == b.cwd && a.capabilities == b.capabilities && a.rlimits == b.rlimits
        && a.noNewPrivileges == b.noNewPrivileges && a.apparmorProfile == b.apparmorProfile
        && a.selinuxLabel == b.selinuxLabel && a.oomScoreAdj == b.oomScoreAdj
        && a.scheduler == b.scheduler && a.ioPriority == b.ioPriority && a.execCPUAffinity == b.execCPUAffinity
    }
  }

  public struct User: Sendable, Equatable {
    public var uid: UInt32 = 0
    public var gid: UInt32 = 0
    public var umask: UInt32?
    public var additionalGids: [UInt32] = []
    public init() {}
  }

  /// Names as in capabilities(7), `CAP_CHOWN`.
  public struct Capabilities: Sendable, Equatable {
    public var bounding: [String] = []
    public var effective: [String] = []
    public var inheritable: [String] = []
    public var permitted: [String] = []
    public var ambient: [String] = []
    public init() {}
  }

  public struct Rlimit: Sendable, Equatable {
    /// `RLIMIT_NOFILE`.
    public var type: String
    /// `UInt64.max` is unlimited.
    public var soft: UInt64
    public var hard: UInt64
    public init(type: String, soft: UInt64, hard: UInt64) {
      self.type = type
      self.soft = soft
      self.hard = hard
    }
  }
}

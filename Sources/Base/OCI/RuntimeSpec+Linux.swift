extension RuntimeSpec {
  public struct Linux: Sendable, Equatable {
    public var namespaces: [Namespace] = []
    public var uidMappings: [IDMapping] = []
    public var gidMappings: [IDMapping] = []
    public var timeOffsets: [String: TimeOffset] = [:]
    public var devices: [Device] = []
    public var cgroupsPath: String?
    public var resources: Resources?
    public var rootfsPropagation: String?
    public var seccomp: Seccomp?
    public var sysctl: [String: String] = [:]
    public var maskedPaths: [String] = []
    public var readonlyPaths: [String] = []
    public var mountLabel: String?
    public var personality: String?
    public var intelRDT: IntelRDT?
    public var memoryPolicy: MemoryPolicy?
    /// Interfaces of the host that move into the container: by their names, with the names that they get there.
    public var netDevices: [String: String] = [:]
    public init() {}

    public func namespace(_ kind: NamespaceKind) -> Namespace? { namespaces.first { $0.kind == kind } }
  }

  public enum NamespaceKind: String, Sendable, CaseIterable {
    case pid, network, mount, ipc, uts, user, cgroup, time

    /// The CLONE_NEW… flag (linux/sched.h).
    public var cloneFlag: UInt64 {
      switch self {
      case .time: 0x80
      case .mount: 0x20000
      case .cgroup: 0x0200_0000
      case .uts: 0x0400_0000
      case .ipc: 0x0800_0000
      case .user: 0x1000_0000
      case .pid: 0x2000_0000
      case .network: 0x4000_0000
      }
    }

    /// The file under `/proc/PID/ns/`.
    public var procName: String {
      switch self {
      case .mount: "mnt"
      case .network: "net"
      default: rawValue
      }
    }
  }

  /// A new namespace, or an existing one by the path of its file. A kind that isn't listed is the runtime's own.
  public struct Namespace: Sendable, Equatable {
    public var kind: NamespaceKind
    public var path: String?
    public init(_ kind: NamespaceKind, path: String? = nil) {
      self.kind = kind
      self.path = path
    }
  }

  public struct TimeOffset: Sendable, Equatable {
    public var secs: Int64
    public var nanosecs: UInt32
    public init(secs: Int64, nanosecs: UInt32 = 0) {
      self.secs = secs
      self.nanosecs = nanosecs
    }
  }

  public struct Device: Sendable, Equatable {
    /// `c`, `u`, `b` or `p`.
    public var type: String
    public var path: String
    public var major: Int64
    public var minor: Int64
    public var fileMode: UInt32?
    public var uid: UInt32?
    public var gid: UInt32?
    public init(
      type: String, path: String, major: Int64 = 0, minor: Int64 = 0, fileMode: UInt32? = nil, uid: UInt32? = nil,
      gid: UInt32? = nil
    ) {
      self.type = type
      self.path = path
      self.major = major
      self.minor = minor
      self.fileMode = fileMode
      self.uid = uid
      self.gid = gid
    }
  }

  public struct DeviceRule: Sendable, Equatable {
    public var allow: Bool
    /// `a`, `c` or `b`; absent is `a`.
    public var type: String?
    /// `nil` is any.
    public var major: Int64?
    public var minor: Int64?
    /// Some of `rwm`; absent is all.
    public var access: String?
    public init(allow: Bool, type: String? = nil, major: Int64? = nil, minor: Int64? = nil, access: String? = nil) {
      self.allow = allow
      self.type = type
      self.major = major
      self.minor = minor
      self.access = access
    }
  }

  /// Limits. Bytes, microseconds (`quota`, `period`) and weights as config-linux.md has them; -1 is unlimited.
  public struct Resources: Sendable, Equatable {
    public var devices: [DeviceRule] = []
    public var memory: Memory?
    public var cpu: CPU?
    public var pids: Int64?
    public var blockIO: BlockIO?
    public var hugepageLimits: [HugepageLimit] = []
    public var unified: [String: String] = [:]
    public var network: Network?
    /// By the device's name.
    public var rdma: [String: RDMA] = [:]
    public init() {}

    public struct Memory: Sendable, Equatable {
      public var limit: Int64?
      public var reservation: Int64?
      /// Memory and swap together.
      public var swap: Int64?
      /// v1's TCP buffers.
      public var kernelTCP: Int64?
      public var swappiness: UInt64?
      public var disableOOMKiller: Bool?
      public var checkBeforeUpdate: Bool?
      public init() {}
    }

    public struct CPU: Sendable, Equatable {
      public var shares: UInt64?
      public var quota: Int64?
      public var burst: UInt64?
      public var period: UInt64?
      public var realtimeRuntime: Int64?
      public var realtimePeriod: UInt64?
      public var cpus: String?
      public var mems: String?
      public var idle: Int64?
      public init() {}
    }

    public struct BlockIO: Sendable, Equatable {
      public var weight: UInt16?
      public var leafWeight: UInt16?
      public var weightDevice: [Weight] = []
      public var throttleReadBps: [Throttle] = []
      public var throttleWriteBps: [Throttle] = []
      public var throttleReadIOPS: [Throttle] = []
      public var throttleWriteIOPS: [Throttle] = []
      public init() {}
    }

    public struct Weight: Sendable, Equatable {
      public var major: Int64
      public var minor: Int64
      public var weight: UInt16?
      public var leafWeight: UInt16?
      public init(major: Int64, minor: Int64, weight: UInt16?, leafWeight: UInt16? = nil) {
        self.major = major
        self.minor = minor
        self.weight = weight
        self.leafWeight = leafWeight
      }
    }

    public struct Throttle: Sendable, Equatable {
      public var major: Int64
      public var minor: Int64
      public var rate: UInt64
      public init(major: Int64, minor: Int64, rate: UInt64) {
        self.major = major
        self.minor = minor
        self.rate = rate
      }
    }

    public struct HugepageLimit: Sendable, Equatable {
      /// `2MB`, `1GB`.
      public var pageSize: String
      public var limit: UInt64
      public init(pageSize: String, limit: UInt64) {
        self.pageSize = pageSize
        self.limit = limit
      }
    }
  }

  public struct Seccomp: Sendable, Equatable {
    /// `SCMP_ACT_ERRNO`.
    public var defaultAction: String
    public var defaultErrnoRet: UInt32?
    /// `SCMP_ARCH_X86_64`.
    public var architectures: [String]
    public var flags: [String]
    public var listenerPath: String?
    public var listenerMetadata: String?
    public var syscalls: [Rule]
    public init(
      defaultAction: String, defaultErrnoRet: UInt32? = nil, architectures: [String] = [], flags: [String] = [],
      listenerPath: String? = nil, listenerMetadata: String? = nil, syscalls: [Rule] = []
    ) {
      self.defaultAction = defaultAction
      self.defaultErrnoRet = defaultErrnoRet
      self.architectures = architectures
      self.flags = flags
      self.listenerPath = listenerPath
      self.listenerMetadata = listenerMetadata
      self.syscalls = syscalls
    }

    public struct Rule: Sendable, Equatable {
      public var names: [String]
      public var action: String
      public var errnoRet: UInt32?
      /// All of them must hold; several on one index are alternatives, as libseccomp's users have it.
      public var args: [Argument]
      public init(names: [String], action: String, errnoRet: UInt32? = nil, args: [Argument] = []) {
        self.names = names
        self.action = action
        self.errnoRet = errnoRet
        self.args = args
      }
    }

    public struct Argument: Sendable, Equatable {
      /// 0 to 5.
      public var index: UInt32
      public var value: UInt64
      public var valueTwo: UInt64
      /// `SCMP_CMP_EQ`.
      public var op: String
      public init(index: UInt32, value: UInt64, valueTwo: UInt64 = 0, op: String) {
        self.index = index
        self.value = value
        self.valueTwo = valueTwo
        self.op = op
      }
    }
  }
}

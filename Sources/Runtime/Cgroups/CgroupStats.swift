/// What a group used until now, in the kernel's own units turned to nanoseconds and bytes. A missing controller leaves its part nil.
public struct CgroupStats: Sendable, Equatable {
  public var cpu: CPU?
  public var memory: Memory?
  public var pids: Pids?
  public var blockIO: BlockIO?

  public init() {}

  public struct CPU: Sendable, Equatable {
    /// Nanoseconds.
    public var usage: UInt64 = 0
    public var user: UInt64 = 0
    public var system: UInt64 = 0
    /// Nanoseconds a processor; v1 only, nil on v2 (as Docker leaves `percpu_usage` out).
    public var perCPU: [UInt64]?
    public var periods: UInt64 = 0
    public var throttledPeriods: UInt64 = 0
    /// Nanoseconds.
    public var throttledTime: UInt64 = 0
    public init() {}
  }

  public struct Memory: Sendable, Equatable {
    /// Bytes, page cache included.
    public var usage: UInt64 = 0
    /// The peak; nil where the kernel doesn't keep one (v2 before 5.19).
    public var maxUsage: UInt64?
    /// How often the limit was hit (v1), or ran into an OOM kill (v2), as Docker tells `failcnt`.
    public var failures: UInt64?
    /// Bytes; nil: no limit (the machine's memory stands for it in Docker's stats).
    public var limit: UInt64?
    /// `memory.stat`, the kernel's own names.
    public var stat: [String: UInt64] = [:]
    public init() {}
  }

  public struct Pids: Sendable, Equatable {
    public var current: UInt64 = 0
    /// nil: no limit (Docker renders 2^64-1).
    public var limit: UInt64?
    public init(current: UInt64 = 0, limit: UInt64? = nil) {
      self.current = current
      self.limit = limit
    }
  }

  /// One counter of one device. `operation` is Docker's `op`: `Read`, `Write`, `Sync`, `Async`, `Discard`, `Total` on v1;
  /// `read`, `write` on v2.
  public struct BlockIOEntry: Sendable, Equatable {
    public var major: UInt64
    public var minor: UInt64
    public var operation: String
    public var value: UInt64
    public init(major: UInt64, minor: UInt64, operation: String, value: UInt64) {
      self.major = major
      self.minor = minor
      self.operation = operation
      self.value = value
    }
  }

  public struct BlockIO: Sendable, Equatable {
    public var serviceBytes: [BlockIOEntry] = []
    public var serviced: [BlockIOEntry] = []
    public init() {}
  }
}

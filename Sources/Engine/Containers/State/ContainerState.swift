/// Where a container stands in its life. Times are nanoseconds since 1970; 0 is never (`0001-01-01T00:00:00Z`).
///
/// ```
/// created ──start──▶ running ◀─unpause─ paused
///    │                │  ▲ ──pause──▶
///    │                ▼  │ restart policy's delay
///    │              exited ◀──▶ restarting
///    └──rm──▶ removing ◀──rm── exited, created, dead;  a removal that failed leaves dead
/// ```
public struct ContainerState: Sendable, Equatable {
  public enum Status: String, Sendable, CaseIterable {
    case created, running, paused, restarting, removing, exited, dead
  }

  public var status: Status = .created
  /// Of the init process, in the daemon's pid namespace; 0 when it doesn't run.
  public var pid: Int32 = 0
  public var exitCode: Int32 = 0
  /// Why the last start failed.
  public var error = ""
  public var oomKilled = false
  public var startedAt: Int64 = 0
  public var finishedAt: Int64 = 0
  /// `nil` without a healthcheck.
  public var health: Health?

  public init() {}

  /// Docker keeps flags: a paused and a restarting container are running ones.
  public var running: Bool { status == .running || status == .paused || status == .restarting }
  public var paused: Bool { status == .paused }
  public var restarting: Bool { status == .restarting }
  public var dead: Bool { status == .dead }
  /// A process of it lives.
  public var alive: Bool { status == .running || status == .paused }

  public struct Health: Sendable, Equatable {
    /// `starting`, `healthy`, `unhealthy`, `none`.
    public var status: String
    public var failingStreak: Int
    /// The last five, oldest first.
    public var log: [Probe]

    public init(status: String, failingStreak: Int = 0, log: [Probe] = []) {
      self.status = status
      self.failingStreak = failingStreak
      self.log = log
    }

    public struct Probe: Sendable, Equatable {
      public var start: Int64
      public var end: Int64
      public var exitCode: Int32
      /// At most 4,096 bytes.
      public var output: String
      public init(start: Int64, end: Int64, exitCode: Int32, output: String) {
        self.start = start
        self.end = end
        self.exitCode = exitCode
        self.output = output
      }
    }
  }
}

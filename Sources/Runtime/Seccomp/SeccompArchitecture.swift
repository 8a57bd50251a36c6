extension Seccomp {
  /// A system call convention, as `struct seccomp_data.arch` tells it. The raw values are libseccomp's names.
  public enum Architecture: String, Sendable, CaseIterable {
    case x86_64 = "SCMP_ARCH_X86_64"
    case x86 = "SCMP_ARCH_X86"
    /// x86_64's 32-bit pointers: the same audit number as x86_64, the call's number with bit 30 set.
    case x32 = "SCMP_ARCH_X32"
    case aarch64 = "SCMP_ARCH_AARCH64"
    case arm = "SCMP_ARCH_ARM"

    public static var native: Architecture {
      #if arch(arm64)
        .aarch64
      #else
        .x86_64
      #endif
    }

    /// AUDIT_ARCH_… of linux/audit.h.
    public var audit: UInt32 {
      switch self {
      case .x86_64, .x32: 0xC000_003E
      case .x86: 0x4000_0003
      case .aarch64: 0xC000_00B7
      case .arm: 0x4000_0028
      }
    }

    /// Whether arguments have 64 bits. Otherwise the lower halves alone are compared, as libseccomp does.
    var is64Bit: Bool { self == .x86_64 || self == .aarch64 }

    /// How Docker's profiles name it (Go's GOARCH, and libseccomp's for x86).
    var dockerName: String {
      switch self {
      case .x86_64: "amd64"
      case .x86: "x86"
      case .x32: "x32"
      case .aarch64: "arm64"
      case .arm: "arm"
      }
    }
  }

  /// __X32_SYSCALL_BIT.
  static let x32Bit: UInt32 = 0x4000_0000

  /// SECCOMP_RET_… (linux/seccomp.h): what a filter answers.
  enum Verdict {
    static let killThread: UInt32 = 0
    static let killProcess: UInt32 = 0x8000_0000
    static let trap: UInt32 = 0x0003_0000
    static let errno: UInt32 = 0x0005_0000
    static let notify: UInt32 = 0x7fc0_0000
    static let trace: UInt32 = 0x7ff0_0000
    static let log: UInt32 = 0x7ffc_0000
    static let allow: UInt32 = 0x7fff_0000
  }

  /// An action's name and errno as a filter's answer. Without an errno it is EPERM, as runc has it. `paths`: of the two in the
  /// configuration.
  static func verdict(action: String, errno: UInt32?, _ paths: (action: String, errno: String)) throws(SeccompError)
    -> UInt32
  {
    func value() throws(SeccompError) -> UInt32 {
      let value = errno ?? 1
      guard value <= 0xffff else { throw SeccompError("\(paths.errno): \(value) doesn't fit 16 bits") }
      return value
    }
    switch action {
    case "SCMP_ACT_ALLOW": return Verdict.allow
    case "SCMP_ACT_ERRNO": return Verdict.errno | (try value())
    case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return Verdict.killThread
    case "SCMP_ACT_KILL_PROCESS": return Verdict.killProcess
    case "SCMP_ACT_TRAP": return Verdict.trap
    case "SCMP_ACT_TRACE": return Verdict.trace | (try value())
    case "SCMP_ACT_LOG": return Verdict.log
    case "SCMP_ACT_NOTIFY": return Verdict.notify
    default: throw SeccompError("\(paths.action): unknown action \"\(action)\"")
    }
  }
}

import CLinux

extension Seccomp {
  /// A system call convention, as `struct seccomp_data.arch` tells it.
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
  }
}

import CLinux
public import Kernel

/// A compiled filter: `struct sock_filter`s in the machine's byte order, and the flags to load it with.
public struct SeccompProgram: Sendable, Equatable {
  /// SECCOMP_FILTER_FLAG_SPEC_ALLOW: what a profile without flags is loaded with, as by runc (Linux 4.17).
  public static let defaultFlags: UInt32 = 4
  /// SECCOMP_FILTER_FLAG_NEW_LISTENER: some action is SCMP_ACT_NOTIFY.
  public static let newListener: UInt32 = 8

  /// 8 bytes an instruction, at most 4096 of them.
  public let bytes: [UInt8]
  /// SECCOMP_FILTER_FLAG_… (linux/seccomp.h).
  public let flags: UInt32

  public init(bytes: [UInt8], flags: UInt32 = defaultFlags) {
    self.bytes = bytes
    self.flags = flags
  }

  /// It answers some calls by whoever listens.
  public var notifies: Bool { flags & Self.newListener != 0 }

  /// Instructions.
  public var count: Int { bytes.count / 8 }

  /// seccomp(2) on the calling thread, which needs no_new_privs or CAP_SYS_ADMIN. Allocates nothing.
  ///
  /// Answers the notification listener's descriptor when `flags` ask for one, otherwise 0. EINVAL also for what isn't a program.
  @discardableResult
  public func load() throws(SyscallError) -> Int32 {
    guard !bytes.isEmpty, bytes.count % 8 == 0, let count = UInt16(exactly: bytes.count / 8) else {
      throw SyscallError("seccomp", "filter of \(bytes.count) bytes", .invalidArgument)
    }
    return Int32(
      truncatingIfNeeded: try Sys.retrying("seccomp") {
        bytes.withUnsafeBytes { cl_seccomp_filter($0.baseAddress, count, flags) }
      })
  }

  /// seccomp(2) with a filter that can't be read.
  static func isSupported(_ flags: UInt32) -> Bool {
    do throws(SyscallError) {
      try Sys.retrying("seccomp") { cl_seccomp_fault(flags) }
      return true
    } catch { return error.errno == Errno(rawValue: EFAULT) }
  }
}

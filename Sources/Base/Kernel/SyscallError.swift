import CLinux

/// A system call failed: which, on what, and errno.
public struct SyscallError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The call's name as in section 2 of the manual, or what was attempted in those terms: `mount`, `openat2`.
  public let call: String
  /// The path, name or number that the call was made on; empty when there is none.
  public let object: String
  public let errno: Errno

  public init(_ call: String, _ object: String = "", _ errno: Errno) {
    self.call = call
    self.object = object
    self.errno = errno
  }

  /// `mount "/proc": permission denied`
  public var description: String {
    (object.isEmpty ? "\(call): \(errno)" : "\(call) \"\(object)\": \(errno)") + hint
  }

  /// What may be the matter with a call that has no substitute.
  private var hint: String {
    switch (errno, call) {
    case (.noSuchCall, _): " (Linux 5.12 or later is needed, and no seccomp filter that denies this call)"
    case (.notPermitted, "open_tree"), (.notPermitted, "move_mount"), (.notPermitted, "fsopen"),
      (.notPermitted, "mount_setattr"), (.notPermitted, "openat2"), (.notPermitted, "pidfd_open"):
      " (CAP_SYS_ADMIN is missing, or a seccomp filter denies this call)"
    default: ""
    }
  }

  /// The same failure, told of an object that means more to the reader (`"/proc" in rootfs of 3f2a…`).
  public func on(_ object: String) -> SyscallError { SyscallError(call, object, errno) }
}

/// The number of an error, as errno(3) names it. Its description is strerror's text in lower case.
public struct Errno: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
  public let rawValue: Int32
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// The calling thread's errno; read it in the expression of the failed call.
  public static var current: Errno { Errno(rawValue: cl_errno()) }

  public static let notPermitted = Errno(rawValue: EPERM)
  public static let noSuchFile = Errno(rawValue: ENOENT)
  public static let noSuchProcess = Errno(rawValue: ESRCH)
  public static let interrupted = Errno(rawValue: EINTR)
  public static let io = Errno(rawValue: EIO)
  public static let badDescriptor = Errno(rawValue: EBADF)
  public static let noChild = Errno(rawValue: ECHILD)
  public static let wouldBlock = Errno(rawValue: EAGAIN)
  public static let noMemory = Errno(rawValue: ENOMEM)
  public static let permissionDenied = Errno(rawValue: EACCES)
  public static let busy = Errno(rawValue: EBUSY)
  public static let fileExists = Errno(rawValue: EEXIST)
  public static let crossDevice = Errno(rawValue: EXDEV)
  public static let noSuchDevice = Errno(rawValue: ENODEV)
  public static let notDirectory = Errno(rawValue: ENOTDIR)
  public static let isDirectory = Errno(rawValue: EISDIR)
  public static let invalidArgument = Errno(rawValue: EINVAL)
  public static let notTerminal = Errno(rawValue: ENOTTY)
  public static let noSpace = Errno(rawValue: ENOSPC)
  public static let readOnlyFileSystem = Errno(rawValue: EROFS)
  public static let brokenPipe = Errno(rawValue: EPIPE)
  public static let nameTooLong = Errno(rawValue: ENAMETOOLONG)
  public static let noSuchCall = Errno(rawValue: ENOSYS)
  public static let notEmpty = Errno(rawValue: ENOTEMPTY)
  public static let symlinkLoop = Errno(rawValue: ELOOP)
  public static let noData = Errno(rawValue: ENODATA)
  public static let notSupported = Errno(rawValue: EOPNOTSUPP)
  public static let addressInUse = Errno(rawValue: EADDRINUSE)
  public static let connectionReset = Errno(rawValue: ECONNRESET)
  public static let connectionRefused = Errno(rawValue: ECONNREFUSED)
  public static let timedOut = Errno(rawValue: ETIMEDOUT)
  public static let execFormat = Errno(rawValue: ENOEXEC)

  public var description: String {
    guard let text = strerror(rawValue) else { return "error \(rawValue)" }
    let message = String(cString: text)
    return message.prefix(1).lowercased() + message.dropFirst()
  }
}

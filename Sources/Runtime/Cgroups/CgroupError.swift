public import Kernel

/// An operation on a control group failed: which file, which value, and what the kernel said.
public struct CgroupError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was attempted: `create`, `set`, `read`, `join`, `freeze`, `kill`, `remove`.
  public let operation: String
  /// The controller, or `cgroup` for the group itself.
  public let controller: String
  /// The file or directory, absolute.
  public let path: String
  /// What was written; empty when nothing was.
  public let value: String
  public let errno: Errno
  /// What it means, where that is known: `unable to set memory limit to 4096 (current usage: 81920, peak usage: 90112)`.
  public let reason: String?

  public init(
    _ operation: String, controller: String, path: String, value: String = "", _ errno: Errno, reason: String? = nil
  ) {
    self.operation = operation
    self.controller = controller
    self.path = path
    self.value = value
    self.errno = errno
    self.reason = reason
  }

  /// `set memory: write "4096" to "/sys/fs/cgroup/memory/berth/x/memory.limit_in_bytes": device or resource busy`
  public var description: String {
    if let reason { return reason }
    let what = value.isEmpty ? "\"\(path)\"" : "write \"\(value)\" to \"\(path)\""
    return "\(operation) \(controller): \(what): \(errno)"
  }
}

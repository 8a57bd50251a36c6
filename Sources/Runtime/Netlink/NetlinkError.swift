public import Kernel

/// The kernel refused a message, or sent one that can't be read.
public struct NetlinkError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was attempted: `create veth`, `add address`.
  public let operation: String
  /// On what: an interface, address, table or element.
  public let object: String
  public let errno: Errno
  /// The kernel's explanation (NLMSGERR_ATTR_MSG), empty when it gave none.
  public let detail: String

  public init(_ operation: String, _ object: String, _ errno: Errno, detail: String = "") {
    self.operation = operation
    self.object = object
    self.errno = errno
    self.detail = detail
  }

  /// `create veth "berth0v1": file exists (Device with this name already exists)`
  public var description: String {
    let subject = object.isEmpty ? operation : "\(operation) \"\(object)\""
    return detail.isEmpty ? "\(subject): \(errno)" : "\(subject): \(errno) (\(detail))"
  }

  init(_ error: SyscallError) { self.init("netlink \(error.call)", error.object, error.errno) }

  /// A message that breaks its own lengths (EBADMSG).
  static func malformed(_ what: String) -> NetlinkError {
    NetlinkError("read netlink message", what, Errno(rawValue: 74), detail: "malformed")
  }
}

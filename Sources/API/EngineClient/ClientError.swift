public import Kernel

/// Why a request has no good answer.
public enum ClientError: Error, CustomStringConvertible {
  /// Nobody listens at the address, or we may not speak to it.
  case cannotConnect(Host, SyscallError)
  /// The daemon answered with an error: its status and its `message`.
  case response(status: Int, message: String)
  /// The daemon's answer isn't HTTP or JSON as expected, or ended too soon.
  case malformed(String)
  /// A system call failed on an open connection.
  case system(SyscallError)

  /// The daemon's status when this is its answer.
  public var status: Int? { if case .response(let status, _) = self { status } else { nil } }

  public var description: String {
    switch self {
    case .cannotConnect(let host, let error):
      error.errno == .permissionDenied
        ? "permission denied while trying to connect to the Berth daemon socket at \(host.address)"
        : "Cannot connect to the Berth daemon at \(host.address). Is the berth daemon running?"
    case .response(_, let message): "Error response from daemon: \(message)"
    case .malformed(let what): what
    case .system(let error): "error during connect: \(error)"
    }
  }
}

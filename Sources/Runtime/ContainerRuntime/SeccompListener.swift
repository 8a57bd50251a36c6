import CLinux
import Kernel
public import OCI

/// Who answers the calls that a filter notifies of: `linux.seccomp.listenerPath` and `listenerMetadata`.
///
/// It gets the container process state of the specification (config-linux.md, "The Container Process State") and the filter's
/// descriptor in one message on a stream socket, before the program is executed.
public struct SeccompListener: Sendable, Equatable {
  /// Of a listening socket.
  public var path: String
  public var metadata: String?

  public init(path: String, metadata: String? = nil) {
    self.path = path
    self.metadata = metadata
  }

  /// `pid`: the filtered process, as we see it.
  func send(_ filter: Int32, pid: Int32, state: RuntimeSpec.State) throws(LaunchFailure) {
    var builder = JSONBuilder()
    builder.set("ociVersion", state.ociVersion)
    builder.set("fds", ["seccompFd"])
    builder.set("pid", integer: pid)
    builder.set("metadata", metadata ?? "")
    builder.set("state", state.json)
    let bytes = builder.json.encoded()
    do throws(SyscallError) {
      let socket = try Sys.socket(AF_UNIX, Sys.sockStream)
      try Sys.connect(socket.raw, path: path)
      let outcome: Result<Int, SyscallError> = bytes.withUnsafeBytes { buffer in
        do throws(SyscallError) { return .success(try Sys.send(socket.raw, buffer, descriptors: [filter])) } catch {
          return .failure(error)
        }
      }
      // Beside the descriptor goes what fits the socket's buffer: all of it, but for annotations of hundreds of kilobytes.
      let sent = try outcome.get()
      if sent < bytes.count { try Sys.writeAll(socket.raw, Array(bytes[sent...])) }
    } catch {
      throw LaunchFailure(
        step: "seccomp", errno: error.errno.rawValue, object: path, message: "linux.seccomp.listenerPath: \(error)")
    }
  }
}

/// A listener and what it is to be told of the container.
public struct SeccompNotice: Sendable {
  public var listener: SeccompListener
  public var state: RuntimeSpec.State
  public init(listener: SeccompListener, state: RuntimeSpec.State) {
    self.listener = listener
    self.state = state
  }
}

extension Optional<SeccompNotice> {
  /// Hands a filter's descriptor on that came from the container's process.
  func deliver(_ filter: SharedDescriptor?, pid: Int32) throws(LaunchFailure) {
    guard let notice = self, let filter else {
      throw LaunchFailure(
        step: "seccomp", errno: EINVAL, object: "linux.seccomp.listenerPath",
        message: "linux.seccomp.listenerPath: is missing, and the filter notifies")
    }
    try notice.listener.send(filter.raw, pid: pid, state: notice.state)
  }
}

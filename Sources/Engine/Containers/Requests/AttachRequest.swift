public import Kernel

/// A client that wants the standard streams of a container or of an exec.
///
/// `connect` is called once, after every check has passed: it answers the client (`101 UPGRADED`) and gives its socket away. From
/// then on the socket belongs to the shim, which frames output (`[stream, 0, 0, 0, length BE32]`, when the container has no
/// terminal) and reads input; the caller neither reads, writes nor closes it.
public struct AttachRequest: Sendable {
  public struct Connection: Sendable {
    /// A connected stream socket: plain, not TLS.
    public var socket: SharedDescriptor
    /// What the client already sent behind its request.
    public var pending: [UInt8]
    public init(socket: SharedDescriptor, pending: [UInt8] = []) {
      self.socket = socket
      self.pending = pending
    }
  }

  public var stdin: Bool
  public var stdout: Bool
  public var stderr: Bool
  /// Replay the log first.
  public var logs: Bool
  /// Follow the streams; with neither `logs` nor `stream` nothing is sent.
  public var stream: Bool
  /// `ctrl-p,ctrl-q`; empty is that default, by the daemon.
  public var detachKeys: String
  /// Frame the output; `nil`: unless there is a terminal. Who starts an exec decides it anew, and may want frames of a terminal.
  public var framed: Bool?
  /// `tty` tells whether the stream is raw (`application/vnd.docker.raw-stream`) or framed
  /// (`application/vnd.docker.multiplexed-stream`).
  public var connect: @Sendable (_ tty: Bool) async throws -> Connection

  public init(
    stdin: Bool, stdout: Bool, stderr: Bool, logs: Bool = false, stream: Bool = true, detachKeys: String = "",
    framed: Bool? = nil, connect: @escaping @Sendable (_ tty: Bool) async throws -> Connection
  ) {
    self.stdin = stdin
    self.stdout = stdout
    self.stderr = stderr
    self.logs = logs
    self.stream = stream
    self.detachKeys = detachKeys
    self.framed = framed
    self.connect = connect
  }
}

import CLinux
public import Kernel

/// Where the first process of a container waits when its start comes from another process than its creation (`create`, then `start`).
///
/// A listening socket in a directory of the container's own. Who starts connects and says go on the connection, which from then on is the
/// process's line to its starter: so `start` learns of an exec that fails, and of one that succeeds by the end of the connection.
///
/// ```
/// create                                   child                                    start
///        ◀────────────────────────  ready
/// writes down its pid
/// go ─────────────────────────────────────▶ accept
/// ends                                            ◀──────────────────────────────── connect, go
///                                           exec: the connection ends ────────────▶ ends
/// ```
///
/// A creator that dies before its go takes the child with it: nothing lives that isn't written down.
public struct StartGate: ~Copyable {
  public static let name = "start.sock"

  let listener: Descriptor

  /// Makes the socket; one that is there is EADDRINUSE.
  public init(in directory: borrowing Descriptor) throws(SyscallError) {
    let socket = try Sys.socket(AF_UNIX, Sys.sockSequencedPacket)
    // By the descriptor: a path may be longer than an address of AF_UNIX (108 bytes).
    try Sys.bind(socket.raw, path: "/proc/self/fd/\(directory.raw)/\(Self.name)")
    // Whatever the caller's umask is: who may write to it may start the container.
    try Sys.chmod(Self.name, 0o600, at: directory.raw)
    try Sys.listen(socket.raw, backlog: 8)
    listener = socket
  }

  /// Starts the container whose gate is in this directory; answers its warnings once the program runs.
  /// `pid`, `notice`: of a container whose filter notifies.
  public static func open(in directory: borrowing Descriptor, pid: Int32 = 0, notice: SeccompNotice? = nil)
    throws(LaunchFailure) -> [String]
  {
    let outcome: Result<[String], LaunchFailure>
    do throws(SyscallError) { outcome = try talk(directory.raw, pid, notice) } catch {
      throw LaunchFailure(step: "start", errno: error.errno.rawValue, object: error.object, message: "start: \(error)")
    }
    return try outcome.get()
  }

  private static func talk(_ directory: Int32, _ pid: Int32, _ notice: SeccompNotice?) throws(SyscallError)
    -> Result<[String], LaunchFailure>
  {
    let channel = try Sys.socket(AF_UNIX, Sys.sockSequencedPacket)
    try Sys.connect(channel.raw, path: "/proc/self/fd/\(directory)/\(name)")
    try Message.go.send(on: channel.raw)
    var warnings: [String] = []
    while true {
      guard try Sys.poll(channel.raw, Int16(POLLIN), timeout: Launch.deadline) != 0 else {
        throw SyscallError("wait for the container's process", "", .timedOut)
      }
      guard let (message, descriptors) = try Message.receive(from: channel.raw) else { return .success(warnings) }
      switch message {
      case .listener:
        do throws(LaunchFailure) { try notice.deliver(descriptors.first, pid: pid) } catch {
          // It waits for answers that nobody gives.
          if let process = try? Sys.pidfdOpen(pid) { try? Sys.sendSignal(pidfd: process.raw, SIGKILL) }
          return .failure(error)
        }
      case .warning(let text): warnings.append(text)
      case .failure(let failure): return .failure(failure)
      case .needMaps, .mapped, .needHooks, .hooked, .born, .terminal, .ready, .go:
        throw SyscallError("wait for the container's process", "", Errno(rawValue: EBADMSG))
      }
    }
  }

  /// The child's part: waits for whoever opens the gate, and speaks to them over `channel` from then on.
  static func await(_ listener: Int32, channel: Int32) throws(SyscallError) {
    while true {
      let connection = try Sys.accept(listener).take()
      try Sys.dup3(connection, onto: channel)
      try Sys.fcntl(channel, F_SETFD, Int(FD_CLOEXEC))
      _ = CLinux.close(connection)
      // Whoever knocked and went again hasn't started us.
      if let (message, _) = try Message.receive(from: channel), case .go = message { return }
    }
  }
}

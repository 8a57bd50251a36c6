/// What daemon and shim say to each other.
///
/// Transport: SOCK_SEQPACKET sockets. Descriptor 3 of a new shim is one end of a socketpair to the daemon that spawned
/// it, and comes with one of the messages of `Opening`; later daemons connect to `<exec-root>/containers/<id>/shim.sock` (mode 0600, peers other than root are refused).
/// Each packet is one JSON object, at most 64 KiB; a longer one is put into a memfd that comes as the first descriptor,
/// and the packet is `@`. Further descriptors (an attacher's socket) follow by SCM_RIGHTS.
///
/// Requests (daemon → shim) carry `"tag": N`; the reply has the same tag and either `"ok": true` with fields or
/// `"error": {"message", "step", "errno", "object"}`:
///
/// | op | fields | descriptors | reply |
/// | --- | --- | --- | --- |
/// | `attach` | `exec`? (id), `stdin`, `stdout`, `stderr`, `mux`, `detachKeys` (bytes), `pending` (base64: what the client already sent) | the client's socket | – |
/// | `start` | | | `pid`, `startedAt` (ns since 1970), `warnings`? |
/// | `exec` | `plan` (ExecPlan), and those of `attach` under `attach`? | the socket, with `attach` | `pid`, `startedAt` |
/// | `signal` | `signal`, `exec`? | | – |
/// | `resize` | `exec`?, `width`, `height` | | – |
/// | `state` | | | `status` (`created`,`running`,`exited`), `pid`, `startedAt`, `execs` [{`id`,`pid`,`running`,`code`}], `exit`? |
/// | `release` | | | – ; a container that wasn't started is taken back, and the shim ends |
///
/// Requests are served in order. Attachers that come before `start` miss nothing. Events (shim → every connected
/// daemon) carry `"event"`: `exited` {`code`, `signal`, `oomKilled`, `startedAt`, `exitedAt`}, `execExited` {`id`,
/// `code`}, `oom` {}, `detached` {`exec`?}. Replies and events of one connection come in the order of what they tell:
/// after the reply to `state`, no event is under way that it doesn't know of.
///
/// The shim prepares the container (namespaces, mounts) as soon as it runs; a failure of that is the error of `start`.
/// A shim that loses its last daemon before `start` takes the container back and ends.
///
/// When `exited` is sent, the shim has written the log to its end and the exit record (`ExitRecord`); it then gives
/// attachers their last bytes and ends by itself. `execs` of `state` lists those that run and those whose `execExited`
/// no daemon has got.
///
/// As Docker has it: an attacher's end of input closes the process's standard input when `stdinOnce` (or of an exec)
/// and there is no terminal, and otherwise ends just that attacher; detach keys count on terminals only; after a
/// process has exited, those that it left behind may write to its streams for two seconds more.
public enum ShimProtocol {
  public static let packetLimit = 64 << 10
  /// The largest message, which then comes in a memfd.
  public static let messageLimit = 16 << 20
  /// The descriptor that a new shim finds its first control connection on.
  public static let controlDescriptor: Int32 = 3
  /// The listening socket's name in the run directory.
  public static let socketName = "shim.sock"
}

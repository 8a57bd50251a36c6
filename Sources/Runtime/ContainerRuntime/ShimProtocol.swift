/// What daemon and shim say to each other.
///
/// Transport: SOCK_SEQPACKET sockets. Descriptor 3 of a new shim is one end of a socketpair to the daemon that spawned it; later
/// daemons connect to `<exec-root>/containers/<id>/shim.sock` (mode 0600, peers other than root are refused). Each packet is one
/// JSON object, at most 64 KiB; a longer one is put into a memfd that comes as the first descriptor, and the packet is `@`.
/// Further descriptors (an attacher's socket) follow by SCM_RIGHTS.
///
/// Requests (daemon → shim) carry `"tag": N`; the reply has the same tag and either `"ok": true` with fields or
/// `"error": {"message", "step", "errno", "object"}`:
///
/// | op | fields | descriptors | reply |
/// | --- | --- | --- | --- |
/// | `attach` | `exec`? (id), `stdin`, `stdout`, `stderr`, `mux`, `detachKeys` (bytes), `pending` (base64: what the client already sent) | the client's socket | – |
/// | `start` | | | `pid`, `startedAt` (ns since 1970) |
/// | `exec` | `plan` (ExecPlan), and those of `attach` under `attach`? | the socket, with `attach` | `pid` |
/// | `signal` | `signal`, `exec`? | | – |
/// | `resize` | `exec`?, `width`, `height` | | – |
/// | `state` | | | `status` (`created`,`running`,`exited`), `pid`, `startedAt`, `execs` [{`id`,`pid`,`running`,`code`}], `exit`? |
/// | `release` | | | – ; the shim ends once its container has |
///
/// Requests are served in order. Attachers that come before `start` miss nothing. Events (shim → every connected daemon) carry `"event"`:
/// `exited` {`code`, `signal`, `oomKilled`, `at`}, `execExited` {`id`, `code`}, `oom` {}, `detached` {`exec`?}.
///
/// After `exited` the shim has written the exit record (`ExitRecord`), flushed logs and attachers, and ends by itself.
public enum ShimProtocol {
  public static let packetLimit = 64 << 10
  /// The descriptor that a new shim finds its first control connection on.
  public static let controlDescriptor: Int32 = 3
}

/// Docker's Engine API over HTTP/1.1: it decodes requests, calls the engine and encodes answers as dockerd would, to the byte.
///
/// Owns: the server and its connections (`HTTP/`), the table of routes (`Router`, `Routes/`), what differs between versions of the
/// API (`Versions`), the one map from `EngineError` to a status (`EngineError+Status`), and the JSON of every answer (`Shapes/`).
///
/// A connection is always in one of these states: idle, waiting for a request; collecting a body (JSON, bounded); running, with a task
/// that answers (plainly, or by a stream that the client's reading paces); taken over, when the socket is handed to a container's shim
/// and NIO forgets it. Requests of one connection are served one after the other.
///
/// Files: the listening sockets only (mode 0660, group docker when the host has it), made beside their name and moved there, so that
/// nobody finds one with other rights; removed at shutdown when they are still ours.
///
/// Must not: decide anything that the engine should decide, hold state of containers, copy stdio, or block an event loop.
public enum EngineAPI {
  /// The newest version of the API that is spoken, which unversioned paths get.
  public static let version = "1.55"
  public static let minimumVersion = "1.24"
}

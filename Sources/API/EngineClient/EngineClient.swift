import CLinux
import Kernel
public import OCI

/// The Engine API from the client's side: HTTP/1.1 over a unix socket, on plain system calls.
///
/// Owns: the connections to one daemon (`Connection`), requests and responses on them (`Request`, `Exchange`,
/// `Response`), uploads from a descriptor (`Upload`), hijacked streams (`HijackedStream`) and their frames
/// (`StandardStreams`), streams of JSON values (`JSONStream`).
///
/// One thread, blocking. A connection is used by one exchange at a time and goes back to `idle` once its response was
/// read to the end; a hijacked or half-read one is closed. Paths carry no version, which the daemon reads as its
/// newest, so that no command needs a ping first; `DOCKER_API_VERSION` sets one.
///
/// Must not: know of any particular command, print, or retry what may have had an effect.
public final class EngineClient {
  public let host: Host
  /// `1.47` when the user asked for a version, else nil.
  public let apiVersion: String?
  private var idle: [Connection] = []

  public init(host: Host, apiVersion: String? = nil) {
    self.host = host
    self.apiVersion = apiVersion
  }

  /// Connects now unless a connection is open. Throws `ClientError.cannotConnect`.
  public func connect() throws {
    if idle.isEmpty { idle.append(try Connection(to: host)) }
  }

  /// Sends a request; its response is read by `Exchange.response()`. Exchanges that are begun before the first is read
  /// run in parallel, each on its own connection.
  public func begin(_ request: Request) throws -> Exchange {
    let reused = !idle.isEmpty
    let connection = try idle.popLast() ?? Connection(to: host)
    do {
      try connection.send(request, apiVersion: apiVersion)
    } catch  where reused && request.upload == nil {
      // The daemon closed the idle connection meanwhile: nothing of the request was read.
      let fresh = try Connection(to: host)
      try fresh.send(request, apiVersion: apiVersion)
      return Exchange(client: self, connection: fresh, isHead: request.method == "HEAD")
    }
    return Exchange(client: self, connection: connection, isHead: request.method == "HEAD")
  }

  /// Sends a request and reads the response's head. A status of 400 and above is thrown as `ClientError.response`.
  public func send(_ request: Request) throws -> Response { try begin(request).response() }

  public func get(_ path: String, query: Query = Query()) throws -> Response {
    try send(Request("GET", path, query: query))
  }
  public func post(_ path: String, query: Query = Query(), body: JSON? = nil) throws -> Response {
    try send(Request("POST", path, query: query, body: body))
  }
  public func delete(_ path: String, query: Query = Query()) throws -> Response {
    try send(Request("DELETE", path, query: query))
  }

  /// Takes over the connection of an upgraded request (attach, exec).
  public func hijack(_ request: Request) throws -> HijackedStream { try begin(request.upgraded()).hijack() }

  func giveBack(_ connection: Connection) { if idle.count < 8 { idle.append(connection) } }
}

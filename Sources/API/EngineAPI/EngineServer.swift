public import Errdefs
public import Logging

/// The Engine API of a daemon: made with what it serves and where, then `serve`, at the end `shutdown`.
public final class EngineServer: Sendable {
  private let server: HTTPServer
  private let hosts: [Host]

  /// `hosts` as `-H` writes them; throws for one that can't be. `onIdle` is called when nobody has asked anything for three seconds, once
  /// until somebody does: the time to give memory back.
  public init(
    nouns: EngineNouns, hosts: [String], log: Logger, onIdle: (@Sendable () -> Void)? = nil
  ) throws(EngineError) {
    var parsed: [Host] = []
    for host in hosts { parsed.append(try Host(host)) }
    self.hosts = parsed
    server = HTTPServer(router: Router(nouns), version: nouns.facts.version, log: log, onIdle: onIdle)
  }

  /// Listens on every host; returns once clients can connect. Throws when one can't be had, and then none is left.
  public func serve() async throws {
    do {
      for host in hosts { try await server.listen(host) }
      server.touch()
    } catch {
      await server.shutdown(grace: .zero)
      throw error
    }
  }

  /// Takes no more requests, gives those under way two seconds, and removes the sockets. Streams of containers go on: they aren't ours
  /// any more.
  public func shutdown() async { await server.shutdown() }
}

extension Router {
  /// All routes. Those of other nouns come first where patterns overlap.
  init(_ nouns: EngineNouns) {
    self.init()
    SystemRoutes(nouns: nouns).add(to: &self)
    ContainerRoutes(nouns: nouns).add(to: &self)
    ExecRoutes(nouns: nouns).add(to: &self)
    ImageRoutes(nouns: nouns).add(to: &self)
    NetworkRoutes(nouns: nouns).add(to: &self)
    VolumeRoutes(nouns: nouns).add(to: &self)
    SwarmRoutes().add(to: &self)
    UnbuiltRoutes().add(to: &self)
  }
}

import Logging
import NIOCore
import NIOHTTP1
import OCI

/// One repository of one registry, seen with one user's credentials. A value: what is learnt is kept by `Registry`.
public struct Repository: Sendable {
  let registry: Registry
  /// `docker.io`, `localhost:5000`
  public let domain: String
  /// `library/busybox`
  public let path: String
  let credentials: Credentials?

  init(_ registry: Registry, domain: String, path: String, credentials: Credentials?) {
    self.registry = registry
    self.domain = domain
    self.path = path
    self.credentials = credentials.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// A server that has the repository.
  struct Endpoint: Sendable {
    var host: String
    /// Before `/v2/`, without a slash at its end.
    var prefix = ""
    /// When the configuration says so.
    var scheme: Registry.Scheme?
    var isMirror = false
  }

  /// Those to read from, in order: mirrors, then the registry itself.
  var sources: [Endpoint] {
    let own = Endpoint(host: Registry.host(of: domain))
    guard domain == Reference.defaultDomain else { return [own] }
    return registry.configuration.mirrors.compactMap { Self.mirror($0) } + [own]
  }

  /// The one to write to.
  var target: Endpoint { Endpoint(host: Registry.host(of: domain)) }

  private static func mirror(_ text: String) -> Endpoint? {
    guard Registry.Configuration.fault(ofMirror: text) == nil else { return nil }
    let scheme: Registry.Scheme = text.hasPrefix("https://") ? .https : .http
    let rest = text.dropFirst(scheme.rawValue.count + 3)
    let host = rest.prefix { $0 != "/" }
    var prefix = rest.dropFirst(host.count)
    while prefix.hasSuffix("/") { prefix = prefix.dropLast() }
    return Endpoint(host: String(host), prefix: String(prefix), scheme: scheme, isMirror: true)
  }

  func scope(_ actions: String) -> String { "repository:\(path):\(actions)" }

  /// Asks each source in turn, until one answers.
  func fromSources<T>(_ body: (Endpoint) async throws -> T) async throws -> T {
    let sources = sources
    for endpoint in sources.dropLast() {
      do { return try await body(endpoint) } catch {
        if Task.isCancelled { throw CancellationError() }
        registry.logger.info("mirror \(endpoint.host) didn't serve \(path): \(error)")
      }
    }
    return try await body(sources[sources.count - 1])
  }
}

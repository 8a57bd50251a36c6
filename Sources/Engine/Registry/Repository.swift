import Errdefs
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
  /// Whether it is asked for an image by digest: some mirrors serve only that.
  let isByDigest: Bool
  let credentials: Credentials?

  init(_ registry: Registry, domain: String, path: String, isByDigest: Bool = false, credentials: Credentials?) {
    self.registry = registry
    self.domain = domain
    self.path = path
    self.isByDigest = isByDigest
    self.credentials = credentials.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// A server that has the repository.
  struct Endpoint: Sendable {
    var host: String
    /// What `/v2` stands for there.
    var root = "/v2"
    /// The repository's path there.
    var path: String
    /// When the configuration says so.
    var scheme: Registry.Scheme?
    /// Credentials are for the registry, not for its mirrors.
    var isMirror = false
    /// nil: the configuration's list says.
    var isInsecure: Bool?
    var trust = Trust()
    var headers: [HostsFile.Pair] = []
    var capabilities = Set(HostsFile.Capability.allCases)
    /// The registry that it stands for, told to mirrors of containerd's kind.
    var namespace: String?

    func scope(_ actions: String) -> String { "repository:\(path):\(actions)" }
  }

  /// Those that can do it, in order: mirrors, then the registry itself.
  func endpoints(for capability: HostsFile.Capability) async throws -> [Endpoint] {
    let found = try await registry.endpoints(of: self).filter { $0.capabilities.contains(capability) }
    guard capability == .push || !found.isEmpty else {
      throw EngineError.system("no host for \(domain) has the capability \"\(capability.rawValue)\"")
    }
    return found
  }

  /// The one to write to.
  func target() async throws -> Endpoint {
    guard let target = try await endpoints(for: .push).first(where: { !$0.isMirror || $0.namespace != nil }) else {
      throw EngineError.system("no host for \(domain) has the capability \"push\"")
    }
    return target
  }

  /// Asks each source in turn, until one answers.
  func fromSources<T>(_ capability: HostsFile.Capability, _ body: (Endpoint) async throws -> T) async throws -> T {
    let sources = try await endpoints(for: capability)
    for endpoint in sources.dropLast() {
      do { return try await body(endpoint) } catch {
        if Task.isCancelled { throw CancellationError() }
        registry.logger.info("mirror \(endpoint.host) didn't serve \(path): \(error)")
      }
    }
    return try await body(sources[sources.count - 1])
  }
}

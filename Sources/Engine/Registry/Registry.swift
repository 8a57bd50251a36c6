import AsyncHTTPClient
public import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
public import OCI
import Synchronization

/// Registries of images, from the client's side: distribution-spec 1.1 over HTTP and TLS.
///
/// `Registry` is the one client of the daemon: connections, tokens and what was learnt of hosts (does it speak TLS?) live in it. A
/// `Repository` is one repository seen with one user's credentials, and does the work: manifests, blobs, uploads, tags.
///
/// - A digest is believed only after the bytes were hashed: manifests here, blobs by whoever writes them (`Repository.download` hands them out
///   as they come and says how many there must be).
/// - Credentials go to the host that they were given for, and to the token service that it names; a redirect to another host goes without.
/// - 429, 502 to 504 and cut connections are tried again with growing pauses (`Retry`), a blob from the byte where it was cut.
/// - Plain HTTP, and TLS without a known certificate, only with registries that are insecure: loopback, and those that the
///   configuration names.
///
/// Locks: one `Mutex` each over hosts and tokens, held for no I/O.
///
/// Must not: know of the store or of images' names here; keep a password beyond its request, but for tokens in memory.
public final class Registry: Sendable {
  public let configuration: Configuration
  let logger: Logger
  let tokens = TokenCache()
  /// Layers that come down, and go up, at once.
  public let downloads: Slots
  public let uploads: Slots
  /// Made at the first use: a daemon that never pulls has no threads for it.
  private let client = Mutex<HTTPClient?>(nil)
  /// How each host was found to answer.
  private let schemes = Mutex<[String: Scheme]>([:])

  enum Scheme: String, Sendable { case https, http }

  public init(configuration: Configuration = Configuration(), logger: Logger) {
    self.configuration = configuration
    self.logger = logger
    downloads = Slots(configuration.maximumDownloads)
    uploads = Slots(configuration.maximumUploads)
  }

  deinit {
    // HTTPClient insists on it. Connections that are open are cut.
    try? client.withLock { $0.take() }?.syncShutdown()
  }

  /// Ends what is under way.
  public func shutDown() async {
    guard let client = client.withLock({ $0.take() }) else { return }
    do { try await client.shutdown() } catch { logger.warning("registries: \(error)") }
  }

  /// A repository as one user sees it.
  public func repository(_ reference: Reference, credentials: Credentials? = nil) -> Repository {
    Repository(
      self, domain: reference.domain, path: reference.path, isByDigest: reference.digest != nil,
      credentials: credentials)
  }

  var http: HTTPClient {
    client.withLock { client in
      if let client { return client }
      var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
      configuration.httpVersion = .http1Only
      configuration.timeout.connect = .seconds(10)
      configuration.timeout.read = .seconds(60)
      configuration.connectionPool.idleTimeout = .seconds(10)
      // A host that refuses is told at once; what may pass is tried again by `Retry`.
      configuration.connectionPool.retryConnectionEstablishment = false
      let made = HTTPClient(
        eventLoopGroupProvider: .shared(MultiThreadedEventLoopGroup.singleton), configuration: configuration)
      client = made
      return made
    }
  }

  func scheme(of host: String) -> Scheme? { schemes.withLock { $0[host] } }
  func setScheme(_ scheme: Scheme, of host: String) { schemes.withLock { $0[host] = scheme } }

  /// The host that answers for a domain of references.
  static func host(of domain: String) -> String { domain == Reference.defaultDomain ? "registry-1.docker.io" : domain }
}

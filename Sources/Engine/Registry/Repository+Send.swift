import AsyncHTTPClient
import Errdefs
import Kernel
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import OCI

/// One request, before it is known where and how it will be sent.
struct Call: Sendable {
  enum Body: Sendable {
    case none
    case bytes([UInt8], type: String)
    /// So many bytes of a file from an offset; `tell` hears how many were sent.
    case file(SharedDescriptor, offset: Int64, length: Int64, tell: @Sendable (Int64) -> Void)
  }

  var method: HTTPMethod = .GET
  /// From `/v2/`, with its query; or a whole URL that the registry gave us.
  var path: String
  var headers: HTTPHeaders = [:]
  var body = Body.none
  /// What a token must allow.
  var scope: String
  /// Until the answer's head.
  var timeout = TimeAmount.seconds(60)
  /// Whether a failure that passes is waited for.
  var retries = true
}

struct Answer: Sendable {
  var status: HTTPResponseStatus
  var headers: HTTPHeaders
  var body: HTTPClientResponse.Body
  /// Where it came from, after redirects.
  var url: String

  /// The whole body; more than `limit` bytes are refused, in the name of `what` it is.
  func bytes(limit: Int, of what: String = "the registry's answer") async throws -> [UInt8] {
    func refuse() -> EngineError { .invalidParameter("\(what) has more than \(limit) bytes") }
    if let length = headers.first(name: "Content-Length").flatMap({ Int($0) }), length > limit { throw refuse() }
    var bytes: [UInt8] = []
    for try await part in body {
      guard bytes.count + part.readableBytes <= limit else {
        throw refuse()
      }
      bytes += part.readableBytesView
    }
    return bytes
  }

  /// The registry's reason.
  func error() async -> RegistryError {
    RegistryError(status: status, body: (try? await bytes(limit: 64 << 10)) ?? [])
  }
}

extension Repository {
  /// Sends with what authorization is known, gets a better one when that isn't enough, follows redirects, and waits out what passes.
  /// Answers whatever status comes at last.
  func send(_ call: Call, to endpoint: Endpoint) async throws -> Answer {
    var attempt = 0
    while true {
      let pause: Duration
      do {
        let answer = try await authorized(call, endpoint)
        guard call.retries, Retry.isPassing(answer.status), attempt + 1 < registry.configuration.attempts else {
          return answer
        }
        pause = Retry.pause(attempt: attempt, after: answer.headers.first(name: "Retry-After"))
      } catch let error as NoAnswer {
        guard call.retries, Retry.isPassing(error.cause), attempt + 1 < registry.configuration.attempts else {
          throw error
        }
        pause = Retry.pause(attempt: attempt, after: nil)
      }
      attempt += 1
      try await Task.sleep(for: pause)
    }
  }

  private func authorized(_ call: Call, _ endpoint: Endpoint) async throws -> Answer {
    // Credentials are for the registry, not for its mirrors.
    let credentials = endpoint.isMirror ? nil : credentials
    let key = TokenCache.Key(host: endpoint.host, scope: call.scope, credentials: credentials)
    var authorization = registry.tokens.authorization(key)
    if authorization == nil, let token = credentials?.registryToken, !token.isEmpty {
      authorization = "Bearer \(token)"
    }
    let first = try await located(call, endpoint, authorization)
    guard first.status == .unauthorized else { return first }
    registry.tokens.remove(key)
    let challenges = Challenge.parse(first.headers["WWW-Authenticate"])
    guard !challenges.isEmpty else { return first }
    let isSecure = registry.scheme(of: endpoint.host) != .http
    let (better, seconds) = try await registry.authorize(
      challenges, endpoint: endpoint, scope: call.scope, credentials: credentials, isSecure: isSecure,
      request: NoAnswer(method: call.method, url: first.url, cause: NoCredentials()))
    guard better != authorization else { return first }
    let second = try await located(call, endpoint, better)
    if second.status != .unauthorized { registry.tokens.set(key, better, seconds: seconds) }
    return second
  }

  /// Finds out whether the host speaks TLS, when that isn't known.
  private func located(_ call: Call, _ endpoint: Endpoint, _ authorization: String?) async throws -> Answer {
    if call.path.hasPrefix("http://") || call.path.hasPrefix("https://") {
      return try await redirected(call, call.path, endpoint, authorization)
    }
    let path = call.path.hasPrefix("/v2/") ? endpoint.root + call.path.dropFirst(3) : call.path
    func url(_ scheme: Registry.Scheme) -> String {
      let namespace = endpoint.namespace.map { (path.contains("?") ? "&ns=" : "?ns=") + Registry.escape($0) } ?? ""
      return "\(scheme)://\(endpoint.host)\(path)\(namespace)"
    }
    if let scheme = endpoint.scheme ?? registry.scheme(of: endpoint.host) {
      return try await redirected(call, url(scheme), endpoint, authorization)
    }
    guard registry.isInsecure(endpoint) else {
      let answer = try await redirected(call, url(.https), endpoint, authorization)
      registry.setScheme(.https, of: endpoint.host)
      return answer
    }
    do {
      let answer = try await redirected(call, url(.https), endpoint, authorization)
      registry.setScheme(.https, of: endpoint.host)
      return answer
    } catch is NoAnswer {
      let answer = try await redirected(call, url(.http), endpoint, authorization)
      registry.setScheme(.http, of: endpoint.host)
      return answer
    }
  }

  /// Follows where the registry sends readers: to other hosts without a word of who asks, and never from TLS to plain HTTP.
  private func redirected(_ call: Call, _ start: String, _ endpoint: Endpoint, _ authorization: String?) async throws
    -> Answer
  {
    guard var place = Location(start) else { throw EngineError.system("\"\(start)\" isn't a URL") }
    let origin = place.origin
    // A URL that the registry gave for an upload may lie elsewhere: nothing of ours goes there.
    let home = Location("\(place.scheme)://\(endpoint.host)/")?.origin
    for _ in 0..<10 {
      let mayKnow = place.origin == home || (endpoint.isMirror && place.origin == origin)
      let answer = try await once(call, place, mayKnow ? authorization : nil, mayKnow ? endpoint : nil)
      guard [301, 302, 303, 307, 308].contains(answer.status.code), call.method == .GET || call.method == .HEAD,
        let target = answer.headers.first(name: "Location")
      else { return answer }
      guard let next = place.resolve(target) else {
        throw EngineError.system("\(start): the registry redirects to \"\(target)\", which isn't a URL")
      }
      guard place.scheme == "http" || next.scheme == "https" else {
        throw EngineError.system("\(start): the registry redirects from https to \(next.scheme)")
      }
      place = next
    }
    throw EngineError.system("\(start): more than 10 redirects")
  }

  private func once(_ call: Call, _ place: Location, _ authorization: String?, _ endpoint: Endpoint?) async throws
    -> Answer
  {
    var request = HTTPClientRequest(url: place.url)
    request.method = call.method
    request.headers = call.headers
    request.headers.replaceOrAdd(name: "User-Agent", value: "berth/0.1.0")
    for header in endpoint?.headers ?? [] { request.headers.replaceOrAdd(name: header.name, value: header.value) }
    if let authorization { request.headers.replaceOrAdd(name: "Authorization", value: authorization) }
    switch call.body {
    case .none: if call.method == .POST || call.method == .PUT { request.body = .bytes(ByteBuffer()) }
    case .bytes(let bytes, let type):
      request.headers.replaceOrAdd(name: "Content-Type", value: type)
      request.body = .bytes(ByteBuffer(bytes: bytes))
    case .file(let file, let offset, let length, let tell):
      request.headers.replaceOrAdd(name: "Content-Type", value: "application/octet-stream")
      request.body = .stream(FileParts(file: file, offset: offset, length: length, tell: tell), length: .known(length))
    }
    return try await registry.execute(request, host: place.host, endpoint, timeout: call.timeout)
  }
}

/// 401 from a registry that wants credentials, and none are known.
struct NoCredentials: Error, CustomStringConvertible {
  var description: String { "no basic auth credentials" }
}

extension Registry {
  /// One exchange. What gets no answer is told with its URL.
  func execute(
    _ request: HTTPClientRequest, host: String, _ endpoint: Repository.Endpoint? = nil, timeout: TimeAmount
  ) async throws -> Answer {
    var request = request
    if request.url.hasPrefix("https:") { request.tlsConfiguration = try await tls(host, endpoint) }
    do {
      let response = try await http.execute(request, timeout: timeout)
      return Answer(status: response.status, headers: response.headers, body: response.body, url: request.url)
    } catch {
      if error is CancellationError || Task.isCancelled { throw CancellationError() }
      throw NoAnswer(method: request.method, url: request.url, cause: error)
    }
  }

  func isInsecure(_ endpoint: Repository.Endpoint) -> Bool {
    endpoint.isInsecure ?? configuration.isInsecure(endpoint.host)
  }

  /// Whom to believe: the system's authorities, those of the host's own directory and of its `hosts.toml`; anybody for an insecure host.
  private func tls(_ host: String, _ endpoint: Repository.Endpoint?) async throws -> TLSConfiguration {
    let directories = configuration.certificates.map { "\($0)/\(host)" }
    let isInsecure = endpoint.map { self.isInsecure($0) } ?? configuration.isInsecure(host)
    let trust = endpoint?.trust ?? Trust()
    return try await NIOThreadPool.singleton.runIfActive {
      var tls = TLSConfiguration.makeClientConfiguration()
      if isInsecure { tls.certificateVerification = .none }
      for directory in directories where Sys.exists(directory) {
        let descriptor = try Sys.open(directory, 0o200000)
        for entry in try Sys.entries(descriptor.raw).sorted(by: { $0.name < $1.name }) {
          let path = "\(directory)/\(entry.name)"
          if entry.name.hasSuffix(".crt") {
            tls.additionalTrustRoots.append(.certificates(try NIOSSLCertificate.fromPEMFile(path)))
          } else if entry.name.hasSuffix(".cert") {
            tls.certificateChain = try NIOSSLCertificate.fromPEMFile(path).map { .certificate($0) }
            let key = String(path.dropLast(5)) + ".key"
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
          }
        }
      }
      for file in trust.authorities {
        tls.additionalTrustRoots.append(.certificates(try NIOSSLCertificate.fromPEMFile(file)))
      }
      if let client = trust.clients.first {
        tls.certificateChain = try NIOSSLCertificate.fromPEMFile(client.certificate).map { .certificate($0) }
        tls.privateKey = .privateKey(try NIOSSLPrivateKey(file: client.key, format: .pem))
      }
      return tls
    }
  }
}

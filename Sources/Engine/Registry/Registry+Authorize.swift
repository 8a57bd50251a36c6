import AsyncHTTPClient
import Errdefs
import NIOCore
import NIOHTTP1
import OCI

extension Registry {
  /// An `Authorization` that answers the challenges, and for how many seconds it holds.
  /// Bearer: a token from the service that the challenge names (distribution: auth/token and auth/oauth). Basic: the credentials themselves.
  func authorize(
    _ challenges: [Challenge], endpoint: Repository.Endpoint, scope: String, credentials: Credentials?, isSecure: Bool,
    request: NoAnswer
  ) async throws -> (authorization: String, seconds: Int64) {
    if let bearer = challenges.first(where: { $0.scheme == "bearer" }) {
      return try await token(bearer, endpoint: endpoint, scope: scope, credentials: credentials, isSecure: isSecure)
    }
    guard challenges.contains(where: { $0.scheme == "basic" }) else {
      throw EngineError.system(
        "registry \(endpoint.host) wants an authentication that isn't known: \(challenges.map(\.scheme).joined(separator: ", "))"
      )
    }
    guard let credentials, !credentials.username.isEmpty else { throw request }
    return (credentials.basic, 300)
  }

  private func token(
    _ challenge: Challenge, endpoint: Repository.Endpoint, scope: String, credentials: Credentials?, isSecure: Bool
  ) async throws -> (authorization: String, seconds: Int64) {
    guard let realm = challenge.parameters["realm"], let place = Location(realm) else {
      throw EngineError.system("registry \(endpoint.host) names no token service")
    }
    // Whoever listens on plain HTTP could name a service of theirs; the other way round a password would cross the net in the open.
    guard place.scheme == "https" || !isSecure || configuration.isInsecure(place.host) else {
      throw EngineError.system("registry \(endpoint.host) names a token service without TLS: \(realm)")
    }
    let service = challenge.parameters["service"] ?? ""
    let scopes = scope.split(separator: " ").map(String.init)
    var call: HTTPClientRequest
    if let credentials, !credentials.identityToken.isEmpty {
      call = HTTPClientRequest(url: place.url)
      call.method = .POST
      call.headers.add(name: "Content-Type", value: "application/x-www-form-urlencoded")
      let fields = [
        ("grant_type", "refresh_token"), ("service", service), ("client_id", "berth"), ("scope", scope),
        ("refresh_token", credentials.identityToken),
      ]
      call.body = .bytes(ByteBuffer(string: Self.form(fields)))
    } else {
      var fields = service.isEmpty ? [] : [("service", service)]
      fields += scopes.map { ("scope", $0) }
      if let credentials, !credentials.username.isEmpty { fields.append(("account", credentials.username)) }
      let query = Self.form(fields)
      call = HTTPClientRequest(
        url: query.isEmpty ? place.url : place.url + (place.rest.contains("?") ? "&" : "?") + query)
      if let credentials, !credentials.username.isEmpty {
        call.headers.add(name: "Authorization", value: credentials.basic)
      }
    }
    call.headers.add(name: "User-Agent", value: "berth/0.1.0")
    let answer = try await execute(
      call, host: place.host, place.host == endpoint.host ? endpoint : nil, timeout: .seconds(30))
    guard answer.status == .ok else { throw await answer.error() }
    let document: JSON
    do { document = try JSON.parse(try await answer.bytes(limit: 1 << 20)) } catch {
      throw EngineError.system("the token service \(place.host) answered what isn't JSON", cause: error)
    }
    guard
      let token = [document["token"], document["access_token"]].lazy.compactMap({ $0?.stringValue }).first(where: {
        !$0.isEmpty
      })
    else { throw EngineError.system("authorization server did not include a token in the response") }
    guard token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      throw EngineError.system("the token service \(place.host) answered a token that can't be one")
    }
    // Given back a little before its time; the least that the specification knows is a minute.
    let seconds = max(60, min(document["expires_in"]?.intValue ?? 60, 86_400)) - 10
    return ("Bearer \(token)", seconds)
  }

  /// application/x-www-form-urlencoded
  static func form(_ fields: [(String, String)]) -> String {
    fields.map { "\(escape($0))=\(escape($1))" }.joined(separator: "&")
  }

  static func escape(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var bytes: [UInt8] = []
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
      default: bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// `docker login`: proves the credentials to the registry. Answers an identity token when the service gives one.
  public func login(_ credentials: Credentials) async throws -> String {
    var address = credentials.serverAddress
    for prefix in ["https://", "http://"] where address.hasPrefix(prefix) { address.removeFirst(prefix.count) }
    let host = String(address.prefix { $0 != "/" })
    let domain = ["", "docker.io", "index.docker.io", "registry-1.docker.io"].contains(host) ? "docker.io" : host
    let repository = Repository(self, domain: domain, path: "", credentials: credentials)
    do {
      let target = try await repository.target()
      let answer = try await repository.send(Call(path: "/v2/", scope: "", retries: false), to: target)
      if answer.status == .ok { return "" }
      let error = await answer.error()
      let status = "\(answer.status.code) \(answer.status.reasonPhrase)"
      throw EngineError(
        error.status == 401 ? .unauthorized : .system,
        "login attempt to \(answer.url) failed with status: \(status)", cause: error)
    } catch let error as NoAnswer {
      throw error.engineError
    } catch let error as RegistryError {
      throw EngineError(
        error.status == 401 || error.status == 403 ? .unauthorized : .system, error.description, cause: error)
    }
  }
}

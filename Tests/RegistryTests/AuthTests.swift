import Archive
import Errdefs
import Images
import NIOHTTP1
import OCI
import Registry
import RegistryFixture
import Synchronization
import Testing

@Suite struct AuthTests {
  typealias Reply = RegistryServer.Reply

  /// A token service beside a registry that takes its tokens alone.
  static func guarded(_ issue: @escaping @Sendable (RegistryServer.Ask) -> Reply) async throws -> RegistryServer {
    let port = Mutex(0)
    let server = try await RegistryServer { ask, _ in
      if ask.path == "/token" { return issue(ask) }
      let repository = ask.path.dropFirst(4).prefix { $0 != "/" }
      guard ask.authorization == "Bearer good" else {
        let realm = "http://127.0.0.1:\(port.withLock { $0 })/token"
        return Reply(
          status: .unauthorized,
          headers: [
            "WWW-Authenticate": "Bearer realm=\"\(realm)\",service=\"reg\",scope=\"repository:\(repository):pull\""
          ])
      }
      return nil
    }
    port.withLock { $0 = server.port }
    return server
  }

  @Test func aTokenIsFetchedOnceForItsScope() async throws {
    let server = try await Self.guarded { _ in
      Reply(status: .ok, body: Array(#"{"token":"good","expires_in":300}"#.utf8))
    }
    let sample = try Sample([1000, 2000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let fixture = try Fixture()
    try await fixture.pull(
      "\(server.host)/app:1", credentials: Credentials(username: "me", password: "secret"))
    let asks = server.asks(.GET, containing: "/token")
    #expect(asks.count == 1)
    #expect(asks.first?.query == "service=reg&scope=repository%3Aapp%3Apull&account=me")
    #expect(asks.first?.authorization == "Basic " + Base64.encode(Array("me:secret".utf8)))
  }

  @Test func anIdentityTokenIsExchanged() async throws {
    let server = try await Self.guarded { _ in Reply(status: .ok, body: Array(#"{"access_token":"good"}"#.utf8)) }
    let sample = try Sample([1000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let fixture = try Fixture()
    try await fixture.pull("\(server.host)/app:1", credentials: Credentials(identityToken: "refresh"))
    let ask = try #require(server.asks(.POST, containing: "/token").first)
    let form = String(decoding: ask.body, as: UTF8.self)
    #expect(form.contains("grant_type=refresh_token") && form.contains("refresh_token=refresh"))
    #expect(ask.authorization == nil)
  }

  @Test func aTokenThatExpiredIsFetchedAnew() async throws {
    let expired = Mutex(false)
    let port = Mutex(0)
    let server = try await RegistryServer { ask, _ in
      if ask.path == "/token" {
        return Reply(status: .ok, body: Array("{\"token\":\"\(expired.withLock { $0 } ? "second" : "first")\"}".utf8))
      }
      guard ask.authorization == (expired.withLock { $0 } ? "Bearer second" : "Bearer first") else {
        return Reply(
          status: .unauthorized,
          headers: ["WWW-Authenticate": "Bearer realm=\"http://127.0.0.1:\(port.withLock { $0 })/token\""])
      }
      // As soon as the manifest is out, the token is worth nothing.
      if ask.path.contains("/manifests/") { expired.withLock { $0 = true } }
      return nil
    }
    port.withLock { $0 = server.port }
    let sample = try Sample([1000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let fixture = try Fixture()
    try await fixture.pull("\(server.host)/app:1")
    #expect(try fixture.images.list().count == 1)
    #expect(server.asks(.GET, containing: "/token").count >= 2)
  }

  @Test func login() async throws {
    let server = try await RegistryServer { ask, _ in
      ask.authorization == "Basic " + Base64.encode(Array("me:secret".utf8))
        ? nil : Reply(status: .unauthorized, headers: ["WWW-Authenticate": "Basic realm=\"x\""])
    }
    let fixture = try Fixture()
    let registry = fixture.images.registry
    _ = try await registry.login(Credentials(username: "me", password: "secret", serverAddress: server.host))
    let error = await #expect(throws: EngineError.self) {
      try await registry.login(Credentials(username: "me", password: "wrong", serverAddress: server.host))
    }
    #expect(error?.kind == .unauthorized)
    #expect(
      error?.message == "login attempt to http://\(server.host)/v2/ failed with status: 401 Unauthorized")
  }

  @Test func withoutCredentials() async throws {
    let server = try await RegistryServer { _, _ in
      Reply(status: .unauthorized, headers: ["WWW-Authenticate": "Basic realm=\"x\""])
    }
    let fixture = try Fixture()
    let error = await #expect(throws: EngineError.self) { try await fixture.pull("\(server.host)/app:1") }
    #expect(error?.message == "Get \"http://\(server.host)/v2/app/manifests/1\": no basic auth credentials")
  }
}

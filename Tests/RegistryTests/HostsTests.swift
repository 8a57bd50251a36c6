import Errdefs
import Images
import Kernel
import NIOHTTP1
import OCI
import RegistryFixture
import Snapshots
import Synchronization
import Testing

@testable import Registry

@Suite struct TOMLTests {
  @Test func valuesAndTables() throws {
    let text = """
      # a comment
      title = "a \\"quoted\\" \\u00e9" # behind
      'literal key' = 'C:\\n'
      site."x.y".z = -1_000
      hex = 0xFF
      pi = 3.14
      on = true
      list = [ "a", # one
        'b',
      ]
      long = \"\"\"
      first
      second \\
         third\"\"\"
      point = { x = 1, y.z = 2 }
      [a.b]
      c = 1
      [[item]]
      name = "one"
      [[item.sub]]
      deep = true
      [[item]]
      name = "two"
      """
    let table = try TOML.parse(Array(text.utf8))
    #expect(try table.string("title") == "a \"quoted\" é")
    #expect(try table.string("literal key") == "C:\\n")
    guard case .integer(-1000)? = try table.table("site")?.table("x.y")?["z"] else { throw TOMLError(line: 0, "site") }
    guard case .integer(255)? = table["hex"], case .float(3.14)? = table["pi"] else { throw TOMLError(line: 0, "pi") }
    #expect(try table.bool("on") == true)
    #expect(try table.strings("list") == ["a", "b"])
    #expect(try table.string("long") == "first\nsecond third")
    guard case .integer(2)? = try table.table("point")?.table("y")?["z"] else { throw TOMLError(line: 0, "point") }
    let items = try table.tables("item")
    let names = try items.map { try $0.string("name") }
    #expect(names == ["one", "two"])
    #expect(try items[0].tables("sub").first?.bool("deep") == true)
  }

  @Test(arguments: [
    ("a = 1\na = 2", 2, "\"a\" is there twice"), ("a = 1\n\nb", 3, "a key is followed by ="),
    ("[t]\n[t]", 2, "the table \"t\" is there twice"), ("a = yes", 1, "\"yes\" isn't a value: strings have quotes"),
    ("a = \"x", 1, "a string isn't closed"), ("a = 1 b = 2", 1, "something follows the end of a line's value"),
    ("a = [1 2]", 1, "a list's values are separated by commas"),
    ("a = { b = 1 }\n[a]\nc = 1", 2, "\"a\" isn't a table that can be added to"),
    ("d = 1979-05-27", 1, "\"1979-05-27\" isn't a number, and dates aren't known"),
    ("a = \"\\q\"", 1, "\"\\q\" isn't an escape"), ("[a", 1, "a table's header ends with ]"),
    ("= 1", 1, "a key was expected"),
  ]) func mistakesAreToldWithTheirLine(text: String, line: Int, reason: String) {
    #expect(throws: TOMLError(line: line, reason)) { _ = try TOML.parse(Array(text.utf8)) }
  }

  @Test func nothingTrapsOnBytesThatArent() {
    var random: UInt64 = 7
    let seed = Array("a = [\"x\", { b = '''c''' }]\n[[t.u]]\nd = 0x1F # e\n".utf8)
    for _ in 0..<3000 {
      var bytes = seed
      for _ in 0..<4 {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        bytes[Int(random >> 33) % bytes.count] = UInt8(truncatingIfNeeded: random >> 24)
      }
      _ = try? TOML.parse(bytes)
    }
  }
}

@Suite struct RegistriesFileTests {
  private static let text = """
    unqualified-search-registries = ["docker.io"]
    [[registry]]
    prefix = "example.com/team"
    location = "store.example.org:5000/mirrored/team"
    [[registry.mirror]]
    location = "near:5000/team"
    insecure = true
    [[registry.mirror]]
    location = "far/team"
    pull-from-mirror = "digest-only"
    [[registry]]
    location = "example.com"
    blocked = true
    [[registry]]
    prefix = "*.internal"
    insecure = true
    """

  @Test func theLongestPrefixCounts() throws {
    let file = try RegistriesFile(Array(Self.text.utf8))
    let team = try #require(file.entry(for: "example.com/team/app"))
    #expect(team.prefix == "example.com/team" && !team.isBlocked)
    let moved = team.repository("example.com", "team/app", at: team.place)
    #expect(moved.host == "store.example.org:5000" && moved.path == "mirrored/team/app")
    let mirror = team.repository("example.com", "team/app", at: team.mirrors[0])
    #expect(mirror.host == "near:5000" && mirror.path == "team/app" && team.mirrors[0].isInsecure)
    #expect(team.mirrors[1].use == .byDigest)
    #expect(file.entry(for: "example.com/teams/app")?.isBlocked == true)
    #expect(file.entry(for: "example.com:5000/app") == nil)
    #expect(file.entry(for: "a.internal/app")?.place.isInsecure == true)
    #expect(file.entry(for: "internal/app") == nil)
  }

  @Test(arguments: [
    ("[[registry]]\nblokced = true\nlocation = \"x\"", "line 2: a registry has no \"blokced\""),
    ("[[registry]]\ninsecure = true", "line 1: a registry has neither prefix nor location"),
    ("[[registry]]\nlocation = \"https://x\"", "line 2: \"https://x\" isn't a host with a path"),
    (
      "[[registry]]\nlocation = \"x\"\n[[registry.mirror]]\nlocation = \"y\"\npull-from-mirror = \"never\"",
      "line 5: \"never\" is none of all, digest-only and tag-only"
    ),
    ("[[registry]]\nlocation = 1", "line 2: location is an integer, not a string"),
    ("[registries.search]\nregistries = []", "line 1: registries.conf has no \"registries\""),
  ]) func mistakesAreToldWithTheirLine(text: String, expected: String) {
    let error = #expect(throws: TOMLError.self) { _ = try RegistriesFile(Array(text.utf8)) }
    #expect(error?.description == expected)
  }
}

@Suite struct HostsFileTests {
  @Test func hostsInTheirOrderThenTheServer() throws {
    let text = """
      server = "https://example.com"
      [host."https://near:5000"]
      capabilities = ["pull", "resolve"]
      ca = "near.crt"
      client = [["a.pem", "/k.pem"]]
      [host."https://near:5000".header]
      x-team = ["one"]
      [host."http://far/api/v2/proxy"]
      override_path = true
      skip_verify = true
      """
    let file = try HostsFile(Array(text.utf8), domain: "example.com", directory: "/c/example.com")
    #expect(file.hosts.map(\.url.url) == ["https://near:5000/v2", "http://far/api/v2/proxy", "https://example.com/v2"])
    #expect(file.hosts[0].capabilities == [.pull, .resolve])
    #expect(file.hosts[0].trust.authorities == ["/c/example.com/near.crt"])
    #expect(file.hosts[0].trust.clients == [Trust.Client(certificate: "/c/example.com/a.pem", key: "/k.pem")])
    #expect(file.hosts[0].headers == [HostsFile.Pair(name: "x-team", value: "one")])
    #expect(file.hosts[1].trust.skipsVerification && file.hosts[2].isServer)
    let error = #expect(throws: TOMLError.self) {
      _ = try HostsFile(Array("[host.\"x\"]\nskip-verify = true".utf8), domain: "d", directory: "/")
    }
    #expect(error?.description == "line 2: host \"x\" has no \"skip-verify\"")
  }
}

/// Mirrors, from the store's side.
@Suite struct MirrorTests {
  private func write(_ text: String, _ path: String) throws {
    let file = try Sys.open(path, 0o1101, mode: 0o600)
    try Sys.writeAll(file.raw, text)
  }

  @Test func mirrorsOfRegistriesConf() async throws {
    let mirror = try await RegistryServer()
    let origin = try await RegistryServer()
    let sample = try Sample([1000])
    mirror.put("copy/app", tag: "1", config: sample.config, layers: sample.packed)
    let only = try Sample([1000], seed: 4)
    origin.put("moved/only", tag: "1", config: only.config, layers: only.packed)
    let path = "/tmp/berth-registries-\(origin.port).conf"
    defer { try? Sys.unlink(path) }
    try write(
      """
      [[registry]]
      prefix = "registry.invalid/team"
      location = "\(origin.host)/moved"
      [[registry.mirror]]
      location = "\(mirror.host)/copy"
      [[registry]]
      location = "registry.invalid/secret"
      blocked = true
      """, path)
    var configuration = Registry.Configuration()
    configuration.registriesPath = path
    let fixture = try Fixture(configuration)
    try await fixture.pull("registry.invalid/team/app:1", credentials: Credentials(username: "me", password: "x"))
    #expect(try fixture.images.resolve("registry.invalid/team/app:1").id == sample.id)
    #expect(mirror.asks.allSatisfy { $0.authorization == nil } && origin.asks.isEmpty)
    // What the mirror hasn't comes from the place itself.
    try await fixture.pull("registry.invalid/team/only:1")
    #expect(try fixture.images.resolve("registry.invalid/team/only:1").id == only.id)
    // A push goes to the place, never to a mirror.
    try await fixture.push("registry.invalid/team/app:1")
    #expect(origin.state.withLock { $0.manifests["moved/app/1"] } != nil)
    let error = await #expect(throws: EngineError.self) { try await fixture.pull("registry.invalid/secret/app:1") }
    #expect(
      error?.message
        == "registry registry.invalid/secret is blocked in \(path): registry.invalid/secret/app can't be used")
    // A file that can't be read is a reason, not an invitation to go elsewhere.
    try write("[[registry]]\nlocation = 1\n", path)
    let broken = await #expect(throws: EngineError.self) { try await fixture.pull("registry.invalid/team/app:1") }
    #expect(broken?.message == "\(path), line 2: location is an integer, not a string")
  }

  @Test func mirrorsOfHostsToml() async throws {
    let mirror = try await RegistryServer { ask, _ in
      ask.path.hasPrefix("/proxy/") ? RegistryServer.failure(.notFound, "NAME_UNKNOWN", "no") : nil
    }
    let sample = try Sample([1000])
    mirror.put("library/app", tag: "1", config: sample.config, layers: sample.packed)
    let folder = "/tmp/berth-certs-\(mirror.port)"
    try Sys.mkdirAll("\(folder)/docker.io", mode: 0o700)
    defer { try? Sys.removeTree(folder) }
    try write(
      """
      [host."http://\(mirror.host)/proxy/docker"]
      capabilities = ["pull", "resolve"]
      override_path = true
      [host."http://\(mirror.host)"]
      capabilities = ["pull", "resolve"]
      """, "\(folder)/docker.io/hosts.toml")
    var configuration = Registry.Configuration()
    configuration.certificates = [folder]
    let fixture = try Fixture(configuration)
    try await fixture.pull("app:1")
    #expect(try fixture.images.resolve("app:1").id == sample.id)
    let first = try #require(mirror.asks.first)
    #expect(first.path == "/proxy/docker/library/app/manifests/1" && first.query == "ns=docker.io")
    #expect(mirror.asks.contains { $0.path == "/v2/library/app/manifests/1" })
  }

  @Test func dockersMirrors() async throws {
    let mirror = try await RegistryServer()
    let sample = try Sample([1000])
    mirror.put("library/app", tag: "1", config: sample.config, layers: sample.packed)
    var configuration = Registry.Configuration()
    configuration.mirrors = ["http://\(mirror.host)/"]
    configuration.certificates = []
    let fixture = try Fixture(configuration)
    try await fixture.pull("app:1", credentials: Credentials(username: "me", password: "x"))
    #expect(try fixture.images.resolve("app:1").id == sample.id)
    #expect(mirror.asks.allSatisfy { $0.authorization == nil })
  }
}

import enum Crypto.P256
import Errdefs
import FoundationEssentials
import Images
import Kernel
import OCI
import RegistryFixture
import Snapshots
import Synchronization
import Testing

@testable import Registry

@Suite struct PolicyTests {
  private func policy(_ text: String) throws -> SignaturePolicy {
    try SignaturePolicy(Array(text.utf8), path: "/p.json")
  }

  @Test func theLongestScopeCounts() throws {
    let policy = try policy(
      """
      {"default": [{"type": "reject"}], "transports": {"docker": {
        "docker.io/library": [{"type": "insecureAcceptAnything"}], "docker.io/library/bad": [{"type": "reject"}],
        "*.example.com": [{"type": "insecureAcceptAnything"}], "a.example.com": [{"type": "reject"}]},
        "docker-archive": {"": [{"type": "insecureAcceptAnything"}]}}}
      """)
    func type(_ name: String) throws -> String {
      let rule = policy.rule(for: try Reference(name).tagged)
      return "\(rule.requirements[0].type) \(rule.scope)"
    }
    #expect(try type("busybox") == "insecureAcceptAnything docker \"docker.io/library\"")
    #expect(try type("bad:2") == "reject docker \"docker.io/library/bad\"")
    #expect(try type("someone/app") == "reject default")
    #expect(try type("b.example.com:5000/x") == "insecureAcceptAnything docker \"*.example.com\"")
    #expect(try type("a.example.com/x") == "reject docker \"a.example.com\"")
    #expect(policy.rule(ofTransport: "docker-archive").requirements[0].type == "insecureAcceptAnything")
    #expect(policy.rule(ofTransport: "oci-archive").requirements[0].type == "reject")
  }

  @Test(arguments: [
    ("{}", "default: it is missing"), (#"{"default": []}"#, "default: it has no requirement"),
    (#"{"default": [{"type": "none"}]}"#, "default[0].type: the requirement \"none\" isn't known"),
    (#"{"default": [{"type": "signedBy"}]}"#, "default[0]: signatures by GPG (signedBy) can't be verified"),
    (
      #"{"default": [{"type": "sigstoreSigned"}]}"#,
      "default[0]: exactly one of keyPath, keyPaths, keyData and keyDatas is expected"
    ),
    (
      #"{"default": [{"type": "sigstoreSigned", "keyPath": "/k", "rekorPublicKeyPath": "/r"}]}"#,
      "default[0].rekorPublicKeyPath: it isn't known"
    ),
    (#"{"default": [{"type": "reject"}], "transport": {}}"#, "transport: it isn't known"),
  ]) func whatIsntKnownIsRefused(text: String, reason: String) {
    let error = #expect(throws: JSONError.self) { _ = try policy(text) }
    #expect(error?.description == reason)
  }

  @Test func identities() throws {
    let app = try Reference("r.example/app:1"), digest = app.with(digest: Digest(hashing: [1]))
    let cases: [(Identity, Reference, String, Bool)] = [
      (.matchExact, app, "r.example/app:1", true), (.matchExact, app, "r.example/app:2", false),
      (.matchExact, digest, "r.example/app:1", false), (.matchRepoDigestOrExact, app, "r.example/app", false),
      (.matchRepoDigestOrExact, digest, "r.example/app:9", true), (.matchRepository, app, "r.example/app", true),
      (.matchRepository, app, "r.example/other", false),
      (.exactRepository("o.example/app"), app, "o.example/app:3", true),
      (.exactReference("o.example/app:3"), app, "o.example/app:3", true),
      (.exactReference("o.example/app:3"), app, "o.example/app:4", false),
      (.remap(prefix: "r.example", signedPrefix: "o.example/mirror"), app, "o.example/mirror/app:1", true),
      (.remap(prefix: "r.example", signedPrefix: "o.example"), app, "r.example/app:1", false),
    ]
    for (identity, reference, signed, matches) in cases {
      #expect(identity.matches(reference, signed: signed) == matches, "\(identity) \(reference) \(signed)")
    }
  }

  private func write(_ text: String, _ path: String) throws {
    let file = try Sys.open(path, 0o1101, mode: 0o600)
    try Sys.writeAll(file.raw, text)
  }

  /// As `cosign sign` leaves it.
  private func sign(
    _ server: RegistryServer, _ repository: String, _ digest: Digest, as name: String, by key: P256.Signing.PrivateKey
  ) throws {
    let payload: JSON = [
      "critical": [
        "identity": ["docker-reference": JSON(name)], "image": ["docker-manifest-digest": JSON(digest.description)],
        "type": "cosign container image signature",
      ], "optional": nil,
    ]
    let bytes = payload.encoded()
    var layer = server.add(bytes, "application/vnd.dev.cosign.simplesigning.v1+json")
    let signature = try key.signature(for: bytes).derRepresentation
    layer.annotations = ["dev.cosignproject.cosign/signature": Base64.encode(Array(signature))]
    let manifest = ImageManifest(config: server.add(Array("{}".utf8), MediaType.ociConfig), layers: [layer])
    server.put(
      repository, tag: "sha256-\(digest.hex).sig", manifest: manifest.json.encoded(), type: MediaType.ociManifest)
  }

  @Test func onlyWhatTheKeySignedComes() async throws {
    let server = try await RegistryServer()
    let (key, stranger) = (P256.Signing.PrivateKey(), P256.Signing.PrivateKey())
    var samples: [String: Sample] = [:], digests: [String: Digest] = [:]
    for (seed, name) in ["good", "unsigned", "stranger", "moved", "altered"].enumerated() {
      let sample = try Sample([500], seed: UInt64(seed))
      samples[name] = sample
      digests[name] = server.put("team/app", tag: name, config: sample.config, layers: sample.packed)
    }
    let name = "\(server.host)/team/app"
    func digest(_ name: String) throws -> Digest { try #require(digests[name]) }
    try sign(server, "team/app", digest("good"), as: name, by: key)
    try sign(server, "team/app", digest("stranger"), as: name, by: stranger)
    try sign(server, "team/app", digest("moved"), as: "\(server.host)/team/other", by: key)
    // A good signature of another image under this one's name.
    server.state.withLock { state in
      state.manifests["team/app/sha256-\(digests["altered"]?.hex ?? "").sig"] =
        state.manifests["team/app/sha256-\(digests["good"]?.hex ?? "").sig"]
    }
    let folder = "/tmp/berth-policy-\(server.port)"
    try Sys.mkdirAll(folder, mode: 0o700)
    defer { try? Sys.removeTree(folder) }
    try write(key.publicKey.pemRepresentation, "\(folder)/key.pub")
    let path = "\(folder)/policy.json"
    try write(
      """
      {"default": [{"type": "reject"}], "transports": {"docker": {"\(server.host)/team": [
        {"type": "sigstoreSigned", "keyPath": "\(folder)/key.pub", "signedIdentity": {"type": "matchRepository"}}]}}}
      """, path)
    var configuration = Registry.Configuration()
    configuration.policyPath = path
    let fixture = try Fixture(configuration)
    try await fixture.pull("\(name):good")
    try await fixture.pull("\(name):good")
    try await fixture.pull("\(name)@\(digest("good"))")
    #expect(try fixture.images.resolve("\(name):good").id == samples["good"]?.id)
    let rule = "is rejected by policy \(path): rule \"sigstoreSigned\" of docker \"\(server.host)/team\""
    for (tag, reason) in [
      ("unsigned", "no signature was found"), ("stranger", "a signature isn't by the key"),
      ("moved", "a signature is for the name \"\(server.host)/team/other\""),
      ("altered", "a signature is for \(try digest("good"))"),
    ] {
      let error = await #expect(throws: EngineError.self) { try await fixture.pull("\(name):\(tag)") }
      #expect(error?.kind == .forbidden && error?.message == "image \(name):\(tag) \(rule): \(reason)")
    }
    let elsewhere = await #expect(throws: EngineError.self) { try await fixture.pull("\(server.host)/else/app:1") }
    #expect(elsewhere?.kind == .notFound)
    server.put("else/app", tag: "1", config: [], layers: [])
    let rejected = await #expect(throws: EngineError.self) { try await fixture.pull("\(server.host)/else/app:1") }
    #expect(
      rejected?.message
        == "image \(server.host)/else/app:1 is rejected by policy \(path): rule \"reject\" of default")
    let archive = await #expect(throws: EngineError.self) {
      try await fixture.load(try #require(samples["good"]).archive(tag: "x:1"))
    }
    #expect(archive?.message == "archive is rejected by policy \(path): rule \"reject\" of default")
    // The key's file is gone: nothing comes.
    try Sys.unlink("\(folder)/key.pub")
    let keyless = await #expect(throws: EngineError.self) { try await fixture.pull("\(name):good") }
    #expect(keyless?.message.contains("signature policy: key \(folder)/key.pub: ") == true)
    #expect(try fixture.images.list().count == 1)
  }

  typealias Identity = SignaturePolicy.Identity
}

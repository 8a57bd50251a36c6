import Snapshots
import Archive
import Errdefs
import Images
import NIOHTTP1
import OCI
import Registry
import RegistryFixture
import Synchronization
import Testing

@Suite struct PushTests {
  @Test func whatWasLoadedIsPushedCompressedAndComesBack() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let sample = try Sample([300_000, 1000])
    try await fixture.load(sample.archive(tag: "\(server.host)/team/app:1"))
    let lines = try await fixture.push("\(server.host)/team/app:1")
    #expect(lines.first == "The push refers to repository [\(server.host)/team/app]")
    for layer in sample.layers { #expect(lines.contains("\(Digest(hashing: layer).short) Pushed")) }
    let image = try fixture.images.resolve("\(server.host)/team/app:1")
    let digest = try #require(image.digests.first?.digest)
    #expect(lines.last == "1 \(digest)")
    let stored = try #require(server.state.withLock { $0.manifests["team/app/1"] })
    #expect(Digest(hashing: stored.bytes) == digest)
    let manifest = try ImageManifest(decoding: stored.bytes)
    #expect(manifest.layers.allSatisfy { $0.mediaType.hasSuffix("gzip") })

    // Again: nothing is sent.
    let before = server.asks(.PATCH, containing: "uploads").count
    let again = try await fixture.push("\(server.host)/team/app:1")
    #expect(again.count { $0.hasSuffix("Layer already exists") } == 2)
    #expect(server.asks(.PATCH, containing: "uploads").count == before)

    let other = try Fixture()
    try await other.pull("\(server.host)/team/app:1")
    #expect(try other.images.resolve("\(server.host)/team/app:1").id == sample.id)
  }

  @Test func anUnchangedImageKeepsItsDigestAndItsBlobsAreMounted() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let sample = try Sample([100_000])
    let digest = server.put("team/app", tag: "1", config: sample.config, layers: sample.packed)
    try await fixture.pull("\(server.host)/team/app:1")
    try await fixture.images.tag("\(server.host)/team/app:1", repository: "\(server.host)/other/app", tag: "2")
    server.state.withLock { state in
      // The blobs are of another repository: not there until they are mounted.
      state.intercept = { ask, _ in
        ask.method == .HEAD && ask.path.contains("/other/app/blobs/") ? .init(status: .notFound) : nil
      }
    }
    let lines = try await fixture.push("\(server.host)/other/app:2")
    #expect(lines.contains { $0.hasSuffix("Mounted from team/app") })
    #expect(lines.last == "2 \(digest)")
  }

  @Test func anUploadThatIsCutGoesOn() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let sample = try Sample([200_000])
    try await fixture.load(sample.archive(tag: "\(server.host)/app:1"))
    let isCut = Mutex(false)
    server.state.withLock { state in
      state.intercept = { [unowned server] ask, _ in
        guard ask.method == .PATCH, !isCut.withLock({ $0 }) else { return nil }
        isCut.withLock { $0 = true }
        let id = String(ask.path.split(separator: "/").last ?? "")
        server.state.withLock { $0.uploads[id] = Array(ask.body.prefix(50_000)) }
        return .init(status: .serviceUnavailable)
      }
    }
    try await fixture.push("\(server.host)/app:1")
    let ranges = server.asks(.PATCH, containing: "uploads").map { $0.headers.first(name: "Content-Range") }
    #expect(ranges.count >= 2 && ranges[1]?.hasPrefix("50000-") == true)
    let other = try Fixture()
    try await other.pull("\(server.host)/app:1")
  }

  @Test func whatIsntHereIsToldAsDockerd() async throws {
    let fixture = try Fixture()
    let error = #expect(throws: EngineError.self) {
      _ = try fixture.images.preparePush(try Reference("localhost:1/nosuch:1"), credentials: nil)
    }
    #expect(error?.kind == .notFound)
    #expect(error?.message == "An image does not exist locally with the tag: localhost:1/nosuch")
  }
}

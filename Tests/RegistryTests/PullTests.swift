import Archive
import Errdefs
import Images
import Kernel
import NIOHTTP1
import OCI
import Registry
import RegistryFixture
import Snapshots
import Synchronization
import Testing

@Suite struct PullTests {
  @Test func anImageComesWithDockersLines() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let sample = try Sample([10_000, 200_000])
    let digest = server.put("lib/app", tag: "1", config: sample.config, layers: sample.packed)
    let lines = try await fixture.pull("\(server.host)/lib/app:1")
    #expect(lines.first == "1 Pulling from lib/app")
    let ids = sample.packed.map { Digest(hashing: $0).short }
    for id in ids {
      let own = lines.filter { $0.hasPrefix(id) }.map { String($0.dropFirst(13)) }
      for status in ["Pulling fs layer", "Verifying Checksum", "Download complete", "Pull complete"] {
        #expect(own.contains(status), "\(id): \(own)")
      }
    }
    #expect(lines.suffix(2) == ["Digest: \(digest)", "Status: Downloaded newer image for \(server.host)/lib/app:1"])
    let image = try fixture.images.resolve("\(server.host)/lib/app:1")
    #expect(image.id == sample.id)
    #expect(image.repoDigests == ["\(server.host)/lib/app@\(digest)"])
    #expect(try fixture.images.resolve("\(server.host)/lib/app@\(digest)").id == sample.id)
    let snapshot = try fixture.snapshotter.prepare("c", layers: image.layers)
    #expect(try Sys.readFile(snapshot.lower[0] + "/file1").count == 200_000)
  }

  @Test func anUnchangedTagIsOneRequest() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let sample = try Sample([1000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    try await fixture.pull("\(server.host)/app:1")
    let before = server.asks.count
    let lines = try await fixture.pull("\(server.host)/app:1")
    #expect(lines.last == "Status: Image is up to date for \(server.host)/app:1")
    #expect(server.asks.dropFirst(before).map { "\($0.method) \($0.path)" } == ["HEAD /v2/app/manifests/1"])
  }

  @Test func thePlatformIsChosenWithItsVariant() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let samples = [
      (Platform(os: "linux", architecture: "amd64"), try Sample([100], seed: 1, architecture: "amd64")),
      (
        Platform(os: "linux", architecture: "arm", variant: "v6"),
        try Sample([100], seed: 2, architecture: "arm", variant: "v6")
      ),
      (
        Platform(os: "linux", architecture: "arm", variant: "v7"),
        try Sample([100], seed: 3, architecture: "arm", variant: "v7")
      ),
    ]
    let manifests = samples.map { platform, sample in
      let bytes = ImageManifest(
        config: server.add(sample.config, MediaType.ociConfig),
        layers: sample.packed.map { server.add($0, MediaType.ociLayer + "+gzip") }
      ).json.encoded()
      let digest = server.put("app", tag: "\(sample.id.short)", manifest: bytes, type: MediaType.ociManifest)
      return ContentDescriptor(
        mediaType: MediaType.ociManifest, digest: digest, size: Int64(bytes.count), platform: platform)
    }
    let index = ImageIndex(manifests: manifests).json.encoded()
    let top = server.put("app", tag: "multi", manifest: index, type: MediaType.ociIndex)
    for (text, expected) in [("linux/amd64", 0), ("linux/arm/v7", 2), ("linux/arm/v6", 1), ("linux/arm", 2)] {
      try await fixture.pull("\(server.host)/app:multi", platform: Platform(text))
      let image = try fixture.images.resolve("\(server.host)/app:multi")
      #expect(image.id == samples[expected].1.id, "\(text)")
      #expect(image.repoDigests == ["\(server.host)/app@\(top)"])
    }
    let error = await #expect(throws: EngineError.self) {
      try await fixture.pull("\(server.host)/app:multi", platform: Platform("linux/s390x"))
    }
    #expect(error?.message == "no matching manifest for linux/s390x in the manifest list entries")
    #expect(error?.kind == .notFound)
  }

  @Test func whatIsCutGoesOnWhereItWasCut() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([3_000_000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let blob = Digest(hashing: sample.packed[0])
    server.state.withLock { state in
      state.intercept = { [unowned server] ask, _ in
        guard ask.path.hasSuffix("\(blob)"), (ask.rangeStart ?? 0) < 2_000_000 else { return nil }
        return server.blob(ask, blob.description, cutAfter: 1_000_000)
      }
    }
    let fixture = try Fixture()
    try await fixture.pull("\(server.host)/app:1")
    #expect(try fixture.images.resolve("\(server.host)/app:1").id == sample.id)
    let ranges = server.asks(.GET, containing: "\(blob)").map { $0.rangeStart ?? 0 }
    // What was sent before the cut may be lost with it; nothing is asked for twice.
    #expect(ranges.count > 1 && ranges.first == 0)
    #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0 < $1 }, "\(ranges)")
  }

  @Test func bytesThatLieMakeNoImage() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let sample = try Sample([50_000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let blob = Digest(hashing: sample.packed[0])
    server.state.withLock { state in state.blobs[blob]?[30_000] ^= 1 }
    let error = await #expect(throws: EngineError.self) { try await fixture.pull("\(server.host)/app:1") }
    #expect(error?.message == "filesystem layer verification failed for digest \(blob)")
    // One that lies about its size, too.
    server.state.withLock { state in state.blobs[blob]?.append(0) }
    let size = await #expect(throws: EngineError.self) { try await fixture.pull("\(server.host)/app:1") }
    #expect(size?.message.contains("its manifest says") == true)
    #expect(try fixture.leftovers().isEmpty)
    #expect(try fixture.images.list().isEmpty)
  }

  @Test func aManifestThatLiesIsRefused() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let sample = try Sample([100])
    let digest = server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    server.state.withLock { state in state.manifests["app/\(digest)"]?.bytes.append(0x20) }
    let error = await #expect(throws: EngineError.self) { try await fixture.pull("\(server.host)/app@\(digest)") }
    #expect(error?.message.hasPrefix("manifest verification failed for digest \(digest): ") == true)
  }

  @Test func manyRequestsAtOnceAreWaitedOut() async throws {
    let server = try await RegistryServer { _, number in
      number % 2 == 1 ? Reply(status: .tooManyRequests, headers: ["Retry-After": "0"]) : nil
    }
    let fixture = try Fixture()
    let sample = try Sample([1000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    try await fixture.pull("\(server.host)/app:1")
    #expect(try fixture.images.list().count == 1)
  }

  @Test func redirectsDontCarryCredentials() async throws {
    let storage = try await RegistryServer()
    let sample = try Sample([1000])
    let server = try await RegistryServer { ask, _ in
      guard ask.authorization == "Basic " + Base64.encode(Array("me:secret".utf8)) else {
        return Reply(status: .unauthorized, headers: ["WWW-Authenticate": "Basic realm=\"x\""])
      }
      guard ask.path.contains("/blobs/") else { return nil }
      return Reply(status: .temporaryRedirect, headers: ["Location": "http://\(storage.host)\(ask.path)"])
    }
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    for layer in sample.packed + [sample.config] { _ = storage.add(layer, "") }
    let fixture = try Fixture()
    try await fixture.pull(
      "\(server.host)/app:1", credentials: Credentials(username: "me", password: "secret"))
    #expect(storage.asks.count == 2)
    #expect(storage.asks.allSatisfy { $0.authorization == nil })
  }

  @Test func twoClientsShareTheWork() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([500_000, 500_000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let fixture = try Fixture()
    try await withThrowingTaskGroup(of: [String].self) { group in
      for _ in 0..<4 {
        group.addTask { [images = fixture.images] in
          let lines = Fixture.Lines()
          try await images.preparePull(try Reference("\(server.host)/app:1"), platform: nil, credentials: nil)
            .run { lines.add($0) }
          return lines.all
        }
      }
      for try await lines in group { #expect(lines.last?.hasPrefix("Status: ") == true) }
    }
    for layer in sample.packed {
      #expect(server.asks(.GET, containing: "\(Digest(hashing: layer))").count <= 2)
    }
    #expect(try fixture.images.list().count == 1)
  }

  @Test func whoGoesLeavesNothing() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([2_000_000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let blob = Digest(hashing: sample.packed[0])
    let (asked, feed) = AsyncStream.makeStream(of: Void.self)
    server.state.withLock { state in
      state.intercept = { [unowned server] ask, _ in
        guard ask.path.hasSuffix("\(blob)") else { return nil }
        feed.yield()
        // Never to its end: it is cut, and cut again.
        return server.blob(ask, blob.description, cutAfter: 1000)
      }
    }
    let fixture = try Fixture()
    let task = Task { [images = fixture.images] in
      try await images.preparePull(try Reference("\(server.host)/app:1"), platform: nil, credentials: nil).run { _ in }
    }
    for await _ in asked { break }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    // The transfer ends behind the pull that gave it up.
    for _ in 0..<200 where try !fixture.leftovers().isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    #expect(try fixture.leftovers().isEmpty)
  }

  @Test func allTags() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    for (index, tag) in ["a", "b"].enumerated() {
      let sample = try Sample([100], seed: UInt64(index))
      server.put("app", tag: tag, config: sample.config, layers: sample.packed)
    }
    let lines = try await fixture.pull("\(server.host)/app")
    #expect(lines.last == "Status: Downloaded newer image for \(server.host)/app")
    #expect(Set(try fixture.images.list().flatMap(\.repoTags)) == ["\(server.host)/app:a", "\(server.host)/app:b"])
  }

  @Test func whatIsntThereIsToldAsDockerd() async throws {
    let server = try await RegistryServer()
    let fixture = try Fixture()
    let error = await #expect(throws: EngineError.self) { try await fixture.pull("\(server.host)/app:none") }
    #expect(error?.kind == .notFound)
    #expect(error?.message == "manifest for \(server.host)/app:none not found: manifest unknown: manifest unknown")
    server.state.withLock {
      $0.intercept = { _, _ in
        RegistryServer.failure(.forbidden, "DENIED", "requested access to the resource is denied")
      }
    }
    let denied = await #expect(throws: EngineError.self) { try await fixture.pull("\(server.host)/app:none") }
    #expect(
      denied?.message
        == "pull access denied for \(server.host)/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
    )
  }

  typealias Reply = RegistryServer.Reply
}

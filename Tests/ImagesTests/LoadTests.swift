import Archive
import CLinux
import Errdefs
import Images
import Kernel
import OCI
import Snapshots
import Testing

@Suite struct LoadTests {
  static let base = Archives.layer([("bin/sh", "shell"), ("etc/passwd", "root")])
  static let top = Archives.layer([("app", "application")])

  @Test(arguments: [true, false])
  func aDockerArchive(manifestFirst: Bool) async throws {
    let fixture = try ImagesFixture()
    let image = Archives.image([Self.base, Self.top], tags: ["app:1", "registry.example/app:2"])
    let lines = try await fixture.load(Archives.docker([image], manifestFirst: manifestFirst))
    #expect(lines == ["Loaded image: app:1\n", "Loaded image: registry.example/app:2\n"])
    let found = try fixture.images.resolve("app:1")
    #expect(found.id == image.id)
    #expect(found.repoTags == ["app:1", "registry.example/app:2"])
    #expect(found.config.config.cmd == ["sh"])
    #expect(found.size == 5 + 4 + 11)
    #expect(found.layers.count == 2)
    #expect(try await fixture.images.configuration(found) == image.config)
    let snapshot = try fixture.snapshotter.prepare("c", layers: found.layers)
    #expect(try Sys.readFile(snapshot.lower[0] + "/app") == Array("application".utf8))
    #expect(try Sys.readFile(snapshot.lower[1] + "/bin/sh") == Array("shell".utf8))
    #expect(fixture.happened() == ["load \(image.id)"])
  }

  @Test func severalImagesAndOneWithoutName() async throws {
    let fixture = try ImagesFixture()
    let (one, two) = (
      Archives.image([Self.base], tags: ["one:latest"]), Archives.image([Self.base, Self.top], tags: nil)
    )
    let lines = try await fixture.load(Archives.docker([one, two]))
    #expect(lines == ["Loaded image: one:latest\n", "Loaded image ID: \(two.id)\n"])
    #expect(try fixture.images.list().count == 2)
    #expect(try fixture.images.resolve(two.id.short).id == two.id)
    let summary = try #require(try fixture.images.list(sharedSize: true).first { $0.image.id == two.id })
    #expect(summary.sharedSize == 9)
  }

  @Test func loadingAgainChangesNothing() async throws {
    let fixture = try ImagesFixture()
    let archive = Archives.docker([Archives.image([Self.base], tags: ["one:latest"])])
    try await fixture.load(archive)
    let before = try fixture.leftovers()
    #expect(try await fixture.load(archive) == ["Loaded image: one:latest\n"])
    #expect(try fixture.leftovers() == before)
    #expect(try fixture.images.list().count == 1)
  }

  @Test func aNameMovesToTheNewImage() async throws {
    let fixture = try ImagesFixture()
    let (old, new) = (
      Archives.image([Self.base], tags: ["app:latest"]), Archives.image([Self.top], tags: ["app:latest"])
    )
    try await fixture.load(Archives.docker([old]))
    let lines = try await fixture.load(Archives.docker([new]))
    #expect(
      lines == [
        "The image app:latest already exists, renaming the old one with ID \(old.id) to empty string\n",
        "Loaded image: app:latest\n",
      ])
    #expect(try fixture.images.resolve("app").id == new.id)
    #expect(try fixture.images.resolve(old.id.description).repoTags.isEmpty)
  }

  @Test func anOCILayout() async throws {
    let fixture = try ImagesFixture()
    let image = Archives.image([Self.base], tags: ["docker.io/library/app:1"])
    #expect(try await fixture.load(Archives.layout([image])) == ["Loaded image: app:1\n"])
    #expect(try fixture.images.resolve("app:1").id == image.id)
  }

  @Test func thePlatformIsChosen() async throws {
    let other = Platform.host.architecture == "s390x" ? "amd64" : "s390x"
    let (host, foreign) = (
      Archives.image([Self.base], tags: nil), Archives.image([Self.top], tags: nil, architecture: other)
    )
    let archive = Archives.layout([foreign, host], asIndex: true, name: "multi:1")
    let fixture = try ImagesFixture()
    try await fixture.load(archive)
    #expect(try fixture.images.resolve("multi:1").id == host.id)
    try await fixture.load(archive, platform: Platform(os: "linux", architecture: other))
    #expect(try fixture.images.resolve("multi:1").id == foreign.id)
    await expect("is for the platform") {
      try await fixture.load(archive, platform: Platform(os: "linux", architecture: "mips"))
    }
  }

  @Test func compressedInsideAndOutside() async throws {
    let fixture = try ImagesFixture()
    let compressed = Zstd.frame(Self.base)
    var image = Archives.image([compressed], tags: ["z:1"], diffIDs: [Digest(hashing: Self.base)])
    image.layers = [compressed]
    try await fixture.load(Zstd.frame(Archives.docker([image])))
    #expect(try fixture.images.resolve("z:1").layers == [Digest(hashing: Self.base)])
  }

  @Test func layersSharedByLinks() async throws {
    let fixture = try ImagesFixture()
    let image = Archives.image([Self.base], tags: ["l:1"])
    var bytes: [UInt8] = []
    let writer = TarWriter { bytes.append(contentsOf: $0) }
    func add(_ name: String, _ data: [UInt8] = [], link: String? = nil) throws {
      var entry = TarEntry()
      entry.name = Array(name.utf8)
      if let link {
        entry.kind = .symbolicLink
        entry.linkName = Array(link.utf8)
        try writer.add(entry)
      } else {
        try writer.add(entry, data: data)
      }
    }
    try add("a/layer.tar", Self.base)
    try add("b/layer.tar", link: "../a/layer.tar")
    try add("c.json", image.config)
    try add("manifest.json", Array(#"[{"Config":"c.json","RepoTags":["l:1"],"Layers":["b/layer.tar"]}]"#.utf8))
    try writer.finish()
    try await fixture.load(bytes)
    #expect(try fixture.images.resolve("l:1").id == image.id)
  }

  private func expect<T>(_ message: String, _ body: () async throws -> T) async {
    do {
      _ = try await body()
      Issue.record("not refused: \(message)")
    } catch { #expect("\(error)".contains(message)) }
  }

  @Test func whatIsRefusedLeavesNothing() async throws {
    let fixture = try ImagesFixture()
    let good = Archives.image([Self.base], tags: ["app:1"])
    let whole = Archives.docker([good])
    let hostileLayer = Archives.layer([("ok", "1"), ("../evil", "2")])
    let lying = Archives.image([Self.base], tags: ["app:1"], diffIDs: [Digest(hashing: Self.top)])
    let cases: [(String, [UInt8])] = [
      ("neither manifest.json nor index.json", Archives.tar([("x", [1])])),
      ("checksum", [UInt8](repeating: 65, count: 4096)),
      ("neither", []),
      ("cut short", Array(whole.prefix(1200))),
      ("its member \"../evil\"", Archives.docker([Archives.image([hostileLayer], tags: ["app:1"])])),
      ("invalid diffID for layer 0: expected", Archives.docker([lying])),
      (
        "layers length mismatch: expected 0, got 1",
        Archives.docker([Archives.Image(config: good.config, layers: [], tags: nil)])
      ),
      ("\"../x\": its path holds \"..\"", Archives.docker([good], more: [("../x", [1])])),
      ("absolute", Archives.docker([good], more: [("/x", [1])])),
      ("twice", Archives.docker([good], more: [("manifest.json", [1])])),
      ("its manifest says otherwise", Archives.layout([good], name: "app:1", lie: true)),
      (
        "it has the digest", Archives.docker([good], more: [("blobs/sha256/\(String(repeating: "a", count: 64))", [1])])
      ),
      ("missing", Archives.tar([("manifest.json", Array(#"[{"Config":"no.json","Layers":[]}]"#.utf8))])),
      ("a list is expected", Archives.tar([("manifest.json", Array("{}".utf8))])),
      ("invalid JSON", Archives.tar([("manifest.json", Array("[".utf8))])),
      ("invalid tag", Archives.docker([Archives.Image(config: good.config, layers: good.layers, tags: ["app"])])),
      (
        "not an image's configuration",
        Archives.docker([Archives.Image(config: Array("[]".utf8), layers: [], tags: nil)])
      ),
    ]
    for (message, archive) in cases {
      await expect(message) { try await fixture.load(archive) }
      #expect(try fixture.leftovers().isEmpty, "\(message)")
      #expect(try fixture.images.list().isEmpty, "\(message)")
    }
    #expect(!Sys.exists(fixture.path + "/evil"))
  }

  @Test func aFailedLoadTakesNothingFromOthers() async throws {
    let fixture = try ImagesFixture()
    let good = Archives.image([Self.base], tags: ["good:1"])
    try await fixture.load(Archives.docker([good]))
    let bad = Archives.image([Self.base, Archives.layer([("../x", "")])], tags: ["bad:1"])
    await expect("\"..\"") { try await fixture.load(Archives.docker([bad])) }
    #expect(fixture.snapshotter.layer(Digest(hashing: Self.base)) != nil)
    _ = try fixture.reopen()
    #expect(try fixture.images.resolve("good:1").missingLayers.isEmpty)
  }

  @Test func manyLoadsAndRemovalsAtOnce() async throws {
    let fixture = try ImagesFixture()
    let images = fixture.images
    let archives = (0..<6).map { index in
      Archives.docker([Archives.image([Self.base, Archives.layer([("n", "\(index)")])], tags: ["many:\(index)"])])
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (index, archive) in archives.enumerated() {
        group.addTask {
          for round in 0..<3 {
            try await images.load(SharedBytes(archive)) { _ in }
            if round < 2 { _ = try await images.remove("many:\(index)") }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(try images.list().count == 6)
    for image in try images.list() {
      for layer in image.image.layers { #expect(fixture.snapshotter.layer(layer) != nil) }
    }
    // Seven layers, seven blobs of them, six configurations, nothing else.
    #expect(try fixture.leftovers().count == 7 + 7 + 6)
    for index in 0..<6 { _ = try await images.remove("many:\(index)") }
    #expect(try fixture.leftovers().isEmpty)
  }

  @Test func recoveryAfterACrash() async throws {
    let fixture = try ImagesFixture()
    let image = Archives.image([Self.base, Self.top], tags: ["app:1"])
    let archive = Archives.docker([image])
    try await fixture.load(archive)
    let before = try fixture.leftovers()
    // What a kill at any moment of another load leaves: unpacked trees and blobs that no row names.
    try Sys.mkdirAll(fixture.path + "/layers/.new-9/fs/x")
    try Sys.mkdirAll(fixture.path + "/layers/\(Digest(hashing: [9]).hex)/fs")
    for name in ["ingest/4", "sha256/\(Digest(hashing: [7]).hex)"] {
      try Sys.replaceFile("\(fixture.path)/content/\(name)", with: [1], durable: false)
    }
    #expect(try fixture.reopen() == SnapshotRecovery())
    #expect(try fixture.leftovers() == before)
    #expect(try fixture.images.resolve("app:1").id == image.id)
    // A layer that the disk lost makes the image damaged, not gone; loading it mends it.
    try Sys.removeTree("\(fixture.path)/layers/\(image.layers.map { Digest(hashing: $0) }[1].hex)")
    let recovery = try fixture.reopen()
    #expect(recovery.missingLayers.count == 1)
    #expect(try fixture.images.resolve("app:1").missingLayers == recovery.missingLayers)
    try await fixture.load(archive)
    #expect(try fixture.images.resolve("app:1").missingLayers.isEmpty)
    #expect(try fixture.leftovers() == before)
  }

  @Test func savedAndLoadedAgain() async throws {
    let fixture = try ImagesFixture()
    let (one, two) = (
      Archives.image([Self.base], tags: ["one:1", "one:2"]), Archives.image([Self.base, Self.top], tags: ["two:1"])
    )
    try await fixture.load(Archives.docker([one, two]))
    let first = try await save(fixture, ["one", "two:1"])
    #expect(try await save(fixture, ["one", "two:1"]) == first)
    let byID = try await save(fixture, [one.id.short])
    let other = try ImagesFixture()
    #expect(try await other.load(byID) == ["Loaded image ID: \(one.id)\n"])
    #expect(
      try await other.load(first) == ["Loaded image: one:1\n", "Loaded image: one:2\n", "Loaded image: two:1\n"])
    #expect(try other.images.resolve("two:1").layers == fixture.images.resolve("two:1").layers)
    await expect("No such image: three:latest") { try await save(fixture, ["three"]) }
  }

  private func save(_ fixture: ImagesFixture, _ names: [String]) async throws -> [UInt8] {
    let output = Output()
    try await fixture.images.save(names) { bytes in output.append(Array(bytes)) }
    return output.bytes
  }

  @Test func importedFromARoot() async throws {
    let fixture = try ImagesFixture()
    let id = try await fixture.images.importRoot(
      SharedBytes(Zstd.frame(Self.base)), repository: "root", tag: "", message: "Imported from -",
      changes: [
        "CMD [\"sh\",\"-c\"]", "ENV A=b C=\"d e\"", "expose 80 53/udp", "LABEL x=y", "WORKDIR /srv", "USER 1",
        "VOLUME /v",
        "ENTRYPOINT top -b",
      ], platform: nil
    ) { _ in }
    let image = try fixture.images.resolve("root")
    #expect(image.id == id)
    #expect(image.layers == [Digest(hashing: Self.base)])
    let config = image.config.config
    #expect(config.cmd == ["sh", "-c"])
    #expect(config.env == ["A=b", "C=d e"])
    #expect(config.exposedPorts == ["53/udp", "80/tcp"])
    #expect(config.labels == ["x": "y"])
    #expect(config.entrypoint == ["/bin/sh", "-c", "top -b"])
    #expect((config.workingDir, config.user) == ("/srv", "1"))
    #expect(config.volumes == ["/v"])
    #expect(image.config.architecture == Platform.host.architecture)
    #expect(try fixture.images.history("root").map(\.comment) == ["Imported from -"])
    await expect("RUN is not a valid change command") {
      try await fixture.images.importRoot(
        SharedBytes([]), repository: "", tag: "", message: "", changes: ["RUN x"], platform: nil
      ) { _ in }
    }
  }
}

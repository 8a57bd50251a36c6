import Archive
import Errdefs
import Images
import OCI
import Snapshots
import Synchronization
import Testing

@Suite struct RemoveTests {
  let fixture: ImagesFixture
  let image = Archives.image([LoadTests.base, LoadTests.top], tags: ["app:1", "app:2"], labels: ["l": "v"])

  init() async throws {
    fixture = try ImagesFixture()
    try await fixture.load(Archives.docker([image]))
  }

  private func use(running: Bool) {
    fixture.uses.list.withLock {
      $0 = [
        ImageUse(
          containerID: String(repeating: "c", count: 64), image: image.id, reference: "app:1", isRunning: running)
      ]
    }
  }

  private func expect(_ message: String, _ name: String, force: Bool = false, kind: EngineError.Kind = .conflict) async
  {
    do {
      _ = try await fixture.images.remove(name, force: force)
      Issue.record("not refused: \(message)")
    } catch {
      #expect((error as? EngineError)?.kind == kind)
      #expect("\(error)" == message)
    }
  }

  @Test func oneNameGoesThenTheImage() async throws {
    #expect(try await fixture.images.remove("app:1") == [.untagged("app:1")])
    #expect(try fixture.images.list().count == 1)
    let base = Digest(hashing: LoadTests.base)
    let chain = Digest(hashing: "\(base) \(Digest(hashing: LoadTests.top))".utf8)
    #expect(
      try await fixture.images.remove("app:2") == [
        .untagged("app:2"), .deleted(image.id.description), .deleted(chain.description), .deleted(base.description),
      ])
    #expect(try fixture.images.list().isEmpty)
    #expect(try fixture.leftovers().isEmpty)
    #expect(fixture.happened().suffix(3) == ["untag \(image.id)", "untag \(image.id)", "delete \(image.id)"])
    _ = try fixture.reopen()
    #expect(try fixture.images.list().isEmpty)
  }

  @Test func byIdWithSeveralNames() async throws {
    let short = image.id.short
    await expect(
      "conflict: unable to delete \(short) (must be forced) - image is referenced in multiple repositories", short)
    let done = try await fixture.images.remove(short, force: true)
    #expect(done.prefix(3) == [.untagged("app:1"), .untagged("app:2"), .deleted(image.id.description)])
    #expect(try fixture.leftovers().isEmpty)
  }

  @Test func inUse() async throws {
    use(running: false)
    #expect(try await fixture.images.remove("app:1") == [.untagged("app:1")])
    await expect(
      "conflict: unable to remove repository reference \"app:2\" (must force) - container cccccccccccc is using its referenced image \(image.id.short)",
      "app:2")
    await expect(
      "conflict: unable to delete \(image.id.short) (must be forced) - image is being used by stopped container cccccccccccc",
      image.id.hex)
    use(running: true)
    await expect(
      "conflict: unable to delete \(image.id.short) (cannot be forced) - image is being used by running container cccccccccccc",
      image.id.description, force: true)
    // The name goes by force, the image stays.
    #expect(try await fixture.images.remove("app:2", force: true) == [.untagged("app:2")])
    #expect(try fixture.images.resolve(image.id.short).repoTags.isEmpty)
    use(running: false)
    #expect(try await fixture.images.remove(image.id.short, force: true) == [.deleted(image.id.description)])
  }

  @Test func layersThatOthersHaveStay() async throws {
    let other = Archives.image([LoadTests.base], tags: ["other:1"])
    try await fixture.load(Archives.docker([other]))
    _ = try await fixture.images.remove("app:1")
    let done = try await fixture.images.remove("app:2")
    #expect(done.count == 3)
    #expect(fixture.snapshotter.layer(Digest(hashing: LoadTests.base)) != nil)
    #expect(fixture.snapshotter.layer(Digest(hashing: LoadTests.top)) == nil)
  }

  @Test func whatIsMissingIsTold() async throws {
    await expect("No such image: nothing:latest", "nothing", kind: .notFound)
    await expect("No such image: registry.example/x:1", "registry.example/x:1", kind: .notFound)
    await expect(
      "No such image: sha256:\(String(repeating: "0", count: 64))", String(repeating: "0", count: 64), kind: .notFound)
    await expect("invalid reference format", "a b", kind: .invalidParameter)
  }

  @Test func tagging() async throws {
    try await fixture.images.tag("app:1", repository: "localhost:5000/new", tag: "")
    try await fixture.images.tag(image.id.short, repository: "new:3", tag: "")
    let found = try fixture.images.resolve("localhost:5000/new")
    #expect(found.repoTags == ["app:1", "app:2", "new:3", "localhost:5000/new:latest"])
    #expect(found.lastTagged != nil)
    for (repository, tag, message) in [
      ("UPPER", "", "invalid reference format: repository name (library/UPPER) must be lowercase"),
      ("x", "a b", "invalid tag format"),
      ("x@sha256:\(image.id.hex)", "", "cannot import digest reference"),
      ("sha256", "", "refusing to create an ambiguous tag using digest algorithm as name"),
    ] {
      do {
        try await fixture.images.tag("app:1", repository: repository, tag: tag)
        Issue.record("not refused: \(message)")
      } catch { #expect("\(error)" == message) }
    }
    _ = try fixture.reopen()
    #expect(try fixture.images.resolve("new:3").references.count == 4)
    #expect(fixture.happened().contains("tag new:3"))
  }

  @Test func pruning() async throws {
    _ = try await fixture.images.remove("app:2")
    let dangling = Archives.image([Archives.layer([("big", "0123456789")])], tags: nil, created: "2020-01-01T00:00:00Z")
    try await fixture.load(Archives.docker([dangling]))
    #expect(try await fixture.images.prune(filters: ["until": ["2019-01-01"]]).deletions.isEmpty)
    #expect(try await fixture.images.prune(filters: ["label": ["nope"]]).deletions.isEmpty)
    let (deletions, reclaimed) = try await fixture.images.prune()
    #expect(deletions.first == .deleted(dangling.id.description))
    #expect(reclaimed == 10)
    use(running: false)
    #expect(try await fixture.images.prune(filters: ["dangling": ["false"]]).deletions.isEmpty)
    fixture.uses.list.withLock { $0 = [] }
    #expect(try await fixture.images.prune(filters: ["dangling": ["false"], "label!": ["l=v"]]).deletions.isEmpty)
    #expect(try await !fixture.images.prune(filters: ["dangling": ["false"], "label": ["l=v"]]).deletions.isEmpty)
    #expect(try fixture.leftovers().isEmpty)
  }
}

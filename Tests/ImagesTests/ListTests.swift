import Errdefs
import Images
import OCI
import Synchronization
import Testing

@Suite struct ListTests {
  let fixture: ImagesFixture
  let old = Archives.image(
    [LoadTests.base], tags: ["old:1", "library2/old:1"], created: "2020-01-01T00:00:00Z", labels: ["a": "1"])
  let new = Archives.image(
    [LoadTests.base], tags: ["new:1"], created: "2024-01-01T00:00:00Z", labels: ["a": "2", "b": ""])
  let bare = Archives.image([LoadTests.top], tags: nil, created: "2022-01-01T00:00:00Z")

  init() async throws {
    fixture = try ImagesFixture()
    try await fixture.load(Archives.docker([old, new, bare]))
  }

  private func ids(_ filters: [String: [String]]) throws -> [Digest] {
    try fixture.images.list(filters: filters).map(\.image.id)
  }

  @Test func newestFirst() throws { #expect(try ids([:]) == [new.id, bare.id, old.id]) }

  @Test func filters() throws {
    #expect(try ids(["dangling": ["true"]]) == [bare.id])
    #expect(try ids(["dangling": ["0"]]) == [new.id, old.id])
    #expect(try ids(["label": ["a"]]) == [new.id, old.id])
    #expect(try ids(["label": ["a=1"]]) == [old.id])
    #expect(try ids(["label": ["a", "b"]]) == [new.id])
    #expect(try ids(["before": ["new:1"]]) == [bare.id, old.id])
    #expect(try ids(["since": [old.id.short]]) == [new.id, bare.id])
    #expect(try ids(["until": ["2023-01-01T00:00:00Z"]]) == [bare.id, old.id])
    #expect(try ids(["until": ["1577836800"]]) == [])
    #expect(try ids(["until": ["10m"]]).count == 3)
    #expect(try ids(["reference": ["old"]]) == [old.id])
    #expect(try ids(["reference": ["*:1"]]) == [new.id, old.id])
    #expect(try ids(["reference": ["n?w", "x"]]) == [new.id])
    #expect(try ids(["reference": ["nothing"]]) == [])
    #expect(try fixture.images.list(filters: ["reference": ["*/*"]]).map(\.repoTags) == [["library2/old:1"]])
  }

  @Test(arguments: [
    (["colour": ["red"]], "invalid filter 'colour'"), (["dangling": ["maybe"]], "invalid filter 'dangling=[maybe]'"),
    (["before": ["none"]], "No such image: none:latest"),
  ])
  func refusesFilters(filters: [String: [String]], message: String) {
    do {
      _ = try fixture.images.list(filters: filters)
      Issue.record("not refused: \(message)")
    } catch { #expect("\(error)" == message) }
  }

  @Test func countsContainers() throws {
    fixture.uses.list.withLock {
      $0 = [ImageUse(containerID: "c", image: old.id, reference: "old:1", isRunning: false)]
    }
    #expect(try fixture.images.list(containerCounts: true).map(\.containers) == [0, 0, 1])
    #expect(try fixture.images.list().map(\.containers) == [-1, -1, -1])
  }

  @Test func history() throws {
    let items = try fixture.images.history("old:1")
    #expect(items.map(\.createdBy) == ["CMD sh", "ADD layer"])
    #expect(items.map(\.id) == [old.id.description, "<missing>"])
    #expect(items.map(\.size) == [0, 9])
    #expect(items[0].tags == ["old:1", "library2/old:1"])
  }

  @Test func idsAreFoundByTheirBeginning() throws {
    #expect(try fixture.images.resolve(old.id.description).id == old.id)
    #expect(try fixture.images.resolve(String(old.id.hex.prefix(7))).id == old.id)
    #expect(try fixture.images.resolve("sha256:" + old.id.hex.prefix(9)).id == old.id)
    #expect(throws: EngineError.self) { try fixture.images.resolve("sha256:") }
  }
}

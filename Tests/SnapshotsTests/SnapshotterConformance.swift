import Archive
import CLinux
import Errdefs
import Kernel
import OCI
import Snapshots
import Testing

/// The guarantees of `Snapshotter`, one by one, of every implementation.
@Suite struct SnapshotterConformance {
  @Test(arguments: SnapshotterKind.allCases)
  func aLayerIsAbsentThenCommitted(kind: SnapshotterKind) throws {
    let fixture = try SnapshotterFixture(kind)
    let tar = try SnapshotterFixture.tar([("etc/", ""), ("etc/hosts", "localhost")])
    #expect(fixture.snapshotter.layer(tar.diffID) == nil)
    try fixture.add(tar)
    #expect(fixture.snapshotter.layer(tar.diffID) == Layer(diffID: tar.diffID, size: 9))
    let again = try fixture.snapshotter.addLayer(tar.diffID, tar: Forbidden(), limits: ArchiveLimits())
    #expect(again.size == 9)
  }

  @Test(arguments: SnapshotterKind.allCases)
  func aRefusedLayerLeavesNothing(kind: SnapshotterKind) throws {
    let fixture = try SnapshotterFixture(kind)
    let before = try fixture.files()
    let tar = try SnapshotterFixture.tar([("a", "1")])
    let other = try SnapshotterFixture.tar([("b", "1")])
    #expect(throws: LayerMismatch(expected: other.diffID, actual: tar.diffID)) {
      try fixture.snapshotter.addLayer(other.diffID, tar: MemorySource(tar.bytes), limits: ArchiveLimits())
    }
    let hostile = try SnapshotterFixture.tar([("ok", "1"), ("../evil", "1")])
    #expect(throws: ArchiveError.self) { try fixture.add(hostile) }
    let short = SnapshotterFixture.Tar(bytes: Array(tar.bytes.prefix(700)))
    #expect(throws: ArchiveError.self) { try fixture.add(short) }
    // Bytes behind the archive's end are part of what is hashed.
    #expect(throws: LayerMismatch.self) {
      try fixture.snapshotter.addLayer(tar.diffID, tar: MemorySource(tar.bytes + [0]), limits: ArchiveLimits())
    }
    for digest in [tar.diffID, other.diffID, hostile.diffID, short.diffID] {
      #expect(fixture.snapshotter.layer(digest) == nil)
    }
    #expect(try fixture.files() == before)
  }

  @Test(arguments: SnapshotterKind.allCases)
  func manyAtOnceMakeOne(kind: SnapshotterKind) async throws {
    let fixture = try SnapshotterFixture(kind)
    let tar = try SnapshotterFixture.tar((0..<50).map { ("file\($0)", "text") })
    let snapshotter = fixture.snapshotter
    try await withThrowingTaskGroup(of: Int64.self) { group in
      for _ in 0..<4 {
        group.addTask {
          try snapshotter.addLayer(tar.diffID, tar: MemorySource(tar.bytes), limits: ArchiveLimits()).size
        }
      }
      for try await size in group { #expect(size == 200) }
    }
    let roots = Set(try fixture.files().filter { $0.hasPrefix("layers/") }.map { $0.split(separator: "/")[1] })
    #expect(roots == [Substring(tar.diffID.hex)])
  }

  @Test(arguments: SnapshotterKind.allCases)
  func aSnapshotIsPreparedOnceAndRemoved(kind: SnapshotterKind) throws {
    let fixture = try SnapshotterFixture(kind)
    let layer = try fixture.add(SnapshotterFixture.tar([("a", "1")]))
    let top = try fixture.add(SnapshotterFixture.tar([("b", "1")]))
    let snapshot = try fixture.snapshotter.prepare("one", layers: [layer, top])
    #expect(try fixture.snapshotter.snapshot("one") == snapshot)
    #expect(snapshot.lower.count == (kind == .erofs ? 1 : 2), "an image of indexes is one mount")
    #expect(Sys.exists(snapshot.upper) && Sys.exists(snapshot.work))
    expect(.conflict) { try fixture.snapshotter.prepare("one", layers: []) }
    expect(.notFound) { try fixture.snapshotter.prepare("two", layers: [Digest(hashing: [1])]) }
    for name in ["", ".", "..", "a/b", ".pool", "a\0b", "ä"] {
      expect(.invalidParameter) { try fixture.snapshotter.prepare(name, layers: []) }
    }
    try fixture.snapshotter.remove("one")
    #expect(!Sys.exists(snapshot.upper))
    #expect(try fixture.snapshotter.snapshot("one") == nil)
    try fixture.snapshotter.remove("one")
    #expect(try fixture.snapshotter.prepare("one", layers: []).lower.isEmpty)
  }

  private func expect<T>(_ kind: EngineError.Kind, _ body: () throws -> T) {
    do {
      _ = try body()
      Issue.record("\(kind) was expected")
    } catch { #expect((error as? EngineError)?.kind == kind) }
  }

  @Test(arguments: SnapshotterKind.allCases)
  func aMountShowsTheLayersUponOneAnother(kind: SnapshotterKind) throws {
    let fixture = try SnapshotterFixture(kind)
    let base = try fixture.add(
      SnapshotterFixture.tar([("gone", "1"), ("kept", "1"), ("changed", "1"), ("d/", ""), ("d/old", "1")]))
    let top = try fixture.add(
      SnapshotterFixture.tar([(".wh.gone", ""), ("changed", "2"), ("d/", ""), ("d/.wh..wh..opq", ""), ("d/new", "2")]))
    let snapshot = try fixture.snapshotter.prepare("mounted", layers: [base, top])
    let target = fixture.path + "/target"
    try Sys.mkdir(target)
    let options =
      "lowerdir=\(snapshot.lower.joined(separator: ":")),upperdir=\(snapshot.upper),workdir=\(snapshot.work)"
    #expect(mount("overlay", target, "overlay", 0, options) == 0, "\(Errno.current)")
    defer { _ = umount2(target, Int32(bitPattern: UInt32(2))) }  // MNT_DETACH
    #expect(!Sys.exists(target + "/gone"))
    #expect(try Sys.readFile(target + "/kept") == Array("1".utf8))
    #expect(try Sys.readFile(target + "/changed") == Array("2".utf8))
    #expect(!Sys.exists(target + "/d/old"))
    #expect(Sys.exists(target + "/d/new"))
    try Sys.replaceFile(target + "/written", with: Array("12345".utf8), durable: false)
    try Sys.unlink(target + "/kept")
    #expect(try fixture.snapshotter.usage("mounted") == 5)
    let other = try fixture.snapshotter.prepare("other", layers: [base, top])
    #expect(!Sys.exists(other.upper + "/written"))
  }

  @Test(arguments: SnapshotterKind.allCases)
  func theRootIsAsTheTopmostLayerThatTellsIt(kind: SnapshotterKind) throws {
    let fixture = try SnapshotterFixture(kind)
    let base = try fixture.add(SnapshotterFixture.tar([("a", "1")], root: 0o700))
    let top = try fixture.add(SnapshotterFixture.tar([("b", "1")]))
    for attempt in ["now", "after a restart"] {
      let snapshot = try fixture.snapshotter.prepare("root", layers: [base, top])
      let status = try Sys.status(snapshot.upper)
      #expect(status.st_mode & 0o7777 == 0o700, "\(attempt)")
      #expect(status.st_uid == 12, "\(attempt)")
      try fixture.snapshotter.remove("root")
      _ = try fixture.reopen(layers: [base, top], snapshots: [:])
    }
    #expect(try Sys.status(fixture.snapshotter.prepare("usual", layers: [top]).upper).st_mode & 0o7777 == 0o755)
  }

  @Test(arguments: SnapshotterKind.allCases)
  func aLayerStaysWhileASnapshotUsesIt(kind: SnapshotterKind) throws {
    let fixture = try SnapshotterFixture(kind)
    let tar = try SnapshotterFixture.tar([("a", "1")])
    let layer = try fixture.add(tar)
    let snapshot = try fixture.snapshotter.prepare("user", layers: [layer])
    fixture.snapshotter.removeLayer(layer)
    #expect(fixture.snapshotter.layer(layer) == nil)
    #expect(Sys.exists(snapshot.lower[0] + "/a"))
    // Wanted once more, it is there at once.
    _ = try fixture.snapshotter.addLayer(layer, tar: Forbidden(), limits: ArchiveLimits())
    #expect(fixture.snapshotter.layer(layer) != nil)
    fixture.snapshotter.removeLayer(layer)
    // A restart changes nothing of that.
    #expect(try fixture.reopen(layers: [], snapshots: ["user": [layer]]) == SnapshotRecovery())
    #expect(try fixture.snapshotter.snapshot("user") == snapshot)
    #expect(Sys.exists(snapshot.lower[0] + "/a"))
    try fixture.snapshotter.remove("user")
    fixture.kind.settle(fixture.snapshotter)
    #expect(!Sys.exists(snapshot.lower[0]))
    #expect(try fixture.files().isEmpty)
    fixture.snapshotter.removeLayer(layer)
    try fixture.add(tar)
    #expect(fixture.snapshotter.layer(layer) != nil)
  }

  @Test(arguments: SnapshotterKind.allCases)
  func recoveryKeepsWhatIsKnownAndNothingElse(kind: SnapshotterKind) throws {
    let fixture = try SnapshotterFixture(kind)
    let known = try fixture.add(SnapshotterFixture.tar([("known", "1")]))
    let stray = try fixture.add(SnapshotterFixture.tar([("stray", "1")]))
    let lost = Digest(hashing: [1])
    let snapshot = try fixture.snapshotter.prepare("known", layers: [known])
    try Sys.replaceFile(snapshot.upper + "/data", with: [1], durable: false)
    _ = try fixture.snapshotter.prepare("stray", layers: [])
    let recovery = try fixture.reopen(layers: [known, lost], snapshots: ["known": [known], "lost": []])
    #expect(recovery.missingLayers == [lost])
    #expect(recovery.missingSnapshots == ["lost"])
    #expect(fixture.snapshotter.layer(known)?.size == 1)
    #expect(fixture.snapshotter.layer(stray) == nil)
    #expect(try fixture.snapshotter.snapshot("known") == snapshot)
    #expect(Sys.exists(snapshot.upper + "/data"))
    #expect(try fixture.snapshotter.snapshot("stray") == nil)
    #expect(try fixture.files().filter { $0.contains("stray") }.isEmpty)
    #expect(throws: EngineError.self) { try fixture.snapshotter.prepare("known", layers: []) }
  }
}

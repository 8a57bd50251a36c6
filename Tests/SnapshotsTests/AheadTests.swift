import Archive
import CLinux
import Kernel
import OCI
import Snapshots
import Testing

/// Overlays that are mounted before anybody asks.
@Suite struct AheadTests {
  private static let points = ["/proc/", "/etc/hosts"]

  private struct Setting {
    let fixture: SnapshotterFixture
    let snapshotter: OverlaySnapshotter
    let layer: Digest
  }

  /// A snapshotter that has made overlays of a layer with `etc` (a link that leads out of the tree) and a file.
  private func setting(volatile: Bool = true) throws -> Setting {
    let fixture = try SnapshotterFixture(.overlay)
    let snapshotter = try OverlaySnapshotter(
      dataRoot: fixture.path, mounts: fixture.path + "/mounts", mountPoints: Self.points)
    _ = try snapshotter.recover(layers: [], snapshots: [:])
    let tar = try SnapshotterFixture.tar([("file", "text"), ("etc/", "")], root: 0o750)
    _ = try snapshotter.addLayer(tar.diffID, tar: MemorySource(tar.bytes), limits: ArchiveLimits())
    _ = try snapshotter.prepareToStart("first", layers: [tar.diffID], volatile: volatile)
    #expect(snapshotter.takeMount("first") == nil, "nothing was asked for before")
    try expect(4, in: fixture)
    // The last one has a directory before it is in the pool.
    snapshotter.settle()
    return Setting(fixture: fixture, snapshotter: snapshotter, layer: tar.diffID)
  }

  private func ahead(_ fixture: SnapshotterFixture) throws -> [String] {
    let pool = try Sys.open("\(fixture.path)/snapshots/.pool", O_RDONLY | O_DIRECTORY)
    return try Sys.entries(pool.raw).map(\.name).filter { $0.hasPrefix("ahead-") }
  }

  /// Until the pool holds so many, each mounted.
  private func expect(_ count: Int, in fixture: SnapshotterFixture) throws {
    let deadline = Sys.monotonicNanoseconds() + 10_000_000_000
    while Sys.monotonicNanoseconds() < deadline {
      let whole = try ahead(fixture).filter { Sys.exists("\(fixture.path)/snapshots/.pool/\($0)/work/work") }
      if whole.count == count { return }
      sched_yield()
    }
    Issue.record("\(try ahead(fixture)) instead of \(count) overlays")
  }

  @Test(arguments: [true, false])
  func theNextSnapshotIsMountedAlready(volatile: Bool) throws {
    let setting = try setting(volatile: volatile)
    let snapshot = try setting.snapshotter.prepareToStart("second", layers: [setting.layer], volatile: volatile)
    let mount = try #require(setting.snapshotter.takeMount("second"))
    #expect(setting.snapshotter.takeMount("second") == nil, "it is given once")
    #expect(try Sys.readFile("file", at: mount.raw) == Array("text".utf8))
    #expect(try Sys.fstat(mount.raw).st_mode & 0o7777 == 0o750)
    #expect(Sys.exists("proc", at: mount.raw) && Sys.exists("etc/hosts", at: mount.raw))
    let upper = try Sys.open(snapshot.upper, O_RDONLY | O_DIRECTORY)
    #expect(try Sys.entries(upper.raw).isEmpty, "mount points are no change of the snapshot's")
    // What is written through the mount is the snapshot's, by its new name.
    let file = try Sys.open("new", O_WRONLY | O_CREAT, mode: 0o600, at: mount.raw)
    try Sys.writeAll(file.raw, "x")
    #expect(try Sys.readFile(snapshot.upper + "/new") == Array("x".utf8))
    let mounts = String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self)
    #expect(!mounts.contains(setting.fixture.path), "nobody sees it")
  }

  @Test func whoeverAsksForTheDirectoriesEndsTheMount() throws {
    let setting = try setting()
    _ = try setting.snapshotter.prepareToStart("second", layers: [setting.layer], volatile: true)
    #expect(try setting.snapshotter.snapshot("second") != nil)
    #expect(setting.snapshotter.takeMount("second") == nil)
  }

  @Test func otherLayersOrDurabilityGetNone() throws {
    let setting = try setting()
    _ = try setting.snapshotter.prepareToStart("second", layers: [setting.layer], volatile: false)
    #expect(setting.snapshotter.takeMount("second") == nil)
    _ = try setting.snapshotter.prepareToStart("third", layers: [], volatile: true)
    #expect(setting.snapshotter.takeMount("third") == nil)
  }

  @Test func aLayerThatGoesTakesThemAlong() throws {
    let setting = try setting()
    try setting.snapshotter.remove("first")
    setting.snapshotter.removeLayer(setting.layer)
    #expect(try ahead(setting.fixture).isEmpty)
    setting.snapshotter.settle()
    #expect(!Sys.exists("\(setting.fixture.path)/layers/\(setting.layer.hex)"))
  }

  @Test func whatADeadDaemonMadeIsSwept() throws {
    let setting = try setting()
    _ = try setting.fixture.reopen(layers: [setting.layer], snapshots: [:])
    #expect(try ahead(setting.fixture).isEmpty)
  }
}

import Archive
import CLinux
import Kernel
import OCI
import Snapshots
import Testing

/// What is this implementation's own: its files.
@Suite struct OverlaySnapshotterTests {
  @Test func aLayerHalfUnpackedIsSwept() throws {
    let fixture = try SnapshotterFixture(.overlay)
    try Sys.mkdirAll(fixture.path + "/layers/.new-1/fs/deep/tree")
    try Sys.mkdirAll(fixture.path + "/layers/\(Digest(hashing: [1]).hex)/fs")
    try Sys.mkdirAll(fixture.path + "/trash/1-1/x/y")
    let damaged = Digest(hashing: [2])
    try Sys.mkdirAll(fixture.path + "/layers/\(damaged.hex)/fs")
    let recovery = try fixture.reopen(layers: [damaged], snapshots: [:])
    #expect(recovery.missingLayers == [damaged])
    for name in ["layers", "trash"] {
      let directory = try Sys.open("\(fixture.path)/\(name)", O_RDONLY | O_DIRECTORY)
      #expect(try Sys.entries(directory.raw).isEmpty, "\(name)")
    }
  }

  @Test func aTreeDeeperThanDescriptorsIsDeleted() throws {
    let fixture = try SnapshotterFixture(.overlay)
    let snapshot = try fixture.snapshotter.prepare("deep", layers: [])
    var directory = SharedDescriptor(try Sys.open(snapshot.upper, O_RDONLY | O_DIRECTORY))
    let name: [CChar] = [CChar(bitPattern: 0xFF), 0x61, 0]
    for _ in 0..<1500 {
      try Sys.mkdir(at: directory.raw, name: name, mode: 0o700)
      directory = SharedDescriptor(try Sys.open(at: directory.raw, name: name, O_RDONLY | O_DIRECTORY))
    }
    // A name that the removal would choose itself.
    try Sys.mkdirAll(snapshot.upper + "/.berth-removed-1/x")
    try fixture.snapshotter.remove("deep")
    #expect(try fixture.files().isEmpty)
    let trash = try Sys.open("\(fixture.path)/trash", O_RDONLY | O_DIRECTORY)
    #expect(try Sys.entries(trash.raw).isEmpty)
  }

  @Test func snapshotsComeFromThePool() throws {
    let fixture = try SnapshotterFixture(.overlay)
    fixture.kind.settle(fixture.snapshotter)
    let poolDirectory = try Sys.open("\(fixture.path)/snapshots/.pool", O_RDONLY | O_DIRECTORY)
    let pool = try Sys.entries(poolDirectory.raw).map(\.name)
    #expect(pool.count >= 20)
    var inodes: Set<UInt64> = []
    for name in pool {
      inodes.insert(UInt64(try Sys.status("\(fixture.path)/snapshots/.pool/\(name)/upper").st_ino))
    }
    let snapshot = try fixture.snapshotter.prepare("pooled", layers: [])
    #expect(inodes.contains(UInt64(try Sys.status(snapshot.upper).st_ino)))
    // More than the pool holds, all different.
    var uppers: Set<String> = []
    for index in 0..<100 { uppers.insert(try fixture.snapshotter.prepare("n\(index)", layers: []).upper) }
    #expect(uppers.count == 100)
    #expect(uppers.allSatisfy { Sys.exists($0) })
  }
}

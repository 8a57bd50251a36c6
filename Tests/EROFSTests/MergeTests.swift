import Archive
import CLinux
import EROFS
import Kernel
import OCI
import Testing

/// One index of several layers shows what an overlay of the layers' own mounts shows.
@Suite struct MergeTests {
  private func layers(_ scratch: Scratch, _ tars: [[UInt8]]) throws -> [MountedTar] {
    try tars.enumerated().map { try MountedTar(MemorySource($0.element), in: scratch, name: "layer\($0.offset)") }
  }

  private func merged(_ layers: [MountedTar], _ scratch: Scratch) throws -> SharedDescriptor {
    let tree = try LayerTree.merging(
      layers.map { try Sys.readFile($0.index) }, devices: layers.map(\.devices.count))
    let path = scratch.path + "/merged.index"
    try Sys.replaceFile(
      path, with: try tree.index(devices: layers.flatMap(\.layer.devices), record: []), durable: false)
    return SharedDescriptor(try EROFS.mount(index: path, devices: layers.flatMap(\.devices)))
  }

  /// An overlay of the layers' mounts, read-only.
  private func overlay(_ layers: [MountedTar], _ scratch: Scratch) throws -> SharedDescriptor {
    let empty = scratch.path + "/empty"
    try Sys.mkdirAll(empty)
    let context = try Sys.fsopen("overlay")
    for layer in layers.reversed() {
      try Sys.fsconfig(context.raw, "lowerdir+", "/proc/self/fd/\(layer.mount.raw)")
    }
    try Sys.fsconfig(context.raw, "lowerdir+", empty)
    try Sys.fsconfigCreate(context.raw)
    return SharedDescriptor(try Sys.fsmount(context.raw))
  }

  private func compare(_ tars: [[UInt8]], _ scratch: Scratch) throws -> TreeListing {
    let layers = try layers(scratch, tars)
    let merged = try merged(layers, scratch)
    let overlay = try overlay(layers, scratch)
    let root = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: merged.raw)
    let expectedRoot = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: overlay.raw)
    let listing = try TreeListing(root.raw, linksOfDirectories: false)
    let differences = try listing.differences(from: TreeListing(expectedRoot.raw, linksOfDirectories: false))
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
    return listing
  }

  @Test func whiteoutsOpaqueDirectoriesAndReplacements() throws {
    var base = Tar()
    for name in ["a/", "a/deep/", "a/deep/er/", "b/", "dir/", "opaque/", "opaque/kept/"] {
      try base.add(.directory, name, mode: 0o755) { $0.uid = 7 }
    }
    for name in ["a/one", "a/deep/two", "a/deep/er/three", "b/gone", "file", "opaque/old", "opaque/kept/old", "dir/x"] {
      try base.add(.file, name, data: Array(name.utf8))
    }
    try base.add(.hardLink, "a/linked", linkName: "a/one")
    try base.add(.symbolicLink, "link", linkName: "a/one")
    var middle = Tar()
    try middle.add(.file, "b/.wh.gone")
    try middle.add(.file, "a/.wh.deep")
    try middle.add(.directory, "opaque/", mode: 0o700)
    try middle.add(.file, "opaque/.wh..wh..opq")
    try middle.add(.file, "opaque/new", data: [1])
    // A file where a directory was, and the other way round.
    try middle.add(.file, "dir", data: [2])
    try middle.add(.directory, "file/", mode: 0o711)
    try middle.add(.file, "file/inside", data: [3]) {
      $0.attributes = [
        (Array("security.capability".utf8), [1, 0, 0, 2, 0, 32, 0, 0] + [UInt8](repeating: 0, count: 12))
      ]
    }
    try middle.add(.file, ".wh.never")
    var top = Tar()
    try top.add(.directory, "a/", mode: 0o1777) { $0.gid = 9 }
    try top.add(.directory, "a/deep/", mode: 0o755)
    try top.add(.file, "a/deep/anew", data: [4])
    try top.add(.characterDevice, "zero", mode: 0o666) { ($0.deviceMajor, $0.deviceMinor) = (1, 5) }
    let listing = try compare([base.finished, middle.finished, top.finished], Scratch())
    #expect(listing.lines["/a/deep/two"] == nil && listing.lines["/a/deep/anew"] != nil)
    #expect(listing.lines["/opaque/kept"] == nil && listing.lines["/opaque/new"] != nil)
    #expect(listing.lines["/b/gone"] == nil && listing.lines["/never"] == nil)
  }

  /// Sparse files, and one whose bytes have a file of their own, keep theirs under other devices' numbers.
  @Test func sixtyLayers() throws {
    var tars: [[UInt8]] = []
    for number in 0..<60 {
      var tar = Tar()
      try tar.add(.file, "common", data: [UInt8](repeating: UInt8(number), count: 600))
      try tar.add(.file, "own\(number)", data: [UInt8](repeating: UInt8(number), count: number * 100))
      if number > 0, number % 3 == 0 { try tar.add(.file, ".wh.own\(number - 1)") }
      tars.append(tar.finished)
    }
    #expect(try compare(tars, Scratch()).lines.count == 1 + 1 + 60 - 19)
  }

  /// An index that a disk has damaged is refused or read, never a trap or a circle.
  @Test func aDamagedIndexIsAnError() throws {
    let scratch = try Scratch()
    var tar = Tar()
    try tar.add(.directory, "d/")
    for index in 0..<40 {
      try tar.add(.file, "d/f\(index)", data: [1]) { $0.attributes = [(Array("user.a".utf8), [1])] }
    }
    try tar.add(.symbolicLink, "l", linkName: "x")
    let bytes = try Sys.readFile(MountedTar(MemorySource(tar.finished), in: scratch).index)
    #expect(try LayerTree.merging([bytes], devices: [1]).index(devices: [Device(size: 512)], record: []).count > 1024)
    var state: UInt64 = 1
    var refused = 0
    for _ in 0..<3000 {
      var damaged = bytes
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        damaged[1024 + Int((state >> 33) % UInt64(bytes.count - 1024))] = UInt8(truncatingIfNeeded: state >> 56)
      }
      do { _ = try LayerTree.merging([damaged], devices: [1]) } catch is ArchiveError { refused += 1 }
    }
    #expect(refused > 100)
    for count in stride(from: 0, to: bytes.count, by: 97) {
      _ = try? LayerTree.merging([Array(bytes.prefix(count))], devices: [1])
    }
  }
}

import Archive
import CLinux
import EROFS
import Kernel
import OCI
import Testing

/// Archives that nobody would make, against the directory that `LayerUnpacker` makes of them: both refuse them, or both show the same.
@Suite struct DifferentialTests {
  private struct Random: RandomNumberGenerator {
    var state: UInt64
    // SplitMix64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }

  private static let names = [
    "a", "b", "c", "d", ".wh.a", ".wh.b", ".wh..wh..opq", ".wh..wh.x", ".wh.", ".wh...", "..", ".", "l", "",
  ]

  private func path(_ random: inout Random) -> String {
    let isWild = random.next() % 8 == 0
    let names = isWild ? Self.names : Array(Self.names.prefix(7)) + ["l", "l"]
    let count = Int(random.next() % 4) + 1
    var parts: [String] = []
    for index in 0..<count {
      var name = names[Int(random.next() % UInt64(names.count))]
      if index < count - 1, name.hasPrefix(".wh") { name = "a" }
      parts.append(name)
    }
    return (isWild && random.next() % 4 == 0 ? "/" : "") + parts.joined(separator: "/")
  }

  private func archive(_ random: inout Random) throws -> [UInt8] {
    var tar = Tar()
    let kinds: [TarEntry.Kind] = [
      .file, .file, .file, .directory, .directory, .symbolicLink, .hardLink, .fifo, .characterDevice,
    ]
    for _ in 0..<Int(random.next() % 14) + 1 {
      let kind = kinds[Int(random.next() % UInt64(kinds.count))]
      var name = path(&random)
      if name.isEmpty { name = "a" }
      let target = random.next() % 6 == 0 ? "/" + path(&random) : path(&random)
      let data = (0..<Int(random.next() % 700)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      try tar.add(
        kind, name, linkName: kind == .hardLink || kind == .symbolicLink ? target : "",
        mode: UInt32(random.next() & 0o7777), data: kind == .file ? data : []
      ) { entry in
        entry.uid = UInt32(random.next() % 3)
        entry.modified = Timestamp(seconds: Int64(random.next() % 1_000_000))
        if kind == .characterDevice { (entry.deviceMajor, entry.deviceMinor) = (UInt32(random.next() % 2), 0) }
        if random.next() % 10 == 0 { entry.attributes = [(Array("trusted.t".utf8), [UInt8(random.next() % 9)])] }
      }
    }
    var bytes = tar.finished
    // Some are damaged.
    if random.next() % 5 == 0 {
      for _ in 0..<Int(random.next() % 4) + 1 {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
    }
    return bytes
  }

  /// A time box: as many archives as fit into it, the same ones in each run.
  @Test func whatTheDirectoryStoreMakesOrRefuses() throws {
    let seconds = getenv("BERTH_FUZZ_SECONDS").flatMap { UInt64(String(cString: $0)) } ?? 4
    let deadline = Sys.monotonicNanoseconds() + seconds * 1_000_000_000
    let scratch = try Scratch()
    var tried = 0
    var alike = 0
    while Sys.monotonicNanoseconds() < deadline {
      tried += 1
      var random = Random(state: UInt64(tried))
      let bytes = try archive(&random)
      let tree = "\(scratch.path)/tree"
      try Sys.mkdirAll(tree)
      defer { try? Sys.removeTree(tree) }
      let root = try Sys.open(tree, O_RDONLY | O_DIRECTORY)
      let expected: TreeListing?
      do {
        _ = try LayerUnpacker(root: root.raw).unpack(TarReader(MemorySource(bytes)))
        expected = try TreeListing(root.raw, ignoresDirectoryTimes: true)
      } catch is ArchiveError { expected = nil } catch is SyscallError { continue }
      let actual: TreeListing?
      do {
        let mounted = try MountedTar(MemorySource(bytes), in: scratch)
        actual = try withExtendedLifetime(mounted) { try TreeListing($0.mount.raw, ignoresDirectoryTimes: true) }
      } catch is ArchiveError { actual = nil }
      guard expected != actual else {
        if expected != nil { alike += 1 }
        continue
      }
      let differences =
        if let expected, let actual { expected.differences(from: actual) } else {
          ["\(expected == nil ? "only the directory store refuses it" : "only the index refuses it")"]
        }
      Issue.record("archive \(tried): \(differences.joined(separator: "\n"))")
      return
    }
    print("\(tried) archives, \(alike) of them trees")
    #expect(alike > 20)
  }
}

import Archive
import CLinux
import ContentStore
import Errdefs
import Images
import Kernel
import OCI
import Snapshots
import Testing

/// Mutations of a small corpus (Tests/Corpus), the same in every run: nothing traps, what is read is read the same again, and what lies makes
/// no image. `BERTH_FUZZ_SECONDS` goes on for as long, from other seeds.
@Suite(.serialized) struct FuzzTests {
  private static let corpus = String(#filePath.dropLast("ImagesTests/FuzzTests.swift".count)) + "Corpus/"

  private static func read(_ name: String) throws -> [UInt8] { try Sys.readFile(corpus + name) }

  /// SplitMix64.
  struct Random {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
    mutating func below(_ bound: Int) -> Int { bound > 0 ? Int(next() % UInt64(bound)) : 0 }
  }

  private static let words: [[UInt8]] = [
    "-1", "0", "9223372036854775807", "18446744073709551616", "1e400", "null", "[]", "{}", "\"", "\\u0000", "../", "/",
    "sha256:", ":", "@", "\u{0}", "\u{FF}", "77777777777", "true",
  ].map { Array($0.utf8) }

  static func mutate(_ seed: [UInt8], _ random: inout Random) -> [UInt8] {
    var bytes = seed
    for _ in 0..<(1 + random.below(4)) {
      let place = random.below(bytes.count + 1)
      switch random.below(7) {
      case 0 where !bytes.isEmpty: bytes[random.below(bytes.count)] ^= UInt8(1 << random.below(8))
      case 1 where !bytes.isEmpty: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
      case 2: bytes.insert(contentsOf: words[random.below(words.count)], at: place)
      case 3 where !bytes.isEmpty:
        let start = random.below(bytes.count)
        bytes.removeSubrange(start..<min(bytes.count, start + 1 + random.below(32)))
      case 4 where !bytes.isEmpty:
        let start = random.below(bytes.count)
        bytes.insert(contentsOf: Array(bytes[start..<min(bytes.count, start + 1 + random.below(64))]), at: place)
      case 5: bytes.removeLast(random.below(min(bytes.count, 600) + 1))
      default:
        let word = words[random.below(words.count)]
        for (index, byte) in word.enumerated() where place + index < bytes.count { bytes[place + index] = byte }
      }
    }
    return bytes
  }

  /// Headers whose checksums are right again, so that the fields behind them are reached.
  private static func mendChecksums(_ tar: inout [UInt8]) {
    for start in stride(from: 0, to: tar.count - 511, by: 512)
    where Array(tar[(start + 257)..<(start + 262)]) == Array("ustar".utf8) {
      for index in 148..<156 { tar[start + index] = 0x20 }
      let sum = tar[start..<(start + 512)].reduce(0) { $0 + Int($1) }
      let digits = String(sum, radix: 8)
      let text = Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 0x20]
      for (index, byte) in text.enumerated() { tar[start + 148 + index] = byte }
    }
  }

  /// `count` times, or for as long as BERTH_FUZZ_SECONDS says.
  private func each(_ seed: UInt64, _ count: Int, _ body: (inout Random) async throws -> Void) async throws {
    let seconds = getenv("BERTH_FUZZ_SECONDS").flatMap { Int64(String(cString: $0)) }
    let end = ContinuousClock.now + .seconds(seconds ?? 0)
    var round = 0
    while seconds == nil ? round < count : ContinuousClock.now < end {
      var random = Random(state: seed &+ UInt64(round) &* 7919)
      try await body(&random)
      round += 1
    }
  }

  @Test func references() async throws {
    let seeds = String(decoding: try Self.read("references.txt"), as: UTF8.self).split(separator: "\n").map {
      Array($0.utf8)
    }
    try await each(1, 20_000) { random in
      let text = String(decoding: Self.mutate(seeds[random.below(seeds.count)], &random), as: UTF8.self)
      guard let reference = try? Reference(text) else { return }
      let again = try Reference(reference.description)
      #expect(again == reference, "\(text)")
      // Docker's short form of docker.io/host.name/x is another registry's name, too.
      let first = reference.path.prefix { $0 != "/" }
      guard !first.contains("."), first != "localhost" else { return }
      // Nor is docker.io/library/<64 digits> to be had by its digits: they are an id.
      if let short = try? Reference(reference.familiar) { #expect(short == reference, "\(text)") }
    }
  }

  @Test func manifestsIndexesAndConfigurations() async throws {
    let seeds = try ["manifest-oci.json", "manifest-docker.json", "index.json", "config.json"].map(Self.read)
    try await each(2, 6000) { random in
      let kind = random.below(seeds.count)
      let bytes = Self.mutate(seeds[kind], &random)
      switch kind {
      case 0, 1:
        guard let manifest = try? ImageManifest(decoding: bytes) else { return }
        let again = try ImageManifest(decoding: manifest.json.encoded())
        #expect(again == manifest)
      case 2:
        guard let index = try? ImageIndex(decoding: bytes) else { return }
        let again = try ImageIndex(decoding: index.json.encoded())
        #expect(again == index)
      default:
        guard let config = try? ImageConfig(decoding: bytes) else { return }
        let again = try ImageConfig(decoding: config.json.encoded())
        #expect(again == config)
      }
    }
  }

  @Test func tarsAndLayers() async throws {
    let seeds = try ["layer-ustar.tar", "layer-gnu.tar", "layer-pax.tar"].map(Self.read)
    var template = Array("/tmp/berth-fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SyscallError("mkdtemp", "/tmp", .current) }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { try? Sys.removeTree(folder) }
    try await each(3, 1500) { random in
      var bytes = Self.mutate(seeds[random.below(seeds.count)], &random)
      if random.below(4) > 0 { Self.mendChecksums(&bytes) }
      let reader = TarReader(MemorySource(bytes), limits: ArchiveLimits())
      do { while try reader.next() != nil {} } catch is ArchiveError {}
      try Sys.mkdir("\(folder)/root", mode: 0o755)
      do {
        let root = try Sys.open("\(folder)/root", O_RDONLY | O_DIRECTORY)
        let unpacker = LayerUnpacker(root: root.raw, limits: ArchiveLimits())
        _ = try unpacker.unpack(TarReader(MemorySource(bytes), limits: ArchiveLimits()))
      } catch is ArchiveError {} catch is SyscallError {}
      #expect(try Sys.entries(of: folder).map(\.name) == ["root"], "nothing leaves the tree")
      try Sys.removeTree("\(folder)/root")
    }
  }

  @Test func archivesThatLieMakeNoImage() async throws {
    let fixture = try ImagesFixture()
    let seed = try Self.read("archive-docker.tar")
    try await each(4, 120) { random in
      var bytes = Self.mutate(seed, &random)
      if random.below(4) > 0 { Self.mendChecksums(&bytes) }
      do { try await fixture.images.load(SharedBytes(bytes)) { _ in } } catch is EngineError {}
      for summary in try fixture.images.list() {
        // What is there is whole: its id is its configuration's, and all its layers are there.
        let image = summary.image
        #expect(Digest(hashing: try await fixture.images.configuration(image)) == image.id)
        for layer in image.layers { #expect(fixture.snapshotter.layer(layer) != nil) }
        for layer in image.layers { #expect(try fixture.images.content.verify(layer) == nil) }
        _ = try await fixture.images.remove(image.id.hex, force: true)
      }
    }
    fixture.snapshotter.settle()
    #expect(try Sys.entries(of: fixture.path + "/content/sha256").isEmpty)
    #expect(try Sys.entries(of: fixture.path + "/content/ingest").isEmpty)
    #expect(try Sys.entries(of: fixture.path + "/layers").isEmpty)
  }
}

import Snapshots
import Archive
import ContentStore
import Errdefs
import Kernel
import OCI

/// What a stream of `docker load` held: its members as blobs that aren't committed yet, found by their names.
///
/// The stream is read once, from start to end, since it comes from standard input: what the members mean is known only when
/// `manifest.json` or `index.json` has come, and either may be first or last. Each large member becomes an ingest, hashed while it is written;
/// small ones stay in memory. Dropped, it leaves nothing.
struct ImageArchive {
  enum Body {
    case memory([UInt8], Digest)
    case ingest(Ingest)
    /// Another member, by its path.
    case link(String)
  }

  /// Files up to this stay in memory, and at most this many bytes of them.
  private static let smallFile: Int64 = 1 << 20
  private static let smallTotal = 64 << 20
  private static let maximumMembers = 100_000

  private(set) var members: [String: Body] = [:]

  /// Reads the whole stream, plain, gzip or zstd. A member named by a digest must have it.
  init(reading source: any ByteSource, into store: ContentStore, limits: ArchiveLimits) throws {
    let input = try Decompressor(source, limits: limits)
    let reader = TarReader(input, limits: limits)
    var inMemory = 0
    while let entry = try reader.next() {
      let name = try Self.clean(entry.name, entry.printableName)
      let body: Body
      switch entry.kind {
      case .directory: continue
      case .symbolicLink:
        body = .link(try Self.resolve(String(decoding: entry.linkName, as: UTF8.self), from: name, entry.printableName))
      case .hardLink: body = .link(try Self.clean(entry.linkName, entry.printableName))
      case .file where entry.segments == nil:
        body = try Self.read(entry, reader, store, &inMemory)
        try Self.verify(body, named: name, entry.printableName)
      default: throw ArchiveError(member: entry.printableName, "it is neither a file nor a link to one")
      }
      guard members.count < Self.maximumMembers else { throw ArchiveError("more than \(Self.maximumMembers) members") }
      guard members.updateValue(body, forKey: name) == nil else {
        throw ArchiveError(member: entry.printableName, "it is there twice")
      }
    }
    // The sender may still be writing the padding of its last block.
    try input.drain()
  }

  private static func read(_ entry: TarEntry, _ reader: TarReader, _ store: ContentStore, _ inMemory: inout Int) throws
    -> Body
  {
    if entry.size <= smallFile, inMemory + Int(entry.size) <= smallTotal {
      let bytes = try reader.allData(limit: Int(smallFile))
      inMemory += bytes.count
      return .memory(bytes, Digest(hashing: bytes))
    }
    let ingest = try store.ingest()
    while true {
      let bytes = try reader.nextData()
      if bytes.isEmpty { break }
      try ingest.write(bytes)
    }
    ingest.finish()
    return .ingest(ingest)
  }

  /// `blobs/sha256/<hex>` says what it holds.
  private static func verify(_ body: Body, named name: String, _ member: String) throws {
    guard name.hasPrefix("blobs/sha256/") else { return }
    guard let expected = Digest(hex: String(name.dropFirst(13))) else {
      throw ArchiveError(member: member, "its name isn't a sha256 digest")
    }
    let actual =
      switch body {
      case .memory(_, let digest): digest
      case .ingest(let ingest): ingest.finish()
      case .link: expected
      }
    guard actual == expected else { throw ArchiveError(member: member, "it has the digest \(actual)") }
  }

  // MARK: names

  /// A member's name without `.` and doubled slashes; absolute ones and `..` are refused.
  private static func clean(_ bytes: [UInt8], _ member: String) throws -> String {
    guard let text = String(validating: bytes, as: UTF8.self), !text.hasPrefix("/") else {
      throw ArchiveError(member: member, "its path is absolute, or not UTF-8")
    }
    let parts = text.split(separator: "/").filter { $0 != "." }
    guard !parts.contains("..") else { throw ArchiveError(member: member, "its path holds \"..\"") }
    return parts.joined(separator: "/")
  }

  /// Where a symbolic link of the archive leads, among its members (old archives share layers so: `../<id>/layer.tar`).
  private static func resolve(_ target: String, from name: String, _ member: String) throws -> String {
    guard !target.hasPrefix("/") else { throw ArchiveError(member: member, "it is a link out of the archive") }
    var parts = name.split(separator: "/").dropLast()
    for part in target.split(separator: "/") where part != "." {
      guard part == ".." else {
        parts.append(part)
        continue
      }
      guard parts.popLast() != nil else { throw ArchiveError(member: member, "it is a link out of the archive") }
    }
    return parts.joined(separator: "/")
  }

  /// The member of that name, links followed.
  func body(_ name: String) throws -> Body {
    var name = try Self.clean(Array(name.utf8), name)
    for _ in 0..<16 {
      guard let body = members[name] else {
        throw ArchiveError(member: name, "it is named by the archive's index and missing")
      }
      guard case .link(let next) = body else { return body }
      name = next
    }
    throw ArchiveError(member: name, "its links go round in circles")
  }

  /// A document, at most `limit` bytes.
  func document(_ name: String, limit: Int = 8 << 20) throws -> [UInt8] {
    switch try body(name) {
    case .memory(let bytes, _): return bytes
    case .ingest(let ingest):
      guard ingest.size <= Int64(limit) else { throw ArchiveError(member: name, "more than \(limit) bytes") }
      return try FileRangeSource(ingest.descriptor, length: ingest.size).readAll(limit: limit)
    case .link: throw ArchiveError(member: name, "it is a link")
    }
  }
}

/// One image that an archive holds, its parts found and its documents read.
struct ArchivedImage {
  /// The configuration's bytes.
  var document: [UInt8]
  var config: ImageConfig
  var id: Digest
  /// A member for each of the configuration's layers, bottom first.
  var layers: [ArchivedLayer]
  var references: [Reference]
}

struct ArchivedLayer {
  var diffID: Digest
  var member: String
  var body: ImageArchive.Body
  /// Of the bytes as they are in the archive.
  var digest: Digest
  var size: Int64
}

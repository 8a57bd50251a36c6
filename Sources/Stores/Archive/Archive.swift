/// Streams of bytes, their compression, and tar: what images travel in.
///
/// Owns: `ByteSource` (bytes pulled one buffer at a time) and its kinds; `Decompressor` (gzip and zstd, found by their magic
/// numbers); `TarReader` (ustar, PAX, GNU) and `TarWriter`; `LayerUnpacker`, which makes a directory tree of a layer's tar.
///
/// Everything here blocks and runs on the caller's thread, never on the cooperative pool; nothing is kept on disk or between calls.
/// All input is hostile. Sizes and counts are bounded by `ArchiveLimits`; a member's path reaches the disk only through
/// descriptors below the tree's root; what is refused is refused with an `ArchiveError` that names the member.
///
/// Must not: follow a link out of the tree, trust a number in a header for an allocation, run a program, or know of images.
public enum Archive {}

/// Bytes in order, pulled by whoever needs them. Not for two threads at once.
public protocol ByteSource: AnyObject {
  /// Blocks until there is at least one byte, and fills the front of `buffer`; 0 only at the end (or for an empty buffer).
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

/// Why an archive was refused.
public struct ArchiveError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The member's name as the archive has it; empty when the fault isn't one member's.
  public let member: String
  public let reason: String

  public init(member: String = "", _ reason: String) {
    self.member = member
    self.reason = reason
  }

  /// `archive member "a/../../b": its path leaves the tree`
  public var description: String { member.isEmpty ? "archive: \(reason)" : "archive member \"\(member)\": \(reason)" }
}

/// What an archive may cost at most.
public struct ArchiveLimits: Sendable {
  /// Bytes after decompression, all members and headers together.
  public var totalBytes: Int64 = 1 << 40
  /// Decompressed bytes for each compressed one, counted once `ratioGrace` bytes have come out: beyond that much, only zeros shrink so.
  /// (DEFLATE's own best is 1032, zstd's 32,768.)
  public var ratio: Int64 = 250
  public var ratioGrace: Int64 = 4 << 30
  /// Members of one tar.
  public var members: Int = 10_000_000
  /// Bytes of one PAX header or GNU long name.
  public var extendedHeader: Int = 1 << 20
  /// Components of a path.
  public var depth: Int = 512

  public init() {}
}

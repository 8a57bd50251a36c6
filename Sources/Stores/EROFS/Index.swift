import Archive

/// An EROFS image that holds metadata alone; its files' bytes are in other devices. Format: Linux, fs/erofs/erofs_fs.h, erofs.rst.
///
///     0      the owner's record, up to 1,024 bytes: a length (u16) and as many bytes
///     1024   superblock, 128 bytes
///     1152   a slot of 128 bytes for each device
///            inodes, each at a multiple of 32: 32 or 64 bytes, its attributes, a link's text or a file's chunks
///            directories: blocks of entries, sorted by name, then the names
public enum Index {
  /// Chunks of all sparse files of one index together: 128 MB of them.
  static let chunkLimit = 16 << 20
  /// Bytes of one inode's attributes: their count has 16 bits.
  static let attributeLimit = 65534 * 4
  /// Bytes of an owner's record.
  public static let recordLimit = 1022
  static let superblock = 1024
  static let slotSize = 128

  enum Layout: UInt16 {
    case plain = 0
    case inline = 2
    case chunks = 4
  }

  static let magic: UInt32 = 0xE0F5_E1E2
  /// Where an extended inode's time is a file's modification.
  static let compatibleFeatures: UInt32 = 2
  /// Chunks and a table of devices.
  static let features: UInt32 = 4 | 8
  static let chunksAreIndexes: UInt16 = 0x20

  /// Bytes of attributes behind an inode.
  static func attributeSize(_ list: [LayerTree.Attribute]) -> Int {
    guard !list.isEmpty else { return 0 }
    return list.reduce(12) { $0 + (4 + $1.name.count + $1.value.count + 3) & ~3 }
  }
}

/// A file that an index points into.
public struct Device: Sendable, Equatable {
  /// In blocks of 512 bytes, the last one perhaps cut short.
  public var blocks: UInt32

  public init(size: Int64) throws {
    guard let blocks = UInt32(exactly: (size + 511) / 512), blocks < UInt32.max else {
      throw ArchiveError("more than \(Int64(UInt32.max) * 512) bytes")
    }
    self.blocks = blocks
  }
}

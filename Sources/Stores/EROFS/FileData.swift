/// Where a file's bytes are.
enum FileData {
  /// The file is empty, or no file.
  case none
  /// All of them from one block of a device on. Devices count from 1.
  case run(Chunk)
  case map(ChunkMap)
}

/// A place in a device.
struct Chunk: Equatable {
  var device: UInt16
  /// In blocks.
  var block: UInt32

  /// Zeros that aren't kept anywhere: EROFS_NULL_ADDR.
  static let hole = Chunk(device: 0, block: .max)
}

/// A file in pieces of one size.
struct ChunkMap {
  /// A chunk has `512 << bits` bytes; at most 31.
  var bits: UInt8
  var chunks: [Chunk]
}

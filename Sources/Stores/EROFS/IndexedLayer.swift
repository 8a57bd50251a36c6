public import Archive
import CLinux
public import Kernel
import OCI

/// A layer's tar, written as it comes, and the tree over it.
public struct IndexedLayer {
  public let tree: LayerTree
  /// The tar, and what there is of `extra`.
  public let devices: [Device]
  /// Bytes of the regular files.
  public var size: Int64 { tree.size }
  /// The tar told the root's own mode and owner.
  public var hasRoot: Bool { tree.hasRoot }
  /// The root's permissions and owner.
  public var root: (mode: UInt32, uid: UInt32, gid: UInt32) {
    let root = tree.inodes[0]
    return (root.mode & 0o7777, root.uid, root.gid)
  }
  public var warnings: [String] { tree.warnings }
  public var hasExtra: Bool { devices.count > 1 }

  /// Reads an uncompressed tar to the end of `source` and writes every byte of it to `tar`, an empty file. `makeExtra` is asked for another one
  /// when the layer needs it. Neither is synced; both are on their way to the disk.
  public init(
    _ source: any ByteSource, tar: Int32, limits: ArchiveLimits, makeExtra: () throws -> SharedDescriptor
  ) throws {
    let copy = CopyingSource(source, to: tar)
    let reader = TarReader(copy, limits: limits)
    let tree = LayerTree(limits: limits)
    var extra: ExtraFile?
    while let entry = try reader.next() {
      let data: FileData
      if entry.kind != .file || entry.size == 0 {
        data = .none
      } else if let segments = entry.segments {
        if let map = try ChunkMap.mapping(segments, size: entry.size, at: reader.position) {
          data = .map(map)
        } else {
          let file = try extra ?? ExtraFile(try makeExtra())
          extra = file
          data = .map(try file.add(entry, segments, reader))
        }
      } else {
        data = .run(Chunk(device: 1, block: try ChunkMap.block(reader.position)))
      }
      try tree.add(entry, data: data)
    }
    try copy.drain()
    var devices = [try Device(size: copy.count)]
    if let extra { devices.append(try Device(size: extra.size)) }
    self.tree = tree
    self.devices = devices
  }
}

/// Passes bytes on and writes them to a file, which begins its way to the disk before the end has come.
private final class CopyingSource: ByteSource {
  private static let step: Int64 = 16 << 20
  private let source: any ByteSource
  private let file: Int32
  private(set) var count: Int64 = 0
  private var started: Int64 = 0

  init(_ source: any ByteSource, to file: Int32) {
    self.source = source
    self.file = file
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let read = try source.read(into: buffer)
    try Sys.writeAll(file, UnsafeRawBufferPointer(rebasing: buffer[..<read]))
    count += Int64(read)
    if count - started >= Self.step {
      Sys.startWriteback(file, offset: started, length: count - started)
      started = count
    }
    return read
  }
}

/// The bytes of sparse files whose runs lie across blocks in the tar: here each run begins where it can be pointed to.
private final class ExtraFile {
  private let file: SharedDescriptor
  private(set) var size: Int64 = 0

  init(_ file: SharedDescriptor) { self.file = file }

  func add(_ entry: TarEntry, _ segments: [TarEntry.Segment], _ reader: TarReader) throws -> ChunkMap {
    // Every block that has a byte of a run in it, in order; of two runs in one block the first made it.
    var places: [(block: Int64, place: Int64)] = []
    let start = size
    for segment in segments {
      var offset = segment.offset
      let end = segment.offset + segment.length
      while offset < end {
        let bytes = try reader.nextData(atMost: Int(min(end - offset, 1 << 20)))
        var taken = 0
        while taken < bytes.count {
          let block = offset / 512
          if places.last?.block != block {
            guard places.count < Index.chunkLimit else {
              throw ArchiveError(member: entry.printableName, "its sparse map has too many pieces")
            }
            places.append((block, size))
            size += 512
          }
          let within = Int(offset % 512)
          let count = min(512 - within, bytes.count - taken)
          let place = size - 512 + Int64(within)
          try Sys.pwriteAll(
            file.raw, UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + count]), at: place)
          taken += count
          offset += Int64(count)
        }
      }
    }
    if size > start { try Sys.ftruncate(file.raw, size) }
    return try ChunkMap(
      blocks: places.map { ($0.block, try ChunkMap.block($0.place)) }, size: entry.size, member: entry)
  }
}

extension ChunkMap {
  /// Of a position in a device, which must be a block's beginning.
  static func block(_ position: Int64) throws -> UInt32 {
    guard position % 512 == 0, let block = UInt32(exactly: position / 512), block != .max else {
      throw ArchiveError("more than \(Int64(UInt32.max) * 512) bytes")
    }
    return block
  }

  /// A sparse file whose runs lie one behind the other from `position` on, as in a tar; `nil` when a run doesn't begin or end where a block does.
  static func mapping(_ segments: [TarEntry.Segment], size: Int64, at position: Int64) throws -> ChunkMap? {
    var alignment: Int64 = 1 << 40
    for (index, segment) in segments.enumerated() {
      let end = segment.offset + segment.length
      alignment |= segment.offset
      // Behind the file's end nothing is read.
      if end != size || index != segments.count - 1 { alignment |= end }
    }
    let bits = alignment.trailingZeroBitCount - EROFS.blockBits
    guard bits >= 0 else { return nil }
    let step = Int64(512) << Int64(bits)
    let count = size / step + (size % step == 0 ? 0 : 1)
    guard count <= Int64(Index.chunkLimit) else { throw ArchiveError("its sparse files have too many pieces") }
    var chunks = Array(repeating: Chunk.hole, count: Int(count))
    var place = position
    for segment in segments {
      var offset = segment.offset
      while offset < segment.offset + segment.length {
        chunks[Int(offset / step)] = Chunk(device: 1, block: try block(place + offset - segment.offset))
        offset += step
      }
      place += segment.length
    }
    return ChunkMap(bits: UInt8(bits), chunks: chunks)
  }

  /// Of single blocks in the second device.
  fileprivate init(blocks: [(block: Int64, place: UInt32)], size: Int64, member: TarEntry) throws {
    let count = size / 512 + (size % 512 == 0 ? 0 : 1)
    guard count <= Int64(Index.chunkLimit) else {
      throw ArchiveError(member: member.printableName, "its sparse map has too many pieces")
    }
    bits = 0
    chunks = Array(repeating: .hole, count: Int(count))
    for (block, place) in blocks { chunks[Int(block)] = Chunk(device: 2, block: place) }
  }
}

import Archive
import CLinux
import Kernel
import OCI

extension Index {
  /// The owner's record of an index file.
  public static func record(of path: String) throws -> [UInt8] {
    let file = try Sys.open(path, O_RDONLY | O_NOFOLLOW)
    var head = [UInt8](repeating: 0, count: superblock + 4)
    let count = try head.withUnsafeMutableBytes { try Sys.pread(file.raw, $0, at: 0) }
    guard count == head.count, head.suffix(4).elementsEqual(littleEndian(magic)) else {
      throw ArchiveError("\(path) isn't an index")
    }
    let length = Int(head[0]) | Int(head[1]) << 8
    guard length <= recordLimit else { throw ArchiveError("\(path) has no record") }
    return Array(head[2..<2 + length])
  }

  private static func littleEndian(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}

extension LayerTree {
  /// The tree of an index; its devices become those from `firstDevice` on.
  public static func reading(index: [UInt8], firstDevice: Int) throws -> LayerTree {
    let tree = LayerTree()
    try index.withUnsafeBytes { bytes in
      var reader = try IndexReader(bytes, firstDevice: firstDevice, into: tree)
      try reader.read()
    }
    return tree
  }
}

/// Reads what `IndexWriter` wrote; a number that leads out of it, or around in a circle, is an error.
private struct IndexReader {
  private let bytes: UnsafeRawBufferPointer
  private let tree: LayerTree
  private let firstDevice: Int
  private let inodesStart: Int
  private let devices: Int
  private let epoch: (seconds: Int64, nanoseconds: Int32)
  /// Inodes that were read, by where they are.
  private var known: [UInt64: Int32] = [:]

  init(_ bytes: UnsafeRawBufferPointer, firstDevice: Int, into tree: LayerTree) throws {
    self.bytes = bytes
    self.tree = tree
    self.firstDevice = firstDevice
    let start = Index.superblock
    guard bytes.count >= start + 128, Self.get(UInt32.self, start, bytes) == Index.magic,
      bytes[start + 12] == UInt8(EROFS.blockBits), Self.get(UInt32.self, start + 80, bytes) == Index.features,
      Self.get(UInt16.self, start + 14, bytes) == 0
    else { throw Self.damaged }
    epoch = (Self.get(Int64.self, start + 24, bytes), Self.get(Int32.self, start + 32, bytes))
    inodesStart = Int(Self.get(UInt32.self, start + 40, bytes)) * EROFS.block
    devices = Int(Self.get(UInt16.self, start + 86, bytes))
    guard firstDevice > 0, firstDevice + devices <= Int(UInt16.max) else { throw Self.damaged }
  }

  private static let damaged = ArchiveError("the index is damaged")

  /// Little-endian; the caller has checked the place.
  private static func get<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int, _ bytes: UnsafeRawBufferPointer) -> T {
    T(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  private func get<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) throws -> T {
    guard offset >= 0, offset <= bytes.count - T.bitWidth / 8 else { throw Self.damaged }
    return Self.get(type, offset, bytes)
  }

  private func slice(_ offset: Int, _ count: Int) throws -> UnsafeRawBufferPointer {
    guard offset >= 0, count >= 0, count <= bytes.count, offset <= bytes.count - count else { throw Self.damaged }
    return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
  }

  mutating func read() throws {
    var queue: [(inode: Int32, start: Int, size: Int)] = []
    let (root, data) = try inode(0)
    guard root.isDirectory else { throw Self.damaged }
    tree.update(0) { $0 = root }
    known[0] = 0
    queue.append((0, data.start, data.size))
    var next = 0
    while next < queue.count {
      let directory = queue[next]
      next += 1
      var offset = 0
      while offset < directory.size {
        let block = try slice(directory.start + offset, min(EROFS.block, directory.size - offset))
        offset += EROFS.block
        try forEachName(in: block) { nid, name in
          if name.elementsEqual([0x2E]) || name.elementsEqual([0x2E, 0x2E]) { return }
          if let seen = known[nid] {
            guard !tree.inodes[Int(seen)].isDirectory else { throw Self.damaged }
            return try tree.set(directory.inode, name, to: seen)
          }
          var (inode, data) = try inode(nid)
          if inode.isDirectory { inode.parent = directory.inode }
          let index = try tree.add(inode)
          known[nid] = index
          try tree.set(directory.inode, name, to: index)
          if inode.isDirectory { queue.append((index, data.start, data.size)) }
        }
      }
    }
  }

  private func forEachName(
    in block: UnsafeRawBufferPointer, _ body: (_ nid: UInt64, _ name: UnsafeRawBufferPointer) throws -> Void
  ) throws {
    guard block.count >= 12 else { throw Self.damaged }
    let first = Int(Self.get(UInt16.self, 8, block))
    guard first % 12 == 0, first >= 12, first <= block.count else { throw Self.damaged }
    for slot in 0..<first / 12 {
      let start = Int(Self.get(UInt16.self, slot * 12 + 8, block))
      var end = block.count
      if slot + 1 < first / 12 {
        end = Int(Self.get(UInt16.self, slot * 12 + 20, block))
      } else if start < end, let zero = block[start..<end].firstIndex(of: 0) {
        end = zero
      }
      guard start >= first, start < end, end <= block.count, end - start <= 255 else { throw Self.damaged }
      try body(Self.get(UInt64.self, slot * 12, block), UnsafeRawBufferPointer(rebasing: block[start..<end]))
    }
  }

  /// An inode, and where the names of a directory are.
  private func inode(_ nid: UInt64) throws -> (LayerTree.Inode, data: (start: Int, size: Int)) {
    guard nid <= UInt64(bytes.count / 32) else { throw Self.damaged }
    let start = inodesStart + Int(nid) * 32
    let format = try get(UInt16.self, start)
    let isCompact = format & 1 == 0
    let head = isCompact ? 32 : 64
    _ = try slice(start, head)
    guard let layout = Index.Layout(rawValue: format >> 1) else { throw Self.damaged }
    var inode = LayerTree.Inode(mode: UInt32(try get(UInt16.self, start + 4)))
    if isCompact {
      inode.size = Int64(try get(UInt32.self, start + 8))
      inode.uid = UInt32(try get(UInt16.self, start + 24))
      inode.gid = UInt32(try get(UInt16.self, start + 26))
      (inode.seconds, inode.nanoseconds) = epoch
    } else {
      inode.size = try get(Int64.self, start + 8)
      inode.uid = try get(UInt32.self, start + 24)
      inode.gid = try get(UInt32.self, start + 28)
      inode.seconds = try get(Int64.self, start + 32)
      inode.nanoseconds = try get(Int32.self, start + 40)
    }
    guard inode.size >= 0 else { throw Self.damaged }
    let detail = try get(UInt32.self, start + 16)
    let (list, attributeSize) = try attributes(start + head, count: Int(try get(UInt16.self, start + 2)))
    inode.attributes = try tree.add(attributes: list)
    var data = (start: 0, size: 0)
    switch inode.type {
    case .directory:
      data = (Int(detail) * EROFS.block, Int(inode.size))
      inode.size = 0
    case .regular where inode.size > 0:
      guard layout == .chunks else { throw Self.damaged }
      try setChunks(&inode, format: UInt16(truncatingIfNeeded: detail), at: (start + head + attributeSize + 7) & ~7)
    case .symbolicLink:
      guard inode.size < 4096 else { throw Self.damaged }
      let place = layout == .inline ? start + head + attributeSize : Int(detail) * EROFS.block
      inode.payload = try tree.add(text: Array(try slice(place, Int(inode.size))))
    case .characterDevice, .blockDevice: inode.device = detail
    case .regular, .fifo: break
    case .socket, nil: throw Self.damaged
    }
    return (inode, data)
  }

  private func setChunks(_ inode: inout LayerTree.Inode, format: UInt16, at place: Int) throws {
    guard format & Index.chunksAreIndexes != 0 else { throw Self.damaged }
    let bits = UInt8(format & 31)
    let chunk = Int64(EROFS.block) << Int64(bits)
    let count = inode.size / chunk + (inode.size % chunk == 0 ? 0 : 1)
    guard count <= Int64(Index.chunkLimit) else { throw Self.damaged }
    _ = try slice(place, Int(count) * 8)
    let chunks = try (0..<Int(count)).map { number in
      let block = Self.get(UInt32.self, place + number * 8 + 4, bytes)
      if block == .max { return Chunk.hole }
      let device = Int(Self.get(UInt16.self, place + number * 8 + 2, bytes))
      guard (1...max(1, devices)).contains(device) else { throw Self.damaged }
      return Chunk(device: UInt16(device - 1 + firstDevice), block: block)
    }
    if chunks.count == 1, chunks[0] != .hole {
      inode.chunk = chunks[0]
    } else {
      inode.payload = try tree.add(map: ChunkMap(bits: bits, chunks: chunks))
    }
  }

  private func attributes(_ start: Int, count: Int) throws -> ([LayerTree.Attribute], size: Int) {
    guard count > 0 else { return ([], 0) }
    let size = 12 + (count - 1) * 4
    let body = try slice(start, size)
    guard body[4] == 0 else { throw Self.damaged }
    var list: [LayerTree.Attribute] = []
    var place = 12
    while place < size {
      guard place + 4 <= size else { throw Self.damaged }
      let name = Int(body[place])
      let value = Int(Self.get(UInt16.self, place + 2, body))
      guard place + 4 + name + value <= size else { throw Self.damaged }
      list.append(
        LayerTree.Attribute(
          prefix: body[place + 1], name: Array(body[place + 4..<place + 4 + name]),
          value: Array(body[place + 4 + name..<place + 4 + name + value])))
      place += (4 + name + value + 3) & ~3
    }
    return (list, size)
  }
}

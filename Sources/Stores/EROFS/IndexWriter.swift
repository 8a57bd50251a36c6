import Archive
import CLinux
import Kernel
import OCI

extension LayerTree {
  /// The tree as an index. Throws `ArchiveError` when it is larger than an index may be.
  public func index(devices: [Device], record: [UInt8]) throws -> [UInt8] {
    var writer = try IndexWriter(self, devices: devices)
    return try writer.write(record: record)
  }
}

/// Lays a tree out, then writes it: first every inode gets its place, so that names can tell it.
private struct IndexWriter {
  private let tree: LayerTree
  private let devices: [Device]
  /// Inodes in the order in which they are written: a directory's files together.
  private var order: [Int32] = [0]
  /// Of each inode in `order`'s terms; -1: not reachable.
  private var links: [UInt32]
  /// From the beginning of the inodes.
  private var places: [Int]
  private var directories: [Directory] = []
  /// Of a directory's inode, in `directories`.
  private var directoryIndex: [Int32: Int] = [:]
  private let inodesStart: Int
  private var inodesSize = 0
  private var total = 0
  /// The time of compact inodes.
  private var epoch: (seconds: Int64, nanoseconds: Int32) = (0, 0)

  private struct Directory {
    var inode: Int32
    /// Sorted, with `.` and `..`.
    var entries: [(name: Name, inode: Int32)]
    /// How many entries each block has.
    var blocks: [Int]
    var size: Int
    /// Absolute, in blocks.
    var start = 0
  }

  private enum Name {
    case this, parent
    case entry(LayerTree.Entry)
  }

  init(_ tree: LayerTree, devices: [Device]) throws {
    self.tree = tree
    self.devices = devices
    links = Array(repeating: 0, count: tree.inodes.count)
    places = Array(repeating: -1, count: tree.inodes.count)
    inodesStart = Self.aligned(Index.superblock + 128 + devices.count * Index.slotSize, EROFS.block)
    visit()
    chooseEpoch()
    try place()
  }

  private static func aligned(_ value: Int, _ alignment: Int) -> Int { (value + alignment - 1) & ~(alignment - 1) }

  // MARK: the layout

  /// Breadth first: an `ls -l` reads inodes that lie together.
  private mutating func visit() {
    var queue: [Int32] = [0]
    var next = 0
    links[0] = 2
    while next < queue.count {
      let inode = queue[next]
      next += 1
      let names = tree.sortedEntries(of: inode)
      for entry in names {
        let child = Int(entry.inode)
        if links[child] == 0 { order.append(entry.inode) }
        if tree.inodes[child].isDirectory {
          links[child] += 2
          links[Int(inode)] += 1
          queue.append(entry.inode)
        } else {
          links[child] += 1
        }
      }
      addDirectory(inode, names)
    }
  }

  private mutating func addDirectory(_ inode: Int32, _ names: [LayerTree.Entry]) {
    var entries: [(name: Name, inode: Int32)] = []
    entries.reserveCapacity(names.count + 2)
    var dots: [(text: [UInt8], name: Name, inode: Int32)] = [
      ([0x2E], .this, inode), ([0x2E, 0x2E], .parent, tree.inodes[Int(inode)].parent),
    ]
    for entry in names {
      while let dot = dots.first, tree.withName(entry, { dot.text.lexicographicallyPrecedes($0) }) {
        entries.append((dot.name, dot.inode))
        dots.removeFirst()
      }
      entries.append((.entry(entry), entry.inode))
    }
    entries += dots.map { ($0.name, $0.inode) }
    var blocks: [Int] = []
    var used = 0
    var count = 0
    for entry in entries {
      let size = 12 + Self.length(entry.name)
      if used + size > EROFS.block {
        blocks.append(count)
        used = 0
        count = 0
      }
      used += size
      count += 1
    }
    blocks.append(count)
    directoryIndex[inode] = directories.count
    directories.append(
      Directory(
        inode: inode, entries: entries, blocks: blocks, size: (blocks.count - 1) * EROFS.block + used))
  }

  private static func length(_ name: Name) -> Int {
    switch name {
    case .this: 1
    case .parent: 2
    case .entry(let entry): Int(entry.nameLength)
    }
  }

  /// The time that more than half of the inodes have, if there is one: images that are built reproducibly have one for all.
  private mutating func chooseEpoch() {
    var count = 0
    for index in order {
      let inode = tree.inodes[Int(index)]
      if count == 0 { epoch = (inode.seconds, inode.nanoseconds) }
      count += inode.seconds == epoch.seconds && inode.nanoseconds == epoch.nanoseconds ? 1 : -1
    }
  }

  private func isCompact(_ index: Int32) -> Bool {
    let inode = tree.inodes[Int(index)]
    return inode.seconds == epoch.seconds && inode.nanoseconds == epoch.nanoseconds && inode.uid <= 0xFFFF
      && inode.gid <= 0xFFFF && links[Int(index)] <= 0xFFFF && size(of: index) <= Int64(UInt32.max)
  }

  private func size(of index: Int32) -> Int64 {
    directoryIndex[index].map { Int64(directories[$0].size) } ?? tree.inodes[Int(index)].size
  }

  private func headSize(_ index: Int32) -> Int { isCompact(index) ? 32 : 64 }

  /// The chunks of a file, and their size's power above a block's.
  private func chunks(_ inode: LayerTree.Inode) -> ChunkMap {
    if inode.payload >= 0 { return tree.maps[Int(inode.payload)] }
    var bits: UInt8 = 0
    while bits < 31, Int64(EROFS.block) << bits < inode.size { bits += 1 }
    let chunk = Int64(EROFS.block) << bits
    let count = inode.size / chunk + (inode.size % chunk == 0 ? 0 : 1)
    let isHole = inode.chunk == .hole
    let step = UInt32(1) << bits
    let list = (0..<count).map { number in
      isHole
        ? Chunk.hole
        : Chunk(device: inode.chunk.device, block: inode.chunk.block &+ UInt32(truncatingIfNeeded: number) &* step)
    }
    return ChunkMap(bits: bits, chunks: list)
  }

  private mutating func place() throws {
    var cursor = 0
    var chunkCount = 0
    for index in order {
      let inode = tree.inodes[Int(index)]
      let head = headSize(index) + Index.attributeSize(tree.attributes(of: inode))
      cursor = Self.aligned(cursor, 32)
      switch inode.type {
      case .regular where inode.size > 0:
        let count = chunks(inode).chunks.count
        chunkCount += count
        places[Int(index)] = cursor
        cursor = Self.aligned(cursor + head, 8) + count * 8
      case .symbolicLink:
        let length = Int(inode.size)
        if isInline(cursor, head, length) {
          places[Int(index)] = cursor
        } else {
          cursor = Self.aligned(cursor, EROFS.block)
          places[Int(index)] = cursor
        }
        cursor += head + (isInline(cursor, head, length) ? length : 0)
      default:
        places[Int(index)] = cursor
        cursor += head
      }
      guard chunkCount <= Index.chunkLimit else {
        throw ArchiveError("its sparse files have more than \(Index.chunkLimit) pieces")
      }
    }
    inodesSize = cursor
    var block = Self.aligned(inodesStart + cursor, EROFS.block) / EROFS.block
    for index in directories.indices {
      directories[index].start = block
      block += directories[index].blocks.count
    }
    for index in order where isLongLink(index) { block += longLinkBlocks(index) }
    total = block * EROFS.block
    guard total <= 2 << 30 else { throw ArchiveError("an index of more than 2 GB") }
  }

  /// Whether a link's text fits behind its inode without leaving the block.
  private func isInline(_ place: Int, _ head: Int, _ length: Int) -> Bool {
    length < EROFS.block && (place + head) % EROFS.block + length <= EROFS.block
  }

  /// A link whose text has blocks of its own.
  private func isLongLink(_ index: Int32) -> Bool {
    let inode = tree.inodes[Int(index)]
    guard inode.type == .symbolicLink else { return false }
    let head = headSize(index) + Index.attributeSize(tree.attributes(of: inode))
    return !isInline(places[Int(index)], head, Int(inode.size))
  }

  private func longLinkBlocks(_ index: Int32) -> Int {
    Self.aligned(Int(tree.inodes[Int(index)].size), EROFS.block) / EROFS.block
  }

  // MARK: the bytes

  mutating func write(record: [UInt8]) throws -> [UInt8] {
    guard record.count <= Index.recordLimit else { throw ArchiveError("a record of \(record.count) bytes") }
    var image = [UInt8](repeating: 0, count: total)
    var longLink = (directories.last.map { $0.start + $0.blocks.count } ?? 0)
    image.withUnsafeMutableBytes { bytes in
      Self.put(UInt16(record.count), 0, bytes)
      Self.put(record, 2, bytes)
      putSuperblock(bytes)
      for (number, index) in order.enumerated() {
        putInode(index, number: UInt32(number + 1), longLink: longLink, bytes)
        if isLongLink(index) {
          Self.put(tree.texts[Int(tree.inodes[Int(index)].payload)], longLink * EROFS.block, bytes)
          longLink += longLinkBlocks(index)
        }
      }
      for directory in directories { putDirectory(directory, bytes) }
    }
    return image
  }

  private static func put<T: FixedWidthInteger>(_ value: T, _ offset: Int, _ bytes: UnsafeMutableRawBufferPointer) {
    bytes.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
  }

  private static func put(_ value: some Collection<UInt8>, _ offset: Int, _ bytes: UnsafeMutableRawBufferPointer) {
    UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + value.count]).copyBytes(from: value)
  }

  private func putSuperblock(_ bytes: UnsafeMutableRawBufferPointer) {
    let start = Index.superblock
    Self.put(Index.magic, start, bytes)
    Self.put(Index.compatibleFeatures, start + 8, bytes)
    Self.put(UInt8(EROFS.blockBits), start + 12, bytes)
    // The root is the first inode.
    Self.put(UInt16(0), start + 14, bytes)
    Self.put(UInt64(order.count), start + 16, bytes)
    Self.put(epoch.seconds, start + 24, bytes)
    Self.put(epoch.nanoseconds, start + 32, bytes)
    Self.put(UInt32(total / EROFS.block), start + 36, bytes)
    Self.put(UInt32(inodesStart / EROFS.block), start + 40, bytes)
    Self.put(Index.features, start + 80, bytes)
    Self.put(UInt16(devices.count), start + 86, bytes)
    Self.put(UInt16((start + 128) / Index.slotSize), start + 88, bytes)
    for (number, device) in devices.enumerated() {
      Self.put(device.blocks, start + 128 + number * Index.slotSize + 64, bytes)
    }
  }

  private func putInode(_ index: Int32, number: UInt32, longLink: Int, _ bytes: UnsafeMutableRawBufferPointer) {
    let inode = tree.inodes[Int(index)]
    let start = inodesStart + places[Int(index)]
    let attributes = tree.attributes(of: inode)
    let isCompact = isCompact(index)
    let head = isCompact ? 32 : 64
    let attributeSize = Index.attributeSize(attributes)
    var layout = Index.Layout.plain
    var detail: UInt32 = 0
    switch inode.type {
    case .directory: detail = UInt32(directories[directoryIndex[index] ?? 0].start)
    case .regular where inode.size > 0:
      let map = chunks(inode)
      layout = .chunks
      detail = UInt32(UInt16(map.bits) | Index.chunksAreIndexes)
      var place = Self.aligned(start + head + attributeSize, 8)
      for chunk in map.chunks {
        Self.put(chunk.device, place + 2, bytes)
        Self.put(chunk.block, place + 4, bytes)
        place += 8
      }
    case .symbolicLink:
      if isInline(places[Int(index)], head + attributeSize, Int(inode.size)) {
        layout = .inline
        Self.put(tree.texts[Int(inode.payload)], start + head + attributeSize, bytes)
      } else {
        detail = UInt32(longLink)
      }
    case .characterDevice, .blockDevice: detail = inode.device
    default: break
    }
    Self.put(layout.rawValue << 1 | (isCompact ? 0 : 1), start, bytes)
    Self.put(UInt16(attributeSize == 0 ? 0 : (attributeSize - 12) / 4 + 1), start + 2, bytes)
    Self.put(UInt16(inode.mode), start + 4, bytes)
    if isCompact {
      Self.put(UInt16(links[Int(index)]), start + 6, bytes)
      Self.put(UInt32(size(of: index)), start + 8, bytes)
      Self.put(detail, start + 16, bytes)
      Self.put(number, start + 20, bytes)
      Self.put(UInt16(inode.uid), start + 24, bytes)
      Self.put(UInt16(inode.gid), start + 26, bytes)
    } else {
      Self.put(size(of: index), start + 8, bytes)
      Self.put(detail, start + 16, bytes)
      Self.put(number, start + 20, bytes)
      Self.put(inode.uid, start + 24, bytes)
      Self.put(inode.gid, start + 28, bytes)
      Self.put(inode.seconds, start + 32, bytes)
      Self.put(inode.nanoseconds, start + 40, bytes)
      Self.put(links[Int(index)], start + 44, bytes)
    }
    putAttributes(attributes, start + head, bytes)
  }

  /// A header of 12 bytes, none of them shared, and the entries, each at a multiple of 4.
  private func putAttributes(_ list: [LayerTree.Attribute], _ start: Int, _ bytes: UnsafeMutableRawBufferPointer) {
    var place = start + 12
    for attribute in list {
      Self.put(UInt8(attribute.name.count), place, bytes)
      Self.put(attribute.prefix, place + 1, bytes)
      Self.put(UInt16(attribute.value.count), place + 2, bytes)
      Self.put(attribute.name, place + 4, bytes)
      Self.put(attribute.value, place + 4 + attribute.name.count, bytes)
      place += (4 + attribute.name.count + attribute.value.count + 3) & ~3
    }
  }

  private func putDirectory(_ directory: Directory, _ bytes: UnsafeMutableRawBufferPointer) {
    var next = 0
    for (number, count) in directory.blocks.enumerated() {
      let block = (directory.start + number) * EROFS.block
      var nameOffset = count * 12
      for (slot, entry) in directory.entries[next..<next + count].enumerated() {
        let place = block + slot * 12
        Self.put(UInt64(places[Int(entry.inode)] / 32), place, bytes)
        Self.put(UInt16(nameOffset), place + 8, bytes)
        Self.put(Self.fileType(tree.inodes[Int(entry.inode)]), place + 10, bytes)
        switch entry.name {
        case .this: Self.put([0x2E], block + nameOffset, bytes)
        case .parent: Self.put([0x2E, 0x2E], block + nameOffset, bytes)
        case .entry(let entry): tree.withName(entry) { Self.put($0, block + nameOffset, bytes) }
        }
        nameOffset += Self.length(entry.name)
      }
      next += count
    }
  }

  private static func fileType(_ inode: LayerTree.Inode) -> UInt8 {
    switch inode.type {
    case .regular: 1
    case .directory: 2
    case .characterDevice: 3
    case .blockDevice: 4
    case .fifo: 5
    case .socket: 6
    case .symbolicLink: 7
    case nil: 0
    }
  }
}

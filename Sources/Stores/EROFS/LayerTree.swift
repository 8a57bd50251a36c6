import CLinux
import Archive
import Kernel
import OCI

/// The inodes and names of a tree, in tables: a million files take some hundred bytes each, and no object.
///
/// Inode 0 is the root. A name that was taken away keeps its entry, without an inode, so that names which come and go cost one lookup each.
public final class LayerTree {
  struct Inode {
    /// Type and permissions, as st_mode.
    var mode: UInt32
    var uid: UInt32 = 0
    var gid: UInt32 = 0
    var seconds: Int64 = 0
    var nanoseconds: Int32 = 0
    /// Of a file with its holes; of a symbolic link's text.
    var size: Int64 = 0
    /// As the kernel encodes it: minor's low byte, 12 bits of major, the rest of minor.
    var device: UInt32 = 0
    /// Of a file that lies in one run.
    var chunk = Chunk.hole
    /// A file's map in `maps`, a symbolic link's text in `texts`; or -1.
    var payload: Int32 = -1
    /// In `attributes`, or -1.
    var attributes: Int32 = -1
    /// Of a directory: where it lies, and its names, linked by `Entry.next`.
    var parent: Int32 = 0
    var firstEntry: Int32 = -1

    var type: FileType? { FileType(rawValue: mode_t(mode & 0o170000)) }
    var isDirectory: Bool { mode & 0o170000 == 0o040000 }
    var isWhiteout: Bool { mode & 0o170000 == 0o020000 && device == 0 }
  }

  struct Entry {
    var directory: Int32
    var nameStart: UInt32
    var nameLength: UInt8
    /// -1: gone.
    var inode: Int32
    var next: Int32
  }

  /// An extended attribute, by the number that EROFS has for its prefix and the rest of its name.
  struct Attribute: Equatable {
    var prefix: UInt8
    var name: [UInt8]
    var value: [UInt8]
  }

  /// What a hostile archive may make grow: inodes and names each; bytes of names, texts and attributes together.
  static let inodeLimit = 4_000_000
  static let byteLimit = 256 << 20

  private(set) var inodes: ContiguousArray<Inode> = [Inode(mode: 0o040755)]
  private(set) var entries: ContiguousArray<Entry> = []
  private var names: ContiguousArray<UInt8> = []
  private(set) var maps: [ChunkMap] = []
  private(set) var texts: [[UInt8]] = []
  private(set) var attributes: [[Attribute]] = []
  /// Entries by directory and name: open addressing, a power of two of slots.
  private var slots = ContiguousArray<Int32>(repeating: -1, count: 1024)
  private var bytes = 0

  /// The root's mode and owner were told.
  var hasRoot = false
  /// Bytes of regular files, holes included, each as often as the archive had it.
  var size: Int64 = 0
  var warnings: [String] = []
  let maximumDepth: Int

  init(limits: ArchiveLimits = ArchiveLimits()) { maximumDepth = limits.depth }

  // MARK: names

  func withName<T>(_ entry: Entry, _ body: (UnsafeRawBufferPointer) throws -> T) rethrows -> T {
    try names.withUnsafeBytes { bytes in
      let start = Int(entry.nameStart)
      return try body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(entry.nameLength)]))
    }
  }

  private func hash(_ directory: Int32, _ name: UnsafeRawBufferPointer) -> Int {
    // Seeded anew in each process: names can't be made to collide.
    var hasher = Hasher()
    hasher.combine(directory)
    hasher.combine(bytes: name)
    return hasher.finalize()
  }

  /// The slot of an entry, or the empty one where it would go.
  private func slot(_ directory: Int32, _ name: UnsafeRawBufferPointer) -> Int {
    let mask = slots.count - 1
    var slot = hash(directory, name) & mask
    while slots[slot] >= 0 {
      let entry = entries[Int(slots[slot])]
      if entry.directory == directory, Int(entry.nameLength) == name.count,
        withName(entry, { $0.elementsEqual(name) })
      {
        return slot
      }
      slot = (slot + 1) & mask
    }
    return slot
  }

  /// The inode of a name; `nil` when there is none.
  func lookup(_ directory: Int32, _ name: UnsafeRawBufferPointer) -> Int32? {
    let entry = slots[slot(directory, name)]
    guard entry >= 0, entries[Int(entry)].inode >= 0 else { return nil }
    return entries[Int(entry)].inode
  }

  /// Gives a name an inode, or none (-1). The name has from 1 to 255 bytes.
  func set(_ directory: Int32, _ name: UnsafeRawBufferPointer, to inode: Int32) throws {
    let slot = slot(directory, name)
    if slots[slot] >= 0 {
      entries[Int(slots[slot])].inode = inode
      return
    }
    guard inode >= 0 else { return }
    guard entries.count < Self.inodeLimit else { throw Self.tooMany }
    try charge(name.count)
    let index = Int32(entries.count)
    entries.append(
      Entry(
        directory: directory, nameStart: UInt32(names.count), nameLength: UInt8(name.count), inode: inode,
        next: inodes[Int(directory)].firstEntry))
    names.append(contentsOf: name)
    inodes[Int(directory)].firstEntry = index
    slots[slot] = index
    if entries.count * 2 > slots.count { grow() }
  }

  private func grow() {
    slots = ContiguousArray(repeating: -1, count: slots.count * 2)
    for (index, entry) in entries.enumerated() {
      let slot = withName(entry) { self.slot(entry.directory, $0) }
      slots[slot] = Int32(index)
    }
  }

  // MARK: inodes

  /// Adds an inode that has no name yet.
  func add(_ inode: Inode) throws -> Int32 {
    guard inodes.count < Self.inodeLimit else { throw Self.tooMany }
    inodes.append(inode)
    return Int32(inodes.count - 1)
  }

  func update(_ inode: Int32, _ change: (inout Inode) -> Void) { change(&inodes[Int(inode)]) }

  func add(text: [UInt8]) throws -> Int32 {
    try charge(text.count)
    texts.append(text)
    return Int32(texts.count - 1)
  }

  func add(map: ChunkMap) throws -> Int32 {
    try charge(map.chunks.count)
    maps.append(map)
    return Int32(maps.count - 1)
  }

  func add(attributes list: [Attribute]) throws -> Int32 {
    guard !list.isEmpty else { return -1 }
    if let last = attributes.last, last == list { return Int32(attributes.count - 1) }
    try charge(list.reduce(0) { $0 + $1.name.count + $1.value.count + 64 })
    attributes.append(list)
    return Int32(attributes.count - 1)
  }

  func attributes(of inode: Inode) -> [Attribute] {
    inode.attributes < 0 ? [] : attributes[Int(inode.attributes)]
  }

  private func charge(_ count: Int) throws {
    bytes += count
    guard bytes <= Self.byteLimit else {
      throw ArchiveError("its names, links and attributes have more than \(Self.byteLimit) bytes")
    }
  }

  private static let tooMany = ArchiveError("more than \(inodeLimit) files and directories")

  /// The names of a directory that are there, sorted by their bytes, each with its inode.
  func sortedEntries(of directory: Int32) -> [Entry] {
    var result: [Entry] = []
    var index = inodes[Int(directory)].firstEntry
    while index >= 0 {
      let entry = entries[Int(index)]
      if entry.inode >= 0 { result.append(entry) }
      index = entry.next
    }
    names.withUnsafeBytes { bytes in
      result.sort { left, right in
        let leftEnd = Int(left.nameStart) + Int(left.nameLength)
        let rightEnd = Int(right.nameStart) + Int(right.nameLength)
        return bytes[Int(left.nameStart)..<leftEnd].lexicographicallyPrecedes(
          bytes[Int(right.nameStart)..<rightEnd])
      }
    }
    return result
  }
}

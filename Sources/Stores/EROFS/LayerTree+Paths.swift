import Archive
import CLinux
import Kernel
import OCI

extension LayerTree {
  /// Links that one path may lead through, as in the kernel.
  private static let linkLimit = 40

  /// The directory of a path. A component that is a symbolic link of this layer is followed within the root, as in a chroot.
  /// `implied`: the member that needs it, whose missing parents are made; `nil`: a missing one is an error.
  func descend(_ path: ArraySlice<[CChar]>, _ member: String, implied: TarEntry?) throws -> Int32 {
    var directory: Int32 = 0
    for name in path {
      directory = try name.withUnsafeBytes { bytes in
        try step(directory, UnsafeRawBufferPointer(rebasing: bytes.dropLast()), member, implied)
      }
    }
    return directory
  }

  private func step(_ directory: Int32, _ name: UnsafeRawBufferPointer, _ member: String, _ implied: TarEntry?) throws
    -> Int32
  {
    let text = { TarEntry.printable(Array(name)) }
    guard let inode = lookup(directory, name) else {
      guard let implied else { throw ArchiveError(member: member, "\"\(text())\" on its way is missing") }
      return try makeImplied(directory, name, implied, isOpaque: false)
    }
    switch inodes[Int(inode)].type {
    case .directory: return inode
    case .symbolicLink:
      var left = Self.linkLimit
      guard let target = follow(inode, from: directory, &left), inodes[Int(target)].isDirectory else {
        throw ArchiveError(
          member: member, "its directory \"\(text())\" is a link that leads to no directory here")
      }
      return target
    default:
      guard let implied, inodes[Int(inode)].isWhiteout else {
        throw ArchiveError(member: member, "\"\(text())\" on its way isn't a directory")
      }
      return try makeImplied(directory, name, implied, isOpaque: true)
    }
  }

  /// A directory that members lie in and none describes. Its time is the member's, so that the same tar makes the same tree.
  private func makeImplied(_ parent: Int32, _ name: UnsafeRawBufferPointer, _ entry: TarEntry, isOpaque: Bool) throws
    -> Int32
  {
    var inode = Inode(mode: 0o040755)
    inode.parent = parent
    inode.seconds = entry.modified.seconds
    inode.nanoseconds = entry.modified.nanoseconds
    if isOpaque { inode.attributes = try add(attributes: [.opaque]) }
    let index = try add(inode)
    try set(parent, name, to: index)
    return index
  }

  /// What a link leads to; `nil` when that is nothing, or when it leads in a circle.
  private func follow(_ link: Int32, from directory: Int32, _ left: inout Int) -> Int32? {
    guard left > 0 else { return nil }
    left -= 1
    let text = texts[Int(inodes[Int(link)].payload)]
    var place = text.first == UInt8(ascii: "/") ? 0 : directory
    for part in text.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8) {
      guard inodes[Int(place)].isDirectory, part.count <= 255 else { return nil }
      if part.elementsEqual("..".utf8) {
        place = inodes[Int(place)].parent
        continue
      }
      guard let found = part.withUnsafeBytes({ lookup(place, $0) }) else { return nil }
      guard inodes[Int(found)].type == .symbolicLink else {
        place = found
        continue
      }
      guard let target = follow(found, from: place, &left) else { return nil }
      place = target
    }
    return place
  }
}

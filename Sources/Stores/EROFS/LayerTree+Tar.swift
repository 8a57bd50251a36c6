import Archive
import CLinux
import Kernel
import OCI

/// A layer's members become a tree, by the rules of `LayerUnpacker`, whose place this takes: what is refused there is refused here.
extension LayerTree {
  /// `data`: where the bytes of a file are.
  func add(_ entry: TarEntry, data: FileData) throws {
    let member = entry.printableName
    let path = try MemberPath(entry.name, member: member, maximumDepth: maximumDepth)
    for attribute in entry.attributes { try check(attribute.name, member) }
    guard let name = path.components.last else {
      guard entry.kind == .directory else { throw ArchiveError(member: member, "the root must be a directory") }
      hasRoot = true
      return try setMetadata(of: 0, entry)
    }
    let parent = try descend(path.components.dropLast(), member, implied: entry)
    if name.starts(with: Whiteout.prefix) { return try addWhiteout(name, in: parent, entry) }
    switch entry.kind {
    case .file: try addFile(entry, data, parent, name)
    case .directory: try addDirectory(entry, parent, name)
    case .hardLink: try addHardLink(entry, parent, name)
    case .symbolicLink: try addSymbolicLink(entry, parent, name)
    case .characterDevice: try addSpecial(entry, .characterDevice, parent, name)
    case .blockDevice: try addSpecial(entry, .blockDevice, parent, name)
    case .fifo: try addSpecial(entry, .fifo, parent, name)
    }
  }

  // MARK: the kinds

  private func addFile(_ entry: TarEntry, _ data: FileData, _ parent: Int32, _ name: [CChar]) throws {
    var inode = Inode(mode: UInt32(FileType.regular.rawValue))
    inode.size = entry.size
    switch data {
    case .none: break
    case .run(let chunk): inode.chunk = chunk
    case .map(let map): inode.payload = try add(map: map)
    }
    try bind(parent, name, to: try addNode(inode, entry))
    size = size.addingReportingOverflow(entry.size).overflow ? Int64.max : size + entry.size
  }

  private func addDirectory(_ entry: TarEntry, _ parent: Int32, _ name: [CChar]) throws {
    if let existing = lookup(parent, name) {
      if inodes[Int(existing)].isDirectory { return try setMetadata(of: existing, entry) }
      let isOpaque = inodes[Int(existing)].isWhiteout
      let directory = try makeDirectory(parent, name)
      if isOpaque { try setOpaque(directory) }
      return try setMetadata(of: directory, entry)
    }
    try setMetadata(of: try makeDirectory(parent, name), entry)
  }

  private func addHardLink(_ entry: TarEntry, _ parent: Int32, _ name: [CChar]) throws {
    let member = entry.printableName
    let target = try MemberPath(entry.linkName, member: member, what: "link target", maximumDepth: maximumDepth)
    guard let targetName = target.components.last else {
      throw ArchiveError(member: member, "it is a hard link to the root")
    }
    let missing = ArchiveError(
      member: member, "it is a hard link to \"\(TarEntry.printable(entry.linkName))\", which isn't in this layer")
    let directory: Int32
    do { directory = try descend(target.components.dropLast(), member, implied: nil) } catch is ArchiveError {
      throw missing
    }
    guard let inode = lookup(directory, targetName) else { throw missing }
    guard !inodes[Int(inode)].isDirectory else {
      throw ArchiveError(member: member, "it is a hard link to a directory")
    }
    if let existing = lookup(parent, name) {
      // A link to itself, or the same once more.
      if existing == inode { return }
      // Taken away before the link is made: the target may lie in there.
      if inodes[Int(existing)].isDirectory {
        var ancestor = directory
        while ancestor != 0 {
          guard ancestor != existing else { throw missing }
          ancestor = inodes[Int(ancestor)].parent
        }
      }
    }
    try bind(parent, name, to: inode)
  }

  private func addSymbolicLink(_ entry: TarEntry, _ parent: Int32, _ name: [CChar]) throws {
    guard !entry.linkName.isEmpty, entry.linkName.count < 4096 else {
      throw ArchiveError(member: entry.printableName, "its link text is empty or longer than 4095 bytes")
    }
    var inode = Inode(mode: UInt32(FileType.symbolicLink.rawValue))
    inode.size = Int64(entry.linkName.count)
    inode.payload = try add(text: entry.linkName)
    try bind(parent, name, to: try addNode(inode, entry))
  }

  private func addSpecial(_ entry: TarEntry, _ type: FileType, _ parent: Int32, _ name: [CChar]) throws {
    var inode = Inode(mode: UInt32(type.rawValue))
    if type != .fifo {
      let (major, minor) = (entry.deviceMajor, entry.deviceMinor)
      guard major < 1 << 12, minor < 1 << 20 else {
        throw ArchiveError(member: entry.printableName, "its device number \(major):\(minor) is out of range")
      }
      inode.device = minor & 0xFF | major << 8 | (minor & ~0xFF) << 12
    }
    try bind(parent, name, to: try addNode(inode, entry))
  }

  private func addWhiteout(_ name: [CChar], in parent: Int32, _ entry: TarEntry) throws {
    if name == Whiteout.opaque { return try setOpaque(parent) }
    if name.starts(with: Whiteout.metadataPrefix) { return }
    let hidden = Array(name.dropFirst(Whiteout.prefix.count))
    let text = MemberPath.text(hidden)
    guard !text.isEmpty, text != ".", text != ".." else {
      throw ArchiveError(member: entry.printableName, "it is a whiteout of \"\(text)\"")
    }
    if let existing = lookup(parent, hidden) {
      if inodes[Int(existing)].isDirectory { try setOpaque(existing) }
      return
    }
    var inode = Inode(mode: UInt32(FileType.characterDevice.rawValue))
    inode.seconds = entry.modified.seconds
    try bind(parent, hidden, to: try add(inode))
  }

  // MARK: parts

  private func lookup(_ directory: Int32, _ name: [CChar]) -> Int32? {
    name.withUnsafeBytes { lookup(directory, UnsafeRawBufferPointer(rebasing: $0.dropLast())) }
  }

  private func bind(_ directory: Int32, _ name: [CChar], to inode: Int32) throws {
    try name.withUnsafeBytes { try set(directory, UnsafeRawBufferPointer(rebasing: $0.dropLast()), to: inode) }
  }

  private func addNode(_ inode: Inode, _ entry: TarEntry) throws -> Int32 {
    let index = try add(inode)
    try setMetadata(of: index, entry)
    return index
  }

  /// An empty one in place of whatever has the name.
  private func makeDirectory(_ parent: Int32, _ name: [CChar]) throws -> Int32 {
    var inode = Inode(mode: 0o040755)
    inode.parent = parent
    let index = try add(inode)
    try bind(parent, name, to: index)
    return index
  }

  private func setMetadata(of index: Int32, _ entry: TarEntry) throws {
    let type = inodes[Int(index)].type
    var list = attributes(of: inodes[Int(index)])
    for (name, value) in entry.attributes {
      guard let attribute = try attribute(name, value, type, entry.printableName) else {
        if warnings.count < 16 {
          warnings.append("\(entry.printableName): attribute \(TarEntry.printable(name)): operation not supported")
        }
        continue
      }
      list.removeAll { $0.prefix == attribute.prefix && $0.name == attribute.name }
      list.append(attribute)
    }
    guard Index.attributeSize(list) <= Index.attributeLimit else {
      throw ArchiveError(member: entry.printableName, "its attributes have more than \(Index.attributeLimit) bytes")
    }
    let reference = try add(attributes: list)
    update(index) { inode in
      let permissions = type == .symbolicLink ? 0o777 : entry.mode & 0o7777
      inode.mode = inode.mode & 0o170000 | permissions
      inode.uid = entry.uid
      inode.gid = entry.gid
      inode.seconds = entry.modified.seconds
      inode.nanoseconds = entry.modified.nanoseconds
      inode.attributes = reference
    }
  }

  private func setOpaque(_ directory: Int32) throws {
    var list = attributes(of: inodes[Int(directory)])
    guard !list.contains(.opaque) else { return }
    list.append(.opaque)
    let reference = try add(attributes: list)
    update(directory) { $0.attributes = reference }
  }

  private func check(_ attribute: [UInt8], _ member: String) throws {
    for prefix in ["trusted.overlay.", "user.overlay."] where attribute.starts(with: prefix.utf8) {
      throw ArchiveError(member: member, "its attribute \"\(TarEntry.printable(attribute))\" is overlayfs' own")
    }
  }

  /// `nil` for what no file system would take of this file.
  private func attribute(_ name: [UInt8], _ value: [UInt8], _ type: FileType?, _ member: String) throws -> Attribute? {
    guard name.count <= 255, value.count <= 65535 else {
      throw ArchiveError(member: member, "its attribute \"\(TarEntry.printable(name))\" is too long")
    }
    for (text, prefix) in Attribute.accessLists where name.elementsEqual(text.utf8) {
      // Version 2, then entries of 8 bytes: what the kernel couldn't read would make the file unreachable.
      guard value.count % 8 == 4, value[0..<4].elementsEqual([2, 0, 0, 0]) else { return nil }
      guard type != .symbolicLink, prefix == 2 || type == .directory else { return nil }
      return Attribute(prefix: prefix, name: [], value: value)
    }
    for (text, prefix) in Attribute.prefixes where name.starts(with: text.utf8) && name.count > text.utf8.count {
      if prefix == 1, type != .regular, type != .directory { return nil }
      return Attribute(prefix: prefix, name: Array(name.dropFirst(text.utf8.count)), value: value)
    }
    return nil
  }
}

extension LayerTree.Attribute {
  /// Prefixes that EROFS has a number for.
  static let prefixes: [(String, UInt8)] = [("user.", 1), ("trusted.", 4), ("security.", 6)]
  static let accessLists: [(String, UInt8)] = [("system.posix_acl_access", 2), ("system.posix_acl_default", 3)]

  /// `trusted.overlay.opaque=y`: the directories of that name below aren't seen.
  static let opaque = Self(prefix: 4, name: Array("overlay.opaque".utf8), value: [UInt8(ascii: "y")])
}

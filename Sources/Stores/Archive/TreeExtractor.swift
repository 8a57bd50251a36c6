import CLinux
import Kernel
import OCI
public import Rootfs

/// Unpacks a tar into a directory of a tree that somebody uses: `docker cp` into a container.
///
/// Neither archive nor tree is trusted. A member's way is walked by `MountedTree` with the directory as its root: a link on it, the tree's
/// or the archive's, leads nowhere outside (CVE-2018-15664, CVE-2026-17106), and what the tree's owner swaps meanwhile is met by descriptors
/// only. Nothing that exists is written into: a file is unlinked and made anew, so a device, a pipe or a link in its place gets nothing.
/// Into the kernel's own file systems nothing is unpacked.
///
/// As Docker's `Untar`: directories merge, other things replace what has their name, `.wh.` means nothing, missing parents are made.
public final class TreeExtractor {
  private let tree: MountedTree
  private let target: String
  private let keepsKinds: Bool
  private let owner: Owner
  private let adapt: (inout TarEntry) -> Void
  /// A member for the root itself (`./`) gives the directory its owner and mode.
  public var takesRoot = false
  /// The directory that the last member was put into.
  private var parent: (path: String, found: MountedTree.Found)?
  private var directoryTimes: [(path: String, modified: timespec)] = []

  /// Whose everything is.
  public enum Owner: Sendable {
    /// As the archive tells.
    case archive
    case fixed(uid: UInt32, gid: UInt32)
    /// The process that unpacks; nothing is given away.
    case caller
  }

  /// `target`: how the directory is called in errors. `keepsKinds`: a directory isn't replaced by anything else, nor the other way
  /// round. `adapt` may give members other names first.
  public init(
    into directory: MountedTree.Found, of tree: MountedTree, target: String, keepsKinds: Bool,
    owner: Owner, adapt: @escaping (inout TarEntry) -> Void = { _ in }
  ) {
    self.tree = tree.subtree(directory)
    self.target = target
    self.keepsKinds = keepsKinds
    self.owner = owner
    self.adapt = adapt
  }

  public func extract(_ reader: TarReader) throws {
    guard try !KernelFileSystem.contains(tree.root.raw) else {
      throw ArchiveError("\"\(target)\" belongs to the kernel: nothing can be copied there")
    }
    while var entry = try reader.next() {
      adapt(&entry)
      do { try add(entry, reader) } catch let error as SyscallError { throw error.on(entry.printableName) }
    }
    for (path, modified) in directoryTimes {
      // The container may have removed it meanwhile.
      guard let found = try? tree.find(path, followingLast: false), found.status.fileType == .directory else {
        continue
      }
      let directory = try Sys.reopen(found.object.raw, O_RDONLY | O_DIRECTORY)
      try Sys.setTimes(directory.raw, access: modified, modification: modified)
    }
  }

  /// The member's components, cleaned as Go's `path.Clean` does; `nil` when they lead out.
  private static func components(_ name: [UInt8]) -> [[UInt8]]? {
    var result: [[UInt8]] = []
    for part in name.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8) {
      guard part.elementsEqual("..".utf8) else {
        result.append(Array(part))
        continue
      }
      guard result.popLast() != nil else { return nil }
    }
    return result
  }

  private func add(_ entry: TarEntry, _ reader: TarReader) throws {
    let member = entry.printableName
    guard let components = Self.components(entry.name), components.count < 512,
      components.allSatisfy({ $0.count <= 255 && !$0.contains(0) })
    else { throw ArchiveError("invalid entry name \"\(member)\"") }
    guard let last = components.last else {
      guard takesRoot, entry.kind == .directory else { return }
      let root = try Sys.reopen(tree.root.raw, O_RDONLY | O_DIRECTORY)
      if let (uid, gid) = try owner(of: entry) { try Sys.chown(root.raw, uid, gid) }
      return try Sys.fchmod(root.raw, mode_t(entry.mode & 0o7777))
    }
    let directory = try parentDirectory(components.dropLast())
    let name = last.map { CChar(bitPattern: $0) } + [0]
    let path = directory.path + [String(decoding: last, as: UTF8.self)]
    if let existing = try existing(name, path, in: directory.object.raw) {
      let isDirectory = existing.fileType == .directory
      if keepsKinds, isDirectory, entry.kind != .directory {
        throw ArchiveError("cannot overwrite directory \"\(Self.text(components))\" with non-directory \"\(target)\"")
      }
      if keepsKinds, !isDirectory, entry.kind == .directory {
        throw ArchiveError("cannot overwrite non-directory \"\(Self.text(components))\" with directory \"\(target)\"")
      }
      if tree.mounted(at: path) != nil, !isDirectory || entry.kind != .directory {
        throw SyscallError("unlink", member, .busy)
      }
      if !isDirectory || entry.kind != .directory {
        if existing.fileType != .regular { parent = nil }
        try Sys.removeTree(at: directory.object.raw, name: name)
      }
    }
    let place = directory.object.raw
    switch entry.kind {
    case .directory: try addDirectory(entry, place, name, path)
    case .file: try addFile(entry, place, name, reader)
    case .hardLink: try addHardLink(entry, place, name)
    case .symbolicLink:
      guard !entry.linkName.isEmpty, entry.linkName.count < 4096 else {
        throw ArchiveError(member: member, "its link text is empty or longer than 4095 bytes")
      }
      try Sys.symlink(entry.linkName.map { CChar(bitPattern: $0) } + [0], at: place, name: name)
      try finish(entry, place, name)
    case .characterDevice: try addNode(entry, .characterDevice, place, name)
    case .blockDevice: try addNode(entry, .blockDevice, place, name)
    case .fifo: try addNode(entry, .fifo, place, name)
    }
  }

  private static func text(_ components: [[UInt8]]) -> String {
    TarEntry.printable(components.joined(separator: [UInt8(ascii: "/")]).map { $0 })
  }

  private func parentDirectory(_ components: ArraySlice<[UInt8]>) throws -> MountedTree.Found {
    let path = components.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
    if let parent, parent.path == path { return parent.found }
    let found = try tree.find(path.isEmpty ? "/" : path, followingLast: true, missing: .makeDirectory)
    guard found.status.fileType == .directory else { throw SyscallError("open", path, .notDirectory) }
    guard try !KernelFileSystem.contains(found.object.raw) else {
      throw ArchiveError(member: path, "it belongs to the kernel: nothing can be copied there")
    }
    parent = (path, found)
    return found
  }

  private func existing(_ name: [CChar], _ path: [String], in directory: Int32) throws(SyscallError) -> stat? {
    if let mounted = tree.mounted(at: path) { return try Sys.fstat(mounted.raw) }
    do throws(SyscallError) { return try Sys.status(at: directory, name: name) } catch {
      guard error.errno == .noSuchFile else { throw error }
      return nil
    }
  }

  // MARK: the kinds

  private func addDirectory(_ entry: TarEntry, _ place: Int32, _ name: [CChar], _ path: [String]) throws {
    let directory: Descriptor
    if let mounted = tree.mounted(at: path) {
      directory = try Sys.reopen(mounted.raw, O_RDONLY | O_DIRECTORY)
    } else {
      do throws(SyscallError) { try Sys.mkdir(at: place, name: name, mode: 0o700) } catch {
        guard error.errno == .fileExists else { throw error }
      }
      directory = try Sys.open(at: place, name: name, O_RDONLY | O_DIRECTORY)
    }
    if try KernelFileSystem.contains(directory.raw) { return }
    try setMetadata(entry, directory.raw)
    directoryTimes.append((path.joined(separator: "/"), entry.modificationTime))
  }

  private func addFile(_ entry: TarEntry, _ place: Int32, _ name: [CChar], _ reader: TarReader) throws {
    let file = try Sys.open(at: place, name: name, O_CREAT | O_EXCL | O_WRONLY, mode: 0o600)
    if let segments = entry.segments {
      for segment in segments {
        var offset = segment.offset
        let end = segment.offset + segment.length
        while offset < end {
          let bytes = try reader.nextData(atMost: Int(min(end - offset, 1 << 20)))
          try Sys.pwriteAll(file.raw, bytes, at: offset)
          offset += Int64(bytes.count)
        }
      }
      try Sys.ftruncate(file.raw, entry.size)
    } else {
      while true {
        let bytes = try reader.nextData()
        if bytes.isEmpty { break }
        try Sys.writeAll(file.raw, bytes)
      }
    }
    try setMetadata(entry, file.raw)
    try Sys.setTimes(file.raw, access: entry.modificationTime, modification: entry.modificationTime)
  }

  private func addHardLink(_ entry: TarEntry, _ place: Int32, _ name: [CChar]) throws {
    let member = entry.printableName
    guard let components = Self.components(entry.linkName), let last = components.last else {
      throw ArchiveError("invalid hardlink \"\(TarEntry.printable(entry.linkName))\" -> \"\(member)\"")
    }
    let way = components.dropLast().map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
    let directory = try tree.find(way.isEmpty ? "/" : way, followingLast: true)
    try Sys.link(at: directory.object.raw, name: last.map { CChar(bitPattern: $0) } + [0], to: place, name: name)
  }

  private func addNode(_ entry: TarEntry, _ type: FileType, _ place: Int32, _ name: [CChar]) throws {
    let device = type == .fifo ? 0 : cl_makedev(entry.deviceMajor, entry.deviceMinor)
    try Sys.mknod(at: place, name: name, mode: type.rawValue | 0o600, device: device)
    let node = try Sys.open(at: place, name: name, O_PATH)
    // Another may be there by now, whose mode is its owner's business.
    guard try Sys.fstat(node.raw).fileType == type else { return }
    if let (uid, gid) = try owner(of: entry) { try Sys.chown("", uid, gid, at: node.raw) }
    try Sys.chmod(path: node.raw, mode_t(entry.mode))
    try Sys.setTimes(at: place, name: name, access: entry.modificationTime, modification: entry.modificationTime)
  }

  // MARK: what they have in common

  private func owner(of entry: TarEntry) throws -> (uid: UInt32, gid: UInt32)? {
    let owner: (uid: UInt32, gid: UInt32)
    switch self.owner {
    case .archive: owner = (entry.uid, entry.gid)
    case .fixed(let uid, let gid): owner = (uid, gid)
    case .caller: return nil
    }
    guard let owners = tree.owners else { return owner }
    guard let outside = owners.outside(owner.uid, owner.gid) else {
      throw ArchiveError(
        member: TarEntry.printable(entry.name), "the container has no user \(owner.uid) or no group \(owner.gid)")
    }
    return outside
  }

  /// In this order: a change of owner takes set-id bits and capabilities away.
  private func setMetadata(_ entry: TarEntry, _ file: Int32) throws {
    if let (uid, gid) = try owner(of: entry) { try Sys.chown(file, uid, gid) }
    try Sys.fchmod(file, mode_t(entry.mode))
    for (name, value) in entry.attributes where !name.starts(with: "trusted.".utf8) {
      do throws(SyscallError) {
        try Sys.setAttribute(file, name: name.map { CChar(bitPattern: $0) } + [0], value: value)
      } catch {
        // As Docker: what the file system or a security module doesn't know is left out.
        guard error.errno == .notSupported || error.errno == .notPermitted else { throw error }
      }
    }
  }

  private func finish(_ entry: TarEntry, _ place: Int32, _ name: [CChar]) throws {
    if let (uid, gid) = try owner(of: entry) { try Sys.chown(at: place, name: name, uid, gid) }
    try Sys.setTimes(at: place, name: name, access: entry.modificationTime, modification: entry.modificationTime)
  }
}

extension TarEntry {
  var modificationTime: timespec { timespec(tv_sec: Int(modified.seconds), tv_nsec: Int(modified.nanoseconds)) }
}

import CLinux
import Kernel
import OCI

/// Makes a directory tree of a layer's tar: what containers of the image see of this layer, whiteouts as overlayfs has them.
///
/// The tree is an empty directory that nobody else works on. Every member is reached from the root by descriptors, one component after the
/// other; a link on the way is followed only within the root, and only when this layer made it. A parent that the layer doesn't mention is
/// made with mode 0755, root's. A member that comes again replaces the earlier one, as in Docker; directories merge.
///
/// `.wh.x` becomes a character device 0:0 at `x`, `.wh..wh..opq` the attribute `trusted.overlay.opaque=y` on its directory: image-spec,
/// layer.md, "Whiteouts"; Linux, overlayfs.rst. A whiteout acts on the layers below only: when this layer has an `x` of its own too,
/// that stays, opaque if it is a directory. Attributes of overlayfs itself are refused, since they could uncover what lies below.
///
/// Nothing is synced: whoever names the tree syncs the file system once before.
public final class LayerUnpacker {
  /// What came of a layer.
  public struct Result: Sendable {
    /// Bytes of its regular files, holes included.
    public var size: Int64 = 0
    public var members = 0
    /// The tar told the root's own mode and owner.
    public var hasRoot = false
    /// Attributes that this file system can't hold, at most 16 of them told.
    public var warnings: [String] = []
  }

  let root: Int32
  private let limits: ArchiveLimits
  private let directories: DirectoryStack
  private let linkTargets: DirectoryStack
  private var directoryTimes: [(path: [[CChar]], modified: timespec)] = []
  private var hasReplacedDirectory = false
  var result = Result()

  /// `root`: a directory's descriptor, open for reading (not O_PATH), borrowed.
  public init(root: Int32, limits: ArchiveLimits = ArchiveLimits()) {
    self.root = root
    self.limits = limits
    directories = DirectoryStack(root: root)
    linkTargets = DirectoryStack(root: root)
  }

  public func unpack(_ reader: TarReader) throws -> Result {
    while let entry = try reader.next() {
      do {
        try add(entry, reader)
      } catch let error as SyscallError { throw error.on(entry.printableName) }
      result.members += 1
    }
    try setDirectoryTimes()
    return result
  }

  private func add(_ entry: TarEntry, _ reader: TarReader) throws {
    let member = entry.printableName
    let path = try MemberPath(entry.name, member: member, maximumDepth: limits.depth)
    for attribute in entry.attributes { try check(attribute.name, member) }
    guard let name = path.components.last else {
      guard entry.kind == .directory else { throw ArchiveError(member: member, "the root must be a directory") }
      return try setRoot(entry)
    }
    let parents = path.components.dropLast()
    let parent = try directories.descend(to: parents, member: member) { [self] parent, name in
      try makeImpliedDirectory(parent, name)
    }
    if name.starts(with: Whiteout.prefix) { return try addWhiteout(name, in: parent, member) }
    switch entry.kind {
    case .file: try addFile(entry, parent, name, reader)
    case .directory: try addDirectory(entry, parent, name, path: path.components)
    case .hardLink: try addHardLink(entry, parent, name)
    case .symbolicLink, .characterDevice, .blockDevice, .fifo: try addSpecial(entry, parent, name)
    }
  }

  // MARK: the kinds

  private func addFile(_ entry: TarEntry, _ parent: Int32, _ name: [CChar], _ reader: TarReader) throws {
    let file = try making(parent, name) { () throws(SyscallError) in
      try Sys.open(at: parent, name: name, O_CREAT | O_EXCL | O_WRONLY, mode: mode_t(entry.mode & 0o777))
    }
    let fd = file.raw
    if let segments = entry.segments {
      for segment in segments {
        var offset = segment.offset
        let end = segment.offset + segment.length
        while offset < end {
          let bytes = try reader.nextData(atMost: Int(min(end - offset, 1 << 20)))
          try Sys.pwriteAll(fd, bytes, at: offset)
          offset += Int64(bytes.count)
        }
      }
      try Sys.ftruncate(fd, entry.size)
    } else {
      while true {
        let bytes = try reader.nextData()
        if bytes.isEmpty { break }
        try Sys.writeAll(fd, bytes)
      }
    }
    result.size = result.size.addingReportingOverflow(entry.size).overflow ? Int64.max : result.size + entry.size
    // In this order: a change of owner takes set-id bits and capabilities away.
    try Sys.chown(fd, entry.uid, entry.gid)
    try Sys.fchmod(fd, mode_t(entry.mode))
    try setAttributes(entry) { name, value throws(SyscallError) in try Sys.setAttribute(fd, name: name, value: value) }
    try Sys.setTimes(fd, access: time(entry), modification: time(entry))
  }

  private func addDirectory(_ entry: TarEntry, _ parent: Int32, _ name: [CChar], path: [[CChar]]) throws {
    do throws(SyscallError) {
      try Sys.mkdir(at: parent, name: name, mode: mode_t(entry.mode & 0o777))
    } catch {
      guard error.errno == .fileExists else { throw error }
      let status = try Sys.status(at: parent, name: name)
      if status.fileType != .directory {
        try remove(parent, name, status)
        try Sys.mkdir(at: parent, name: name, mode: mode_t(entry.mode & 0o777))
        if Whiteout.isWhiteout(status) { try Whiteout.setOpaque(parent, name) }
      }
    }
    try setOwnerAndAttributes(entry, parent, name)
    directoryTimes.append((path, time(entry)))
  }

  private func addHardLink(_ entry: TarEntry, _ parent: Int32, _ name: [CChar]) throws {
    let member = entry.printableName
    let target = try MemberPath(entry.linkName, member: member, what: "link target", maximumDepth: limits.depth)
    guard let targetName = target.components.last else {
      throw ArchiveError(member: member, "it is a hard link to the root")
    }
    let missing = ArchiveError(
      member: member, "it is a hard link to \"\(TarEntry.printable(entry.linkName))\", which isn't in this layer")
    let targetParent = try directoryOfTarget(target, member, missing)
    do throws(SyscallError) {
      try Sys.link(at: targetParent, name: targetName, to: parent, name: name)
      return
    } catch {
      switch error.errno {
      case .noSuchFile: throw missing
      case .notPermitted: throw ArchiveError(member: member, "it is a hard link to a directory")
      case .fileExists: break
      default: throw error
      }
    }
    let existing = try Sys.status(at: parent, name: name)
    guard let status = try? Sys.status(at: targetParent, name: targetName) else { throw missing }
    // A link to itself, or the same once more.
    if status.st_ino == existing.st_ino, status.st_dev == existing.st_dev { return }
    // The target's descriptor outlives this only if the target lies elsewhere; otherwise the target goes, and the link fails.
    try remove(parent, name, existing, keepingLinkTargets: true)
    defer { linkTargets.forget() }
    do throws(SyscallError) {
      try Sys.link(at: targetParent, name: targetName, to: parent, name: name)
    } catch {
      if error.errno == .noSuchFile { throw missing }
      throw error
    }
  }

  private func directoryOfTarget(_ target: MemberPath, _ member: String, _ missing: ArchiveError) throws -> Int32 {
    do {
      return try linkTargets.descend(to: target.components.dropLast(), member: member, makeMissing: nil)
    } catch is ArchiveError { throw missing }
  }

  private func addSpecial(_ entry: TarEntry, _ parent: Int32, _ name: [CChar]) throws {
    let type: FileType =
      switch entry.kind {
      case .characterDevice: .characterDevice
      case .blockDevice: .blockDevice
      default: .fifo
      }
    let device = entry.kind == .fifo ? 0 : cl_makedev(entry.deviceMajor, entry.deviceMinor)
    if entry.kind == .symbolicLink {
      guard !entry.linkName.isEmpty, entry.linkName.count < 4096 else {
        throw ArchiveError(member: entry.printableName, "its link text is empty or longer than 4095 bytes")
      }
      let target = entry.linkName.map { CChar(bitPattern: $0) } + [0]
      try making(parent, name) { () throws(SyscallError) in try Sys.symlink(target, at: parent, name: name) }
    } else {
      try making(parent, name) { () throws(SyscallError) in
        try Sys.mknod(at: parent, name: name, mode: type.rawValue | mode_t(entry.mode & 0o777), device: device)
      }
    }
    try setOwnerAndAttributes(entry, parent, name)
    try Sys.setTimes(at: parent, name: name, access: time(entry), modification: time(entry))
  }

  private func setRoot(_ entry: TarEntry) throws {
    result.hasRoot = true
    try Sys.chown(root, entry.uid, entry.gid)
    try Sys.fchmod(root, mode_t(entry.mode))
    try setAttributes(entry) { [root] name, value throws(SyscallError) in
      try Sys.setAttribute(root, name: name, value: value)
    }
    directoryTimes.append(([], time(entry)))
  }

  // MARK: what they have in common

  /// Runs `make`, once more after taking away what has the name already.
  private func making<T: ~Copyable>(_ parent: Int32, _ name: [CChar], _ make: () throws(SyscallError) -> T) throws -> T
  {
    do throws(SyscallError) {
      return try make()
    } catch {
      guard error.errno == .fileExists else { throw error }
      try remove(parent, name, try Sys.status(at: parent, name: name))
      return try make()
    }
  }

  private func remove(_ parent: Int32, _ name: [CChar], _ status: stat, keepingLinkTargets: Bool = false) throws {
    if status.fileType == .directory {
      hasReplacedDirectory = true
      if !keepingLinkTargets { linkTargets.forget() }
      try Sys.removeTree(at: parent, name: name)
    } else {
      // It may be a link that the way to a target leads through.
      if status.fileType == .symbolicLink, !keepingLinkTargets { linkTargets.forget() }
      try Sys.unlink(at: parent, name: name)
    }
  }

  /// A directory that members lie in and none describes.
  private func makeImpliedDirectory(_ parent: Int32, _ name: [CChar]) throws -> Bool {
    do throws(SyscallError) {
      try Sys.mkdir(at: parent, name: name, mode: 0o755)
      try Sys.chmod(at: parent, name: name, 0o755)
      return true
    } catch {
      guard error.errno == .fileExists else { throw error }
      guard Whiteout.isWhiteout(try Sys.status(at: parent, name: name)) else { return false }
      try Sys.unlink(at: parent, name: name)
      try Sys.mkdir(at: parent, name: name, mode: 0o755)
      try Sys.chmod(at: parent, name: name, 0o755)
      try Whiteout.setOpaque(parent, name)
      return true
    }
  }

  private func setOwnerAndAttributes(_ entry: TarEntry, _ parent: Int32, _ name: [CChar]) throws {
    try Sys.chown(at: parent, name: name, entry.uid, entry.gid)
    if entry.kind != .symbolicLink { try Sys.chmod(at: parent, name: name, mode_t(entry.mode)) }
    try setAttributes(entry) { attribute, value throws(SyscallError) in
      try Sys.setAttribute(at: parent, of: name, name: attribute, value: value)
    }
  }

  private func check(_ attribute: [UInt8], _ member: String) throws {
    for prefix in ["trusted.overlay.", "user.overlay."] where attribute.starts(with: prefix.utf8) {
      throw ArchiveError(member: member, "its attribute \"\(TarEntry.printable(attribute))\" is overlayfs' own")
    }
  }

  private func setAttributes(
    _ entry: TarEntry, _ set: (_ name: [CChar], _ value: [UInt8]) throws(SyscallError) -> Void
  ) throws(SyscallError) {
    for (attribute, value) in entry.attributes {
      do throws(SyscallError) {
        try set(attribute.map { CChar(bitPattern: $0) } + [0], value)
      } catch {
        // As Docker: what the file system or the kernel's security modules don't know is left out, not fatal.
        guard error.errno == .notSupported || error.errno == .notPermitted else { throw error }
        if result.warnings.count < 16 {
          result.warnings.append("\(entry.printableName): attribute \(TarEntry.printable(attribute)): \(error.errno)")
        }
      }
    }
  }

  private func time(_ entry: TarEntry) -> timespec {
    timespec(tv_sec: Int(entry.modified.seconds), tv_nsec: Int(entry.modified.nanoseconds))
  }

  /// Last of all, since every member made in a directory changes its time.
  private func setDirectoryTimes() throws {
    for (path, modified) in directoryTimes {
      guard let name = path.last else {
        try Sys.setTimes(root, access: modified, modification: modified)
        continue
      }
      do {
        let parent = try directories.descend(to: path.dropLast(), member: MemberPath.text(name), makeMissing: nil)
        if hasReplacedDirectory, try Sys.status(at: parent, name: name).fileType != .directory { continue }
        try Sys.setTimes(at: parent, name: name, access: modified, modification: modified)
      } catch  where hasReplacedDirectory {
        // A later member took the place of this directory or of one above it.
        continue
      }
    }
  }
}

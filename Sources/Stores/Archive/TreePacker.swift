public import CLinux
public import Kernel
import OCI
public import Rootfs

/// Writes a directory tree as tar members: an image's layer, a container's files.
///
/// The tree may be a hostile one that changes meanwhile. Every object is opened by its name below its directory's descriptor, without
/// following links and without touching what it is (O_PATH), looked at, and only when it is a regular file opened once more through that
/// descriptor: a device is never opened, a pipe never waited for. What has gone by then is left out. A file that shrinks is filled up with
/// zeros, one that grows is cut at the size that its header tells.
///
/// Names in a directory come sorted by their bytes, so that the same tree makes the same archive. Sockets are left out, as in Docker. The
/// kernel's own file systems (`KernelFileSystem`) are told as empty directories.
public final class TreePacker {
  public enum Marks: Sendable {
    /// A tree as it is seen: there are none.
    case none
    /// An overlay's upper directory: its whiteouts and opaque directories become `.wh.` members (image-spec, layer.md).
    case overlay
  }

  private struct Inode: Hashable {
    let device: UInt64
    let number: UInt64
  }

  private let writer: TarWriter
  private let marks: Marks
  private let tree: MountedTree?
  private let isLeftOut: (_ path: [String], _ status: stat) -> Bool
  private var linked: [Inode: [UInt8]] = [:]
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)

  /// Deeper than any tool reaches by a path, and as many descriptors as are open at once.
  private static let maximumDepth = 512

  /// `tree`: whose mounts are entered. `isLeftOut` is asked for each object with its path from the root.
  public init(
    _ writer: TarWriter, marks: Marks = .none, tree: MountedTree? = nil,
    isLeftOut: @escaping (_ path: [String], _ status: stat) -> Bool = { _, _ in false }
  ) {
    self.writer = writer
    self.marks = marks
    self.tree = tree
    self.isLeftOut = isLeftOut
  }

  deinit { buffer.deallocate() }

  /// The object as a member of that name, and all that is below it. `path`: where it is in the tree.
  public func add(_ object: SharedDescriptor, path: [String], as name: [UInt8]) throws {
    let status = try Sys.fstat(object.raw)
    guard status.fileType == .directory else { return try add(object, status, name) }
    try addDirectory(object.raw, status, name, path)
  }

  /// What is in a directory, without a member for itself: its names begin the members' own.
  public func add(contentsOf directory: SharedDescriptor, path: [String] = []) throws {
    let open = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: directory.raw)
    try addEntries(open.raw, prefix: [], path, device: UInt64(try Sys.fstat(open.raw).st_dev))
  }

  private func addDirectory(_ descriptor: Int32, _ status: stat, _ name: [UInt8], _ path: [String]) throws {
    let prefix = name.last == UInt8(ascii: "/") ? name : name + [UInt8(ascii: "/")]
    var entry = entry(status, name: prefix, kind: .directory)
    try addAttributes(&entry, descriptor, [0x2E, 0])
    try writer.add(entry)
    if marks == .overlay, try Whiteout.isOpaque(descriptor) {
      var mark = TarEntry()
      mark.name = prefix + Whiteout.opaque.dropLast().map { UInt8(bitPattern: $0) }
      mark.mode = 0o600
      mark.modified = entry.modified
      try writer.add(mark)
    }
    if try KernelFileSystem.contains(descriptor) { return }
    let open = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: descriptor)
    try addEntries(open.raw, prefix: prefix, path, device: UInt64(status.st_dev))
  }

  private func addEntries(_ directory: Int32, prefix: [UInt8], _ path: [String], device: UInt64) throws {
    guard path.count < Self.maximumDepth else {
      throw ArchiveError(member: TarEntry.printable(prefix), "it is deeper than \(Self.maximumDepth)")
    }
    for name in try Sys.sortedNames(directory) {
      let bytes = name.dropLast().map { UInt8(bitPattern: $0) }
      let childPath = path + [String(decoding: bytes, as: UTF8.self)]
      let child: SharedDescriptor
      if let mounted = tree?.mounted(at: childPath) {
        child = mounted
      } else {
        do throws(SyscallError) { child = SharedDescriptor(try Sys.open(at: directory, name: name, O_PATH)) } catch {
          guard error.errno == .noSuchFile else { throw error.on(TarEntry.printable(prefix + bytes)) }
          continue
        }
      }
      let status = try Sys.fstat(child.raw)
      if isLeftOut(childPath, status) { continue }
      if marks == .overlay, Whiteout.isWhiteout(status) {
        try addWhiteout(prefix, bytes, status)
      } else if status.fileType == .directory {
        try addDirectory(child.raw, status, prefix + bytes, childPath)
      } else {
        try add(child, status, prefix + bytes, at: (directory, name))
      }
    }
  }

  private func entry(_ status: stat, name: [UInt8], kind: TarEntry.Kind) -> TarEntry {
    var entry = TarEntry(status, name: name, kind: kind)
    if let owners = tree?.owners { (entry.uid, entry.gid) = owners.inside(entry.uid, entry.gid) }
    return entry
  }

  private func addWhiteout(_ prefix: [UInt8], _ name: [UInt8], _ status: stat) throws {
    var entry = TarEntry(status, name: prefix + Array(".wh.".utf8) + name, kind: .file)
    entry.mode = 0o600
    entry.size = 0
    try writer.add(entry)
  }

  /// Anything but a directory. `place`: its directory and name, where its attributes are read; `nil` when only a descriptor is there.
  private func add(
    _ object: SharedDescriptor, _ status: stat, _ name: [UInt8], at place: (directory: Int32, name: [CChar])? = nil
  ) throws {
    let kind: TarEntry.Kind
    switch status.fileType {
    case .regular: kind = .file
    case .symbolicLink: kind = .symbolicLink
    case .characterDevice: kind = .characterDevice
    case .blockDevice: kind = .blockDevice
    case .fifo: kind = .fifo
    case .socket, .directory, nil: return
    }
    var entry = entry(status, name: name, kind: kind)
    if status.st_nlink > 1 {
      let inode = Inode(device: UInt64(status.st_dev), number: UInt64(status.st_ino))
      if let first = linked[inode] {
        entry.kind = .hardLink
        entry.linkName = first
        return try writer.add(entry)
      }
      linked[inode] = name
    }
    switch kind {
    case .file:
      try addFile(object, &entry)
    case .symbolicLink:
      entry.linkName = try Sys.readLink(at: object.raw, name: "")
      if let place { try addAttributes(&entry, place.directory, place.name) }
      try writer.add(entry)
    default:
      entry.deviceMajor = UInt32(cl_major(UInt64(status.st_rdev)))
      entry.deviceMinor = UInt32(cl_minor(UInt64(status.st_rdev)))
      try writer.add(entry)
    }
  }

  private func addFile(_ object: SharedDescriptor, _ entry: inout TarEntry) throws {
    // A file of the kernel's tells no size, and reading it may do something.
    let isReal = try !KernelFileSystem.contains(object.raw)
    guard entry.size > 0, isReal else {
      entry.size = 0
      if isReal { try addFileAttributes(&entry, object) }
      return try writer.add(entry)
    }
    let file = try Sys.reopen(object.raw, O_RDONLY | O_NONBLOCK | O_NOCTTY)
    try addFileAttributes(&entry, object)
    try writer.add(entry)
    var left = entry.size
    while left > 0 {
      let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(left, Int64(buffer.count)))])
      let count = try Sys.read(file.raw, part)
      guard count > 0 else { break }
      try writer.data(UnsafeRawBufferPointer(rebasing: part[..<count]))
      left -= Int64(count)
    }
    guard left > 0 else { return }
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    while left > 0 {
      let part = buffer[..<Int(min(left, Int64(buffer.count)))]
      try writer.data(UnsafeRawBufferPointer(rebasing: part))
      left -= Int64(part.count)
    }
  }

  private func addFileAttributes(_ entry: inout TarEntry, _ object: SharedDescriptor) throws {
    try addAttributes(&entry, object.raw, nil)
  }

  /// Capabilities, access lists and users' own attributes; those of overlayfs, of security modules and of trusted programs belong to
  /// this host.
  private func addAttributes(_ entry: inout TarEntry, _ descriptor: Int32, _ name: [CChar]?) throws {
    for attribute in try Sys.attributeNames(at: descriptor, of: name) where Self.isPacked(attribute) {
      let key = attribute.map { CChar(bitPattern: $0) } + [0]
      guard let value = try Sys.attribute(at: descriptor, of: name, name: key) else { continue }
      entry.attributes.append((attribute, value))
    }
    entry.attributes.sort { $0.name.lexicographicallyPrecedes($1.name) }
  }

  private static func isPacked(_ name: [UInt8]) -> Bool {
    if name.elementsEqual("security.capability".utf8) { return true }
    if name.starts(with: "user.overlay.".utf8) { return false }
    return name.starts(with: "user.".utf8) || name.starts(with: "system.posix_acl_".utf8)
  }
}

extension TarEntry {
  init(_ status: stat, name: [UInt8], kind: Kind) {
    self.init()
    self.name = name
    self.kind = kind
    mode = UInt32(status.st_mode & 0o7777)
    uid = status.st_uid
    gid = status.st_gid
    size = kind == .file ? Int64(status.st_size) : 0
    modified = Timestamp(seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int32(status.st_mtim.tv_nsec))
  }
}

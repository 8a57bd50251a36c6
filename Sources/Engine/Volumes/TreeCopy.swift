import CLinux
public import Kernel

/// Copies a tree with all that its files are: owners, modes, times, extended attributes, hard links, holes, links, devices, pipes and
/// sockets. Blocks are shared where the file system can (FICLONE), otherwise copied in the kernel.
///
/// Both trees are walked by descriptors; no link is followed and no other mount entered. Names are raw bytes.
public struct TreeCopy {
  private struct File: Hashable {
    let device: UInt64
    let inode: UInt64
  }

  /// Deeper than any tool makes them; a descriptor or two a level are open.
  private static let maximumDepth = 400

  private let target: Int32
  /// Where the first of several hard links has gone, from the target's root.
  private var linked: [File: [CChar]] = [:]
  private var sharesBlocks = true
  private var copiesInKernel = true
  /// Bytes of the files copied, holes not counted.
  public private(set) var bytes: Int64 = 0
  public private(set) var files = 0

  /// Copies what is in `source` into `target`, both directories, and gives `target` the owner, mode, times and attributes of `source`.
  @discardableResult
  public static func copy(from source: Int32, to target: Int32) throws(SyscallError) -> TreeCopy {
    var copy = TreeCopy(target: target)
    let readable = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: source)
    try copy.contents(of: readable.raw, into: target, path: [], depth: 0)
    try copy.finish(readable.raw, target)
    return copy
  }

  /// Whether a directory has no entries.
  public static func isEmpty(_ directory: Int32) throws(SyscallError) -> Bool {
    let readable = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: directory)
    var isEmpty = true
    try Sys.forEachEntry(readable.raw) { _, _ throws(SyscallError) in isEmpty = false }
    return isEmpty
  }

  private init(target: Int32) { self.target = target }

  private mutating func contents(of source: Int32, into directory: Int32, path: [CChar], depth: Int)
    throws(SyscallError)
  {
    guard depth < Self.maximumDepth else { throw SyscallError("open", Self.text(path), .nameTooLong) }
    var names: [[CChar]] = []
    try Sys.forEachEntry(source) { name, _ throws(SyscallError) in
      names.append(Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1)))
    }
    for name in names {
      // `path` is empty or ends with a slash.
      do throws(SyscallError) { try entry(name, of: source, into: directory, path: path, depth: depth) } catch {
        throw error.on(Self.text(path + name))
      }
    }
  }

  private static func text(_ path: [CChar]) -> String {
    String(decoding: path.filter { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private mutating func entry(_ name: [CChar], of source: Int32, into directory: Int32, path: [CChar], depth: Int)
    throws(SyscallError)
  {
    let status: stat
    // A process may work on the source meanwhile: what went is as if it hadn't been.
    do throws(SyscallError) { status = try Sys.status(at: source, name: name) } catch {
      guard error.errno == .noSuchFile else { throw error }
      return
    }
    files += 1
    let own = path + name
    let kind = status.fileType
    if kind != .directory, status.st_nlink > 1 {
      let file = File(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
      if let first = linked[file] {
        return try Sys.link(at: target, name: first, to: directory, name: name)
      }
      linked[file] = own
    }
    switch kind {
    case .directory:
      let child: Descriptor
      // Another mount's root is an empty directory here.
      do throws(SyscallError) {
        child = try Sys.openat2(at: source, name: name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: 0x01 | 0x02)
      } catch {
        guard error.errno == .crossDevice else { throw error }
        try Sys.mkdir(at: directory, name: name, mode: 0o755)
        return
      }
      try Sys.mkdir(at: directory, name: name, mode: 0o700)
      let copy = try Sys.open(at: directory, name: name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      let below = own.dropLast() + [CChar(UInt8(ascii: "/"))]
      try contents(of: child.raw, into: copy.raw, path: Array(below), depth: depth + 1)
      try finish(child.raw, copy.raw)
    case .regular:
      let file: Descriptor
      do throws(SyscallError) { file = try Sys.open(at: source, name: name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) } catch
      {
        guard error.errno == .noSuchFile else { throw error }
        return
      }
      let copy = try Sys.open(at: directory, name: name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
      try data(file.raw, copy.raw, size: Int64(status.st_size))
      try finish(file.raw, copy.raw)
    case .symbolicLink:
      var link = [CChar](repeating: 0, count: 4097)
      let count = try Sys.retrying("readlinkat", "") {
        link.withUnsafeMutableBufferPointer { buffer in
          buffer.baseAddress.map { readlinkat(source, name, $0, 4096) } ?? 0
        }
      }
      link[count] = 0
      try Sys.symlink(link, at: directory, name: name)
      try finishNamed(status, source, directory, name)
    case .fifo, .socket, .characterDevice, .blockDevice:
      try Sys.mknod(at: directory, name: name, mode: status.st_mode, device: UInt64(status.st_rdev))
      try Sys.chown(at: directory, name: name, status.st_uid, status.st_gid)
      try Sys.chmod(at: directory, name: name, status.st_mode & 0o7777)
      try Sys.setTimes(at: directory, name: name, access: status.st_atim, modification: status.st_mtim)
    case nil: return
    }
  }

  private mutating func data(_ source: Int32, _ target: Int32, size: Int64) throws(SyscallError) {
    guard size > 0 else { return }
    if sharesBlocks {
      do throws(SyscallError) {
        try Sys.clone(source, into: target)
        bytes += size
        return
      } catch {
        switch error.errno {
        case .notSupported, .crossDevice, .invalidArgument, .notTerminal, .notPermitted: sharesBlocks = false
        default: throw error
        }
      }
    }
    var offset: Int64 = 0
    while true {
      let start: Int64
      do throws(SyscallError) { start = try Sys.lseek(source, offset, SEEK_DATA) } catch {
        // Nothing but a hole up to the end.
        guard error.errno == Errno(rawValue: ENXIO) else { throw error }
        break
      }
      let end = try Sys.lseek(source, start, SEEK_HOLE)
      offset = start
      while offset < end {
        let count = try range(source, target, offset, Int(min(end - offset, 64 << 20)))
        if count == 0 { break }
        offset += Int64(count)
        bytes += Int64(count)
      }
      if offset < end { break }
    }
    // The file as long as it is now, with its last hole.
    try Sys.ftruncate(target, max(offset, Int64(try Sys.fstat(source).st_size)))
  }

  /// In the kernel where both files are of one file system; through memory otherwise.
  private mutating func range(_ source: Int32, _ target: Int32, _ offset: Int64, _ length: Int) throws(SyscallError)
    -> Int
  {
    if copiesInKernel {
      do throws(SyscallError) { return try Sys.copyRange(source, offset, target, offset, length: length) } catch {
        switch error.errno {
        case .crossDevice, .notSupported, .invalidArgument, .noSuchCall: copiesInKernel = false
        default: throw error
        }
      }
    }
    return try withUnsafeTemporaryAllocation(byteCount: min(length, 256 << 10), alignment: 4096) {
      buffer throws(SyscallError) in
      let count = try Sys.pread(source, UnsafeMutableRawBufferPointer(buffer), at: offset)
      try Sys.pwriteAll(target, UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
      return count
    }
  }

  /// Owner before mode, since a change of owner takes set-id bits away; times last.
  private func finish(_ source: Int32, _ target: Int32) throws(SyscallError) {
    let status = try Sys.fstat(source)
    try Sys.chown(target, status.st_uid, status.st_gid)
    try Sys.fchmod(target, status.st_mode & 0o7777)
    for (name, value) in try Sys.attributes(source) where Self.isKept(name) {
      do throws(SyscallError) { try Sys.setAttribute(target, name: name, value: value) } catch {
        guard error.errno == .notSupported else { throw error }
      }
    }
    try Sys.setTimes(target, access: status.st_atim, modification: status.st_mtim)
  }

  private func finishNamed(_ status: stat, _ source: Int32, _ directory: Int32, _ name: [CChar]) throws(SyscallError) {
    try Sys.chown(at: directory, name: name, status.st_uid, status.st_gid)
    for (attribute, value) in try Sys.attributes(at: source, name: name) where Self.isKept(attribute) {
      do throws(SyscallError) { try Sys.setAttribute(at: directory, of: name, name: attribute, value: value) } catch {
        guard error.errno == .notSupported else { throw error }
      }
    }
    try Sys.setTimes(at: directory, name: name, access: status.st_atim, modification: status.st_mtim)
  }

  /// An overlay's own marks and a security module's labels belong to where they are.
  private static func isKept(_ name: [CChar]) -> Bool {
    let text = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return !text.hasPrefix("trusted.overlay.") && text != "security.selinux"
  }
}

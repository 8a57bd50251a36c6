public import CLinux

extension Sys {
  public static let currentDirectory: Int32 = AT_FDCWD

  /// openat(2), close-on-exec always.
  public static func open(
    _ path: String, _ flags: Int32 = O_RDONLY, mode: mode_t = 0o644, at directory: Int32 = AT_FDCWD
  ) throws(SyscallError) -> Descriptor {
    Descriptor(owning: try retrying("openat", path) { cl_openat(directory, path, flags | O_CLOEXEC, mode) })
  }

  /// openat2(2), Linux 5.6; `resolve`: RESOLVE_IN_ROOT and its siblings.
  public static func openat2(
    _ path: String, _ flags: Int32, mode: mode_t = 0, resolve: Int32, at directory: Int32
  ) throws(SyscallError) -> Descriptor {
    // EAGAIN: the kernel could not prove that the path stays in the root while something was renamed; try again.
    for _ in 0..<128 {
      do throws(SyscallError) {
        return Descriptor(
          owning: Int32(
            try retrying("openat2", path) {
              cl_openat2(directory, path, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), UInt64(mode), UInt64(resolve))
            }))
      } catch  where error.errno == .wouldBlock { continue }
    }
    throw SyscallError("openat2", path, .wouldBlock)
  }

  /// Fewer bytes than asked for only at the end of a file, or as pipes and sockets give; 0 is the end.
  public static func read(_ fd: Int32, _ buffer: UnsafeMutableRawBufferPointer) throws(SyscallError) -> Int {
    try retrying("read", "fd \(fd)") { CLinux.read(fd, buffer.baseAddress, buffer.count) }
  }

  public static func pread(_ fd: Int32, _ buffer: UnsafeMutableRawBufferPointer, at offset: Int64) throws(SyscallError)
    -> Int
  {
    try retrying("pread", "fd \(fd)") { CLinux.pread(fd, buffer.baseAddress, buffer.count, off_t(offset)) }
  }

  public static func write(_ fd: Int32, _ buffer: UnsafeRawBufferPointer) throws(SyscallError) -> Int {
    try retrying("write", "fd \(fd)") { CLinux.write(fd, buffer.baseAddress, buffer.count) }
  }

  /// Writes the whole buffer to a blocking descriptor.
  public static func writeAll(_ fd: Int32, _ buffer: UnsafeRawBufferPointer) throws(SyscallError) {
    var rest = buffer
    while !rest.isEmpty {
      let written = try write(fd, rest)
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
    }
  }

  public static func writeAll(_ fd: Int32, _ bytes: [UInt8]) throws(SyscallError) {
    let failure: SyscallError? = bytes.withUnsafeBytes { buffer in
      do throws(SyscallError) {
        try writeAll(fd, buffer)
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
  }

  public static func writeAll(_ fd: Int32, _ text: String) throws(SyscallError) { try writeAll(fd, Array(text.utf8)) }

  /// The rest of a file, at most `limit` bytes; a longer one is EFBIG.
  public static func readAll(_ fd: Int32, limit: Int = 64 << 20) throws(SyscallError) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = 4096
    while true {
      let start = bytes.count
      var failure: SyscallError?
      let room = min(chunk, limit - start + 1)
      let more = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
        do throws(SyscallError) { count = try read(fd, UnsafeMutableRawBufferPointer(buffer)) } catch {
          failure = error
        }
      }
      if let failure { throw failure }
      if more.isEmpty { return bytes }
      bytes += more
      guard bytes.count <= limit else { throw SyscallError("read", "fd \(fd)", Errno(rawValue: EFBIG)) }
      chunk = min(chunk * 2, 1 << 20)
    }
  }

  /// A whole small file.
  public static func readFile(_ path: String, at directory: Int32 = AT_FDCWD, limit: Int = 64 << 20)
    throws(SyscallError) -> [UInt8]
  {
    let file = try open(path, O_RDONLY, at: directory)
    do throws(SyscallError) { return try readAll(file.raw, limit: limit) } catch { throw error.on(path) }
  }

  /// Opens an existing file (procfs, sysfs, cgroupfs) and writes the text in one write.
  public static func writeFile(_ path: String, _ text: String, at directory: Int32 = AT_FDCWD) throws(SyscallError) {
    let file = try open(path, O_WRONLY, at: directory)
    do throws(SyscallError) { try writeAll(file.raw, text) } catch { throw error.on(path) }
  }

  public static func mkdir(_ path: String, mode: mode_t = 0o755, at directory: Int32 = AT_FDCWD) throws(SyscallError) {
    try retrying("mkdir", path) { mkdirat(directory, path, mode) }
  }

  /// Makes the directory and the ones above it that are missing.
  public static func mkdirAll(_ path: String, mode: mode_t = 0o755) throws(SyscallError) {
    do throws(SyscallError) {
      try mkdir(path, mode: mode)
    } catch  where error.errno == .fileExists {
      return
    } catch  where error.errno == .noSuchFile {
      guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { throw error }
      try mkdirAll(String(path[..<slash]), mode: mode)
      do throws(SyscallError) { try mkdir(path, mode: mode) } catch  where error.errno == .fileExists { return }
    }
  }

  public static func mknod(_ path: String, mode: mode_t, device: UInt64, at directory: Int32 = AT_FDCWD)
    throws(SyscallError)
  {
    try retrying("mknod", path) { mknodat(directory, path, mode, dev_t(device)) }
  }

  public static func symlink(_ target: String, _ path: String, at directory: Int32 = AT_FDCWD) throws(SyscallError) {
    try retrying("symlink", path) { symlinkat(target, directory, path) }
  }

  public static func link(
    _ old: String, at oldDirectory: Int32 = AT_FDCWD, _ new: String, at newDirectory: Int32 = AT_FDCWD, flags: Int32 = 0
  ) throws(SyscallError) {
    try retrying("link", new) { linkat(oldDirectory, old, newDirectory, new, flags) }
  }

  public static func unlink(_ path: String, at directory: Int32 = AT_FDCWD) throws(SyscallError) {
    try retrying("unlink", path) { unlinkat(directory, path, 0) }
  }

  public static func rmdir(_ path: String, at directory: Int32 = AT_FDCWD) throws(SyscallError) {
    try retrying("rmdir", path) { unlinkat(directory, path, AT_REMOVEDIR) }
  }

  /// renameat2(2); `flags`: RENAME_NOREPLACE (1), RENAME_EXCHANGE (2).
  public static func rename(
    _ old: String, at oldDirectory: Int32 = AT_FDCWD, to new: String, at newDirectory: Int32 = AT_FDCWD,
    flags: UInt32 = 0
  ) throws(SyscallError) {
    try retrying("rename", "\(old)\" to \"\(new)") { cl_renameat2(oldDirectory, old, newDirectory, new, flags) }
  }

  public static func readlink(_ path: String, at directory: Int32 = AT_FDCWD) throws(SyscallError) -> String {
    try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 4096) { buffer throws(SyscallError) in
      let count = try retrying("readlink", path) {
        buffer.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { readlinkat(directory, path, $0, 4096) } ?? -1 }
      }
      return String(decoding: UnsafeBufferPointer(rebasing: buffer[..<count]), as: UTF8.self)
    }
  }

  public static func fstat(_ fd: Int32) throws(SyscallError) -> stat {
    var status = stat()
    try retrying("fstat", "fd \(fd)") { CLinux.fstat(fd, &status) }
    return status
  }

  /// fstatat(2); pass AT_SYMLINK_NOFOLLOW for the link itself, AT_EMPTY_PATH for the descriptor.
  public static func status(_ path: String, at directory: Int32 = AT_FDCWD, flags: Int32 = 0) throws(SyscallError)
    -> stat
  {
    var status = stat()
    try retrying("stat", path) { fstatat(directory, path, &status, flags) }
    return status
  }

  public static func exists(_ path: String, at directory: Int32 = AT_FDCWD) -> Bool {
    cl_faccessat(directory, path, F_OK) == 0
  }

  public static func fileSystem(_ fd: Int32) throws(SyscallError) -> statfs {
    var status = statfs()
    try retrying("fstatfs", "fd \(fd)") { fstatfs(fd, &status) }
    return status
  }

  public static func fchmod(_ fd: Int32, _ mode: mode_t) throws(SyscallError) {
    try retrying("fchmod", "fd \(fd)") { CLinux.fchmod(fd, mode) }
  }

  public static func chmod(_ path: String, _ mode: mode_t, at directory: Int32 = AT_FDCWD) throws(SyscallError) {
    try retrying("chmod", path) { fchmodat(directory, path, mode, 0) }
  }

  /// fchownat(2), of the link itself.
  public static func chown(_ path: String, _ uid: uid_t, _ gid: gid_t, at directory: Int32 = AT_FDCWD)
    throws(SyscallError)
  {
    try retrying("chown", path) { fchownat(directory, path, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) }
  }

  /// utimensat(2), of the link itself.
  public static func setTimes(
    _ path: String, access: timespec, modification: timespec, at directory: Int32 = AT_FDCWD
  ) throws(SyscallError) {
    let times = [access, modification]
    try retrying("utimensat", path) { utimensat(directory, path, times, AT_SYMLINK_NOFOLLOW) }
  }

  public static func ftruncate(_ fd: Int32, _ size: Int64) throws(SyscallError) {
    try retrying("ftruncate", "fd \(fd)") { CLinux.ftruncate(fd, off_t(size)) }
  }

  /// lseek(2); answers the new offset. `whence`: SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA (3), SEEK_HOLE (4).
  @discardableResult
  public static func lseek(_ fd: Int32, _ offset: Int64, _ whence: Int32) throws(SyscallError) -> Int64 {
    Int64(try retrying("lseek", "fd \(fd)") { CLinux.lseek(fd, off_t(offset), whence) })
  }

  public static func fsync(_ fd: Int32) throws(SyscallError) { try retrying("fsync", "fd \(fd)") { CLinux.fsync(fd) } }
  public static func fdatasync(_ fd: Int32) throws(SyscallError) {
    try retrying("fdatasync", "fd \(fd)") { CLinux.fdatasync(fd) }
  }
  public static func syncfs(_ fd: Int32) throws(SyscallError) {
    try retrying("syncfs", "fd \(fd)") { CLinux.syncfs(fd) }
  }

  /// Adds to an inode's flags (ioctl_iflags(2)), e.g. FS_TOPDIR_FL (0x20000). ENOTTY or EOPNOTSUPP: the file system has none.
  public static func addInodeFlags(_ fd: Int32, _ flags: Int32) throws(SyscallError) {
    // FS_IOC_GETFLAGS and FS_IOC_SETFLAGS, _IOR and _IOW('f', 1 and 2, long); what is passed is an int.
    var current: Int32 = 0
    try retrying("ioctl", "FS_IOC_GETFLAGS") { cl_ioctl(fd, 0x8008_6601, &current) }
    guard current & flags != flags else { return }
    current |= flags
    try retrying("ioctl", "FS_IOC_SETFLAGS") { cl_ioctl(fd, 0x4008_6602, &current) }
  }

  /// Asks the disk to begin writing these bytes, waits for nothing and promises nothing (sync_file_range(2)): a later sync has less to do.
  public static func startWriteback(_ fd: Int32, offset: Int64, length: Int64) {
    _ = sync_file_range(fd, off_t(offset), off_t(length), 2)  // SYNC_FILE_RANGE_WRITE
  }

  /// Makes a rename, link or unlink in that directory durable.
  public static func syncDirectory(_ path: String) throws(SyscallError) {
    let directory = try open(path, O_RDONLY | O_DIRECTORY)
    do throws(SyscallError) { try fsync(directory.raw) } catch { throw error.on(path) }
  }

  public static func lsetxattr(_ path: String, _ name: String, _ value: [UInt8]) throws(SyscallError) {
    try retrying("setxattr", "\(path) \(name)") { CLinux.lsetxattr(path, name, value, value.count, 0) }
  }

  public static func fsetxattr(_ fd: Int32, _ name: String, _ value: [UInt8]) throws(SyscallError) {
    try retrying("setxattr", "\(name)") { CLinux.fsetxattr(fd, name, value, value.count, 0) }
  }

  /// flock(2): an advisory lock on an open file description. Throws EWOULDBLOCK when another holds it and `wait` is false.
  public static func lock(_ fd: Int32, exclusive: Bool = true, wait: Bool) throws(SyscallError) {
    try retrying("flock", "fd \(fd)") { flock(fd, (exclusive ? LOCK_EX : LOCK_SH) | (wait ? 0 : LOCK_NB)) }
  }

  /// fcntl(2), F_SETLK: an advisory lock on the whole file, of this process alone: its children don't inherit it, and it ends with the
  /// process, or when the process closes any descriptor of the file. Throws EWOULDBLOCK when another holds it and `wait` is false.
  public static func lockFile(_ fd: Int32, wait: Bool) throws(SyscallError) {
    do throws(SyscallError) { try retrying("fcntl", "fd \(fd)") { cl_lock_file(fd, wait ? 1 : 0) } } catch {
      // POSIX allows either.
      throw error.errno == .permissionDenied ? SyscallError(error.call, error.object, .wouldBlock) : error
    }
  }

  /// An entry of a directory: `type` is DT_DIR, DT_REG, … or DT_UNKNOWN.
  public struct DirectoryEntry: Sendable {
    public let name: String
    public let type: UInt8
    public let inode: UInt64
  }

  /// All entries but `.` and `..`, in the kernel's order. Names that aren't UTF-8 are an error (EILSEQ).
  public static func entries(of path: String, at directory: Int32 = AT_FDCWD) throws(SyscallError) -> [DirectoryEntry] {
    let fd = try open(path, O_RDONLY | O_DIRECTORY, at: directory)
    do throws(SyscallError) { return try entries(fd.raw) } catch { throw error.on(path) }
  }

  /// As above, of an open directory, from its present offset.
  public static func entries(_ fd: Int32) throws(SyscallError) -> [DirectoryEntry] {
    var result: [DirectoryEntry] = []
    try withUnsafeTemporaryAllocation(byteCount: 32768, alignment: 8) { buffer throws(SyscallError) in
      while true {
        let count = Int(try retrying("getdents64", "fd \(fd)") { cl_getdents64(fd, buffer.baseAddress, buffer.count) })
        if count == 0 { return }
        var offset = 0
        while offset + 19 < count {
          let length = Int(buffer.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
          guard length > 19, offset + length <= count else { throw SyscallError("getdents64", "fd \(fd)", .io) }
          let bytes = buffer[(offset + 19)..<(offset + length)]
          let end = bytes.firstIndex(of: 0) ?? bytes.endIndex
          guard let name = String(validating: bytes[bytes.startIndex..<end], as: UTF8.self) else {
            throw SyscallError("getdents64", "fd \(fd)", Errno(rawValue: EILSEQ))
          }
          if name != "." && name != ".." {
            result.append(
              DirectoryEntry(
                name: name, type: buffer[offset + 18],
                inode: buffer.loadUnaligned(fromByteOffset: offset, as: UInt64.self)))
          }
          offset += length
        }
      }
    }
    return result
  }

  /// Writes a file whole or not at all: a temporary sibling, synced when `durable`, renamed over `path`.
  public static func replaceFile(
    _ path: String, with bytes: [UInt8], mode: mode_t = 0o644, durable: Bool
  ) throws(SyscallError) {
    let temporary = path + ".new"
    let file = try open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: mode)
    do throws(SyscallError) {
      try writeAll(file.raw, bytes)
      if durable { try fdatasync(file.raw) }
    } catch { throw error.on(temporary) }
    try rename(temporary, to: path)
    if durable, let slash = path.lastIndex(of: "/") {
      try syncDirectory(slash == path.startIndex ? "/" : String(path[..<slash]))
    }
  }

  /// memfd_create(2): an anonymous file. `sealable` allows F_ADD_SEALS.
  public static func memfd(_ name: String, sealable: Bool = false) throws(SyscallError) -> Descriptor {
    Descriptor(owning: Int32(try retrying("memfd_create", name) { cl_memfd_create(name, sealable ? 3 : 1) }))
  }

  @discardableResult
  public static func fcntl(_ fd: Int32, _ command: Int32, _ argument: Int) throws(SyscallError) -> Int32 {
    try retrying("fcntl", "fd \(fd)") { cl_fcntl(fd, command, argument) }
  }

  public static func setNonBlocking(_ fd: Int32, _ on: Bool = true) throws(SyscallError) {
    let flags = try fcntl(fd, F_GETFL, 0)
    try fcntl(fd, F_SETFL, Int(on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK))
  }
}

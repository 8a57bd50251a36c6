public import CLinux

/// The calls on names that need not be UTF-8: a file's name is any bytes but `/` and NUL (path_resolution(7)). `name` is NUL-terminated
/// and relative to `directory`; links are never followed.
extension Sys {
  public typealias Name = UnsafePointer<CChar>

  /// For messages: invalid UTF-8 becomes U+FFFD.
  public static func text(_ name: Name) -> String { String(cString: name) }

  public static func open(at directory: Int32, name: Name, _ flags: Int32, mode: mode_t = 0) throws(SyscallError)
    -> Descriptor
  {
    Descriptor(
      owning: try retrying("openat", text(name)) { cl_openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, mode) })
  }

  /// As `openat2(_:_:mode:resolve:at:)`: `name` may be a path with links in it, resolved as `resolve` says.
  public static func openat2(at directory: Int32, name: Name, _ flags: Int32, resolve: Int32) throws(SyscallError)
    -> Descriptor
  {
    for _ in 0..<128 {
      do throws(SyscallError) {
        return Descriptor(
          owning: Int32(
            try retrying("openat2", text(name)) {
              cl_openat2(directory, name, UInt64(UInt32(bitPattern: flags | O_CLOEXEC)), 0, UInt64(resolve))
            }))
      } catch  where error.errno == .wouldBlock { continue }
    }
    throw SyscallError("openat2", text(name), .wouldBlock)
  }

  public static func mkdir(at directory: Int32, name: Name, mode: mode_t) throws(SyscallError) {
    try retrying("mkdir", text(name)) { mkdirat(directory, name, mode) }
  }

  public static func mknod(at directory: Int32, name: Name, mode: mode_t, device: UInt64) throws(SyscallError) {
    try retrying("mknod", text(name)) { mknodat(directory, name, mode, dev_t(device)) }
  }

  public static func symlink(_ target: Name, at directory: Int32, name: Name) throws(SyscallError) {
    try retrying("symlink", text(name)) { symlinkat(target, directory, name) }
  }

  public static func link(at oldDirectory: Int32, name old: Name, to newDirectory: Int32, name new: Name)
    throws(SyscallError)
  {
    try retrying("link", text(new)) { linkat(oldDirectory, old, newDirectory, new, 0) }
  }

  /// `flags`: AT_REMOVEDIR for a directory.
  public static func unlink(at directory: Int32, name: Name, flags: Int32 = 0) throws(SyscallError) {
    try retrying(flags & AT_REMOVEDIR != 0 ? "rmdir" : "unlink", text(name)) { unlinkat(directory, name, flags) }
  }

  public static func rename(at oldDirectory: Int32, name old: Name, to newDirectory: Int32, name new: Name)
    throws(SyscallError)
  {
    try retrying("rename", "\(text(old))\" to \"\(text(new))") { renameat(oldDirectory, old, newDirectory, new) }
  }

  public static func chown(at directory: Int32, name: Name, _ uid: uid_t, _ gid: gid_t) throws(SyscallError) {
    try retrying("chown", text(name)) { fchownat(directory, name, uid, gid, AT_SYMLINK_NOFOLLOW) }
  }

  /// fchmodat(2) follows a link: only for a name that the caller knows to be none.
  public static func chmod(at directory: Int32, name: Name, _ mode: mode_t) throws(SyscallError) {
    try retrying("chmod", text(name)) { fchmodat(directory, name, mode, 0) }
  }

  public static func setTimes(at directory: Int32, name: Name, access: timespec, modification: timespec)
    throws(SyscallError)
  {
    try withTimes(access, modification) { times throws(SyscallError) in
      try retrying("utimensat", text(name)) { utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) }
    }
  }

  /// futimens(3)
  public static func setTimes(_ fd: Int32, access: timespec, modification: timespec) throws(SyscallError) {
    try withTimes(access, modification) { times throws(SyscallError) in
      try retrying("futimens", "fd \(fd)") { futimens(fd, times) }
    }
  }

  private static func withTimes(
    _ access: timespec, _ modification: timespec, _ body: (UnsafePointer<timespec>) throws(SyscallError) -> Void
  ) throws(SyscallError) {
    var times = (access, modification)
    try withUnsafePointer(to: &times) { pointer throws(SyscallError) in
      // SAFETY: a homogeneous tuple is laid out as an array of its elements, and lives for the call.
      try body(UnsafeRawPointer(pointer).assumingMemoryBound(to: timespec.self))
    }
  }

  public static func status(at directory: Int32, name: Name) throws(SyscallError) -> stat {
    var status = stat()
    try retrying("stat", text(name)) { fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) }
    return status
  }

  public static func chown(_ fd: Int32, _ uid: uid_t, _ gid: gid_t) throws(SyscallError) {
    try retrying("fchown", "fd \(fd)") { fchown(fd, uid, gid) }
  }

  public static func pwriteAll(_ fd: Int32, _ buffer: UnsafeRawBufferPointer, at offset: Int64) throws(SyscallError) {
    var rest = buffer
    var offset = offset
    while !rest.isEmpty {
      let written = try retrying("pwrite", "fd \(fd)") { pwrite(fd, rest.baseAddress, rest.count, off_t(offset)) }
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
      offset += Int64(written)
    }
  }

  /// fsetxattr(2); `name` is NUL-terminated, `value` raw.
  public static func setAttribute(_ fd: Int32, name: [CChar], value: [UInt8]) throws(SyscallError) {
    try retrying("fsetxattr", text(name)) { CLinux.fsetxattr(fd, name, value, value.count, 0) }
  }

  /// The attribute of what `name` is, the link itself when it is one.
  public static func setAttribute(
    at directory: Int32, of name: [CChar], name attribute: [CChar], value: [UInt8]
  ) throws(SyscallError) {
    // No setxattrat before Linux 6.13: the descriptor's own entry in procfs stands for the directory.
    let path = Array("/proc/self/fd/\(directory)/".utf8CString.dropLast()) + name
    try retrying("lsetxattr", "\(text(name)) \(text(attribute))") {
      CLinux.lsetxattr(path, attribute, value, value.count, 0)
    }
  }

  /// The names of all entries but `.` and `..`, NUL-terminated, sorted by their bytes.
  public static func sortedNames(_ fd: Int32) throws(SyscallError) -> [[CChar]] {
    var names: [[CChar]] = []
    try forEachEntry(fd) { name, _ throws(SyscallError) in
      names.append(Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1)))
    }
    return sorted(names)
  }

  public static func sorted(_ names: some Sequence<[CChar]>) -> [[CChar]] {
    names.sorted { one, other in
      one.lazy.map { UInt8(bitPattern: $0) }.lexicographicallyPrecedes(other.lazy.map { UInt8(bitPattern: $0) })
    }
  }

  /// Calls `body` with the name and type (DT_…) of each entry but `.` and `..`, in the order of the directory, from its start.
  /// The name is valid during the call only. Entries may be removed meanwhile.
  public static func forEachEntry(
    _ fd: Int32, _ body: (_ name: Name, _ type: UInt8) throws(SyscallError) -> Void
  ) throws(SyscallError) {
    try lseek(fd, 0, SEEK_SET)
    try withUnsafeTemporaryAllocation(byteCount: 32 << 10, alignment: 8) { buffer throws(SyscallError) in
      while true {
        let count = try retrying("getdents64", "fd \(fd)") { cl_getdents64(fd, buffer.baseAddress, buffer.count) }
        if count == 0 { return }
        var offset = 0
        while offset + 19 < count {
          // struct linux_dirent64: d_ino, d_off, d_reclen (16), d_type (18), d_name (19)
          let length = Int(buffer.loadUnaligned(fromByteOffset: offset + 16, as: UInt16.self))
          guard length > 19, offset + length <= count, let base = buffer.baseAddress else { return }
          // SAFETY: the kernel ends each name with NUL within its record.
          let name = (base + offset + 19).assumingMemoryBound(to: CChar.self)
          let isDot = name[0] == 0x2E && (name[1] == 0 || (name[1] == 0x2E && name[2] == 0))
          if !isDot { try body(name, buffer[offset + 18]) }
          offset += length
        }
      }
    }
  }
}

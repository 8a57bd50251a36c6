import CLinux

extension Sys {
  /// Shares all of a file's blocks with another (FICLONE, ioctl_ficlone(2)): btrfs, xfs, bcachefs, overlay on those. EOPNOTSUPP, EXDEV,
  /// EINVAL or ENOTTY where it can't be.
  public static func clone(_ source: Int32, into target: Int32) throws(SyscallError) {
    // _IOW(0x94, 9, int)
    try retrying("ioctl", "FICLONE") { cl_ioctl_int(target, 0x4004_9409, Int(source)) }
  }

  /// copy_file_range(2) at explicit offsets; 0 at the source's end.
  public static func copyRange(
    _ source: Int32, _ sourceOffset: Int64, _ target: Int32, _ targetOffset: Int64, length: Int
  ) throws(SyscallError) -> Int {
    var from = off64_t(sourceOffset)
    var to = off64_t(targetOffset)
    return try retrying("copy_file_range", "") { copy_file_range(source, &from, target, &to, length, 0) }
  }

  /// The extended attributes of an open file, names NUL-terminated (flistxattr(2), fgetxattr(2)). A file system without any: none.
  public static func attributes(_ fd: Int32) throws(SyscallError) -> [(name: [CChar], value: [UInt8])] {
    try attributes(list: { flistxattr(fd, $0, $1) }, get: { fgetxattr(fd, $0, $1, $2) })
  }

  /// The same of what `name` is, the link itself when it is one.
  public static func attributes(at directory: Int32, name: Name) throws(SyscallError) -> [(
    name: [CChar], value: [UInt8]
  )] {
    // No listxattrat before Linux 6.13.
    let path =
      Array("/proc/self/fd/\(directory)/".utf8CString.dropLast())
      + UnsafeBufferPointer(start: name, count: strlen(name) + 1)
    return try attributes(list: { llistxattr(path, $0, $1) }, get: { lgetxattr(path, $0, $1, $2) })
  }

  private static func attributes(
    list: (UnsafeMutablePointer<CChar>?, Int) -> Int, get: (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
  ) throws(SyscallError) -> [(name: [CChar], value: [UInt8])] {
    // XATTR_LIST_MAX and XATTR_SIZE_MAX are 64 KiB each.
    var names = [CChar](repeating: 0, count: 64 << 10)
    let count: Int
    do throws(SyscallError) {
      count = try retrying("flistxattr") { names.withUnsafeMutableBufferPointer { list($0.baseAddress, $0.count) } }
    } catch {
      guard error.errno == .notSupported else { throw error }
      return []
    }
    var result: [(name: [CChar], value: [UInt8])] = []
    for word in names.prefix(count).split(separator: 0) {
      let name = Array(word) + [0]
      var value = [UInt8](repeating: 0, count: 64 << 10)
      do throws(SyscallError) {
        let size = try retrying("fgetxattr", String(decoding: word.map { UInt8(bitPattern: $0) }, as: UTF8.self)) {
          value.withUnsafeMutableBytes { get(name, $0.baseAddress, $0.count) }
        }
        result.append((name, Array(value.prefix(size))))
      } catch {
        // Gone meanwhile, or the file system lists what it doesn't hold.
        guard error.errno == .noData || error.errno == .notSupported else { throw error }
      }
    }
    return result
  }
}

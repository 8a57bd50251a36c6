public import CLinux

/// Extended attributes and the text of links, of names that need not be UTF-8; links are never followed.
extension Sys {
  /// The names of all attributes of what `name` is (listxattr(2)), without their NUL; of what the descriptor itself stands for, which must
  /// be no link, when there is no name. Empty where the file system has none.
  public static func attributeNames(at directory: Int32, of name: [CChar]?) throws(SyscallError) -> [[UInt8]] {
    let path = descriptorPath(directory, name)
    let list = try grown("listxattr", name) { buffer, size in
      name == nil ? listxattr(path, buffer, size) : llistxattr(path, buffer, size)
    }
    return list.split(separator: 0).map(Array.init)
  }

  /// The attribute's value (lgetxattr(2)); `nil` when there is none.
  public static func attribute(at directory: Int32, of name: [CChar]?, name attribute: [CChar]) throws(SyscallError)
    -> [UInt8]?
  {
    let path = descriptorPath(directory, name)
    do throws(SyscallError) {
      return try grown("getxattr", name) { buffer, size in
        name == nil ? getxattr(path, attribute, buffer, size) : lgetxattr(path, attribute, buffer, size)
      }
    } catch {
      guard error.errno == .noData || error.errno == .notSupported else { throw error }
      return nil
    }
  }

  /// The text of the link `name`; an empty name is the descriptor's own (O_PATH | O_NOFOLLOW).
  public static func readLink(at directory: Int32, name: Name) throws(SyscallError) -> [UInt8] {
    try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer throws(SyscallError) in
      let count = try retrying("readlink", text(name)) {
        buffer.baseAddress.map { readlinkat(directory, name, $0, 4096) } ?? -1
      }
      return buffer[..<count].map { UInt8(bitPattern: $0) }
    }
  }

  /// fchmod(2) of what an O_PATH descriptor stands for, which must be no link.
  public static func chmod(path descriptor: Int32, _ mode: mode_t) throws(SyscallError) {
    try retrying("chmod", "fd \(descriptor)") { CLinux.chmod("/proc/self/fd/\(descriptor)", mode) }
  }

  /// Opens what an O_PATH descriptor stands for: the very inode, whatever its name leads to by now.
  public static func reopen(_ descriptor: Int32, _ flags: Int32) throws(SyscallError) -> Descriptor {
    try open("/proc/self/fd/\(descriptor)", flags)
  }

  // No …xattrat before Linux 6.13: the descriptor's own entry in procfs stands for the directory.
  private static func descriptorPath(_ directory: Int32, _ name: [CChar]?) -> [CChar] {
    guard let name else { return Array("/proc/self/fd/\(directory)".utf8CString) }
    return Array("/proc/self/fd/\(directory)/".utf8CString.dropLast()) + name
  }

  /// A value whose size may change between asking for it and reading it.
  private static func grown(
    _ call: StaticString, _ name: [CChar]?, _ read: (UnsafeMutablePointer<CChar>?, Int) -> Int
  ) throws(SyscallError) -> [UInt8] {
    for _ in 0..<16 {
      let size: Int
      do throws(SyscallError) { size = try retrying(call, name.map { text($0) } ?? "") { read(nil, 0) } } catch {
        guard error.errno == .notSupported else { throw error }
        return []
      }
      if size == 0 { return [] }
      do throws(SyscallError) {
        return try withUnsafeTemporaryAllocation(of: CChar.self, capacity: size) { buffer throws(SyscallError) in
          let count = try retrying(call, name.map { text($0) } ?? "") { read(buffer.baseAddress, size) }
          return buffer[..<count].map { UInt8(bitPattern: $0) }
        }
      } catch {
        guard error.errno == Errno(rawValue: ERANGE) else { throw error }
      }
    }
    throw SyscallError("\(call)", name.map { text($0) } ?? "", Errno(rawValue: ERANGE))
  }
}

import CLinux

/// The bytes in a tree's files, hard links counted once, as `docker ps -s` counts. Links aren't followed, and what is mounted inside
/// isn't entered (openat2(2), RESOLVE_NO_XDEV).
public enum TreeSize {
  /// Deeper than any tool reaches; what lies below isn't counted.
  private static let maximumDepth = 512

  private struct File: Hashable {
    let device: UInt64
    let inode: UInt64
  }

  public static func measure(_ path: String) throws(SyscallError) -> Int64 {
    let root = try Sys.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    var linked: Set<File> = []
    return try measure(root.raw, depth: 0, &linked)
  }

  private static func measure(_ directory: Int32, depth: Int, _ linked: inout Set<File>) throws(SyscallError) -> Int64 {
    var total: Int64 = 0
    var children: [[CChar]] = []
    try Sys.forEachEntry(directory) { name, _ throws(SyscallError) in
      let status: stat
      do throws(SyscallError) { status = try Sys.status(at: directory, name: name) } catch {
        // The container works on it meanwhile.
        guard error.errno == .noSuchFile else { throw error }
        return
      }
      if status.fileType == .directory {
        children.append(Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1)))
      } else if status.fileType == .regular || status.fileType == .symbolicLink {
        if status.st_nlink > 1,
          !linked.insert(File(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))).inserted
        {
          return
        }
        total =
          total.addingReportingOverflow(Int64(status.st_size)).overflow ? Int64.max : total + Int64(status.st_size)
      }
    }
    guard depth < maximumDepth else { return total }
    for child in children {
      let descriptor: Descriptor
      do throws(SyscallError) {
        // RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS: a name may be swapped meanwhile.
        descriptor = try Sys.openat2(
          at: directory, name: child, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: 0x01 | 0x02)
      } catch {
        switch error.errno {
        case .noSuchFile, .notDirectory, .symlinkLoop, .crossDevice: continue
        default: throw error
        }
      }
      let size = try measure(descriptor.raw, depth: depth + 1, &linked)
      total = total.addingReportingOverflow(size).overflow ? Int64.max : total + size
    }
    return total
  }
}

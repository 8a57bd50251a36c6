public import CLinux

extension Sys {
  /// Removes a tree by descriptors, without following links or crossing into other mounts. Absent is success.
  ///
  /// Names need not be UTF-8, and the tree may be deeper than there are descriptors or stack: what lies deeper than
  /// `maximumDepth` is first moved up to the tree's top. Nobody else may work on the tree meanwhile.
  public static func removeTree(_ path: String, at directory: Int32 = AT_FDCWD) throws(SyscallError) {
    try removeTree(at: directory, name: Array(path.utf8CString))
  }

  /// The same for a name of raw bytes, NUL-terminated.
  public static func removeTree(at directory: Int32, name: [CChar]) throws(SyscallError) {
    do throws(SyscallError) {
      try unlink(at: directory, name: name)
      return
    } catch {
      switch error.errno {
      case .noSuchFile: return
      case .isDirectory, .notPermitted: break
      default: throw error
      }
    }
    let top: Descriptor
    do throws(SyscallError) {
      // The way to the tree may cross mounts (/run, /tmp); only inside it none is crossed.
      top = Descriptor(
        owning: try retrying("openat", String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)) {
          cl_openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0)
        })
    } catch  where error.errno == .noSuchFile { return }
    var removal = TreeRemoval(top: top.raw)
    while true {
      try removal.removeContents(of: top.raw, depth: 0)
      do throws(SyscallError) {
        try unlink(at: directory, name: name, flags: AT_REMOVEDIR)
        return
      } catch {
        switch error.errno {
        case .noSuchFile: return
        // What was deep is at the top now.
        case .notEmpty where removal.takeMoved(): continue
        default: throw error
        }
      }
    }
  }

  fileprivate static func openDirectory(at directory: Int32, name: Name) throws(SyscallError) -> Descriptor {
    // RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS
    try openat2(at: directory, name: name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: 0x01 | 0x02)
  }
}

private struct TreeRemoval {
  static let maximumDepth = 64
  let top: Int32
  private var moved = 0
  private var hasMoved = false

  init(top: Int32) { self.top = top }

  mutating func takeMoved() -> Bool {
    defer { hasMoved = false }
    return hasMoved
  }

  private mutating func moveUp(from directory: Int32, _ name: Sys.Name) throws(SyscallError) {
    while true {
      moved += 1
      do throws(SyscallError) {
        try Sys.rename(at: directory, name: name, to: top, name: ".berth-removed-\(moved)")
        hasMoved = true
        return
      } catch {
        switch error.errno {
        // The tree has such a name of its own: the next one.
        case .notEmpty, .fileExists, .notDirectory: continue
        default: throw error
        }
      }
    }
  }

  mutating func removeContents(of directory: Int32, depth: Int) throws(SyscallError) {
    try Sys.forEachEntry(directory) { name, type throws(SyscallError) in
      if type != UInt8(DT_DIR) {
        do throws(SyscallError) {
          try Sys.unlink(at: directory, name: name)
          return
        } catch {
          switch error.errno {
          case .noSuchFile: return
          case .isDirectory where type == UInt8(DT_UNKNOWN), .notPermitted where type == UInt8(DT_UNKNOWN): break
          default: throw error
          }
        }
      }
      do throws(SyscallError) {
        // Most directories are empty by the time or have no directories below; those cost no descriptor when empty.
        try Sys.unlink(at: directory, name: name, flags: AT_REMOVEDIR)
        return
      } catch {
        switch error.errno {
        case .noSuchFile: return
        case .notEmpty, .fileExists: break
        default: throw error
        }
      }
      if depth >= Self.maximumDepth {
        try moveUp(from: directory, name)
        return
      }
      let child = try Sys.openDirectory(at: directory, name: name)
      try removeContents(of: child.raw, depth: depth + 1)
      do throws(SyscallError) {
        try Sys.unlink(at: directory, name: name, flags: AT_REMOVEDIR)
      } catch  where error.errno == .notEmpty {
        // Entries can be missed when a directory changes while it is read: once more.
        try removeContents(of: child.raw, depth: depth + 1)
        try Sys.unlink(at: directory, name: name, flags: AT_REMOVEDIR)
      }
    }
  }
}

import CLinux

extension Sys {
  /// Lets ext4 put each directory that is made in this one into a block group of its own, chosen for its room (Orlov's allocator, as for
  /// directories of the root: FS_TOPDIR_FL). Otherwise the inodes of what comes are sought beside those of what was deleted in the last
  /// five minutes, which ext4 won't use again so soon and looks at one by one. Other file systems know no such flag, and need none.
  public static func spreadDirectories(of path: String) throws(SyscallError) {
    let directory = try open(path, O_RDONLY | O_DIRECTORY)
    do throws(SyscallError) { try addInodeFlags(directory.raw, 0x20000) } catch {
      switch error.errno {
      case .notTerminal, .notSupported, .invalidArgument, .notPermitted: return
      default: throw error
      }
    }
  }
}

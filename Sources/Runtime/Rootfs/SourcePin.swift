import CLinux
public import Kernel

/// What the source of a bind was when it was checked. The mount opens its path without following any link, and refuses what is
/// something else by now.
public struct SourcePin: Sendable, Equatable {
  /// `st_dev` and `st_ino`.
  public var device: UInt64
  public var inode: UInt64

  public init(device: UInt64, inode: UInt64) {
    self.device = device
    self.inode = inode
  }

  /// O_PATH. ESTALE: it isn't what it was; ELOOP: a link is on the way.
  public func open(_ path: String) throws(SyscallError) -> Descriptor {
    let file = try Sys.openat2(path, O_PATH, resolve: Root.noSymlinks | Root.noMagicLinks, at: Sys.currentDirectory)
    let status = try Sys.fstat(file.raw)
    guard UInt64(status.st_dev) == device, UInt64(status.st_ino) == inode else {
      throw SyscallError("open_tree", path, Errno(rawValue: ESTALE))
    }
    return file
  }
}

import CLinux
import Kernel
public import OCI
import Rootfs

/// What `X-Docker-Container-Path-Stat` tells of a path.
public struct PathStat: Sendable, Equatable {
  /// The last component as it was asked for.
  public var name: String
  public var size: Int64
  /// As Go's `os.FileMode` has it.
  public var mode: UInt32
  public var modified: Timestamp
  /// Where a link leads in the end, as far as it leads; empty for other things.
  public var linkTarget = ""

  var isDirectory: Bool { mode & (1 << 31) != 0 }

  init(_ found: MountedTree.Found, path: String, in tree: MountedTree) {
    name = Self.base(path)
    size = Int64(found.status.st_size)
    mode = Self.mode(found.status)
    modified = Timestamp(
      seconds: Int64(found.status.st_mtim.tv_sec), nanoseconds: Int32(found.status.st_mtim.tv_nsec))
    if found.status.fileType == .symbolicLink { linkTarget = tree.evaluate(path) }
  }

  public var json: JSON {
    [
      "name": JSON(name), "size": .int(size), "mode": .int(Int64(mode)), "mtime": JSON(modified.description),
      "linkTarget": JSON(linkTarget),
    ]
  }

  /// Go's `filepath.Base` of an absolute path.
  static func base(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "/" }

  private static func mode(_ status: stat) -> UInt32 {
    var mode = UInt32(status.st_mode & 0o777)
    switch status.fileType {
    case .directory: mode |= 1 << 31
    case .symbolicLink: mode |= 1 << 27
    case .blockDevice: mode |= 1 << 26
    case .characterDevice: mode |= 1 << 26 | 1 << 21
    case .fifo: mode |= 1 << 25
    case .socket: mode |= 1 << 24
    case .regular, nil: break
    }
    if status.st_mode & 0o4000 != 0 { mode |= 1 << 23 }
    if status.st_mode & 0o2000 != 0 { mode |= 1 << 22 }
    if status.st_mode & 0o1000 != 0 { mode |= 1 << 20 }
    return mode
  }
}

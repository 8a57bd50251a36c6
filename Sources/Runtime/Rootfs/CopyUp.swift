import CLinux
import Kernel

/// Fills a new tmpfs with what the image has at that place (`tmpcopyup`).
///
/// Both trees are walked by descriptors and without following links. Directories, files, links and their owners and modes are
/// copied; device nodes, pipes and sockets aren't.
enum CopyUp {
  private static let depthLimit = 128

  /// `ownsTop`: the tmpfs' own directory gets the hidden one's owner; its mode it has by a mount option.
  static func copy(from source: borrowing Descriptor, to target: borrowing Descriptor, ownsTop: Bool)
    throws(SyscallError)
  {
    if ownsTop {
      let status = try Sys.fstat(source.raw)
      try Sys.chown("", status.st_uid, status.st_gid, at: target.raw)
    }
    let readable = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: source.raw)
    try directory(readable, target.raw, depth: 0)
  }

  private static func directory(_ source: borrowing Descriptor, _ target: Int32, depth: Int) throws(SyscallError) {
    guard depth < depthLimit else { throw SyscallError("open", "tmpcopyup", .nameTooLong) }
    for name in try Sys.entries(source.raw).map(\.name) {
      let status = try Sys.status(name, at: source.raw, flags: AT_SYMLINK_NOFOLLOW)
      switch status.type {
      case FileType.directory:
        let child = try Sys.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: source.raw)
        try Sys.mkdir(name, mode: 0o700, at: target)
        let copy = try Sys.open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, at: target)
        try directory(child, copy.raw, depth: depth + 1)
        try Sys.chown("", status.st_uid, status.st_gid, at: copy.raw)
        try Sys.fchmod(copy.raw, status.st_mode & 0o7777)
      case FileType.link:
        try Sys.symlink(try Sys.readlink(name, at: source.raw), name, at: target)
        try Sys.chown(name, status.st_uid, status.st_gid, at: target)
      case FileType.regular:
        let file = try Sys.open(name, O_RDONLY | O_NOFOLLOW, at: source.raw)
        let copy = try Sys.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: target)
        try contents(file.raw, copy.raw)
        try Sys.chown("", status.st_uid, status.st_gid, at: copy.raw)
        try Sys.fchmod(copy.raw, status.st_mode & 0o7777)
      default: continue
      }
    }
  }

  private static func contents(_ source: Int32, _ target: Int32) throws(SyscallError) {
    while try Sys.retrying("sendfile", "", { sendfile(target, source, nil, 1 << 20) }) > 0 {}
  }
}

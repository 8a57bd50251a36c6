public import CLinux

/// What kind of file an inode is: the format bits of `st_mode` (inode(7)).
public enum FileType: mode_t, Sendable {
  case fifo = 0o010000
  case characterDevice = 0o020000
  case directory = 0o040000
  case blockDevice = 0o060000
  case regular = 0o100000
  case symbolicLink = 0o120000
  case socket = 0o140000
}

extension stat {
  /// `nil` for a kind that this kernel invented after 6.18.
  public var fileType: FileType? { FileType(rawValue: st_mode & 0o170000) }
}

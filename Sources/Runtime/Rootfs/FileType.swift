import CLinux

/// The type bits of `st_mode` (inode(7)).
enum FileType {
  static let mask: mode_t = 0o170000
  static let pipe: mode_t = 0o010000
  static let character: mode_t = 0o020000
  static let directory: mode_t = 0o040000
  static let block: mode_t = 0o060000
  static let regular: mode_t = 0o100000
  static let link: mode_t = 0o120000
}

extension stat {
  var type: mode_t { st_mode & FileType.mask }
}

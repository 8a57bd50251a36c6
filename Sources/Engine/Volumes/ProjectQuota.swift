import CLinux
import Kernel

/// A volume's size as a project quota (quotactl(2), ext4 and XFS): every file below its directory belongs to a project of its own, whose
/// blocks are limited. No file system of its own, no loop device, and the kernel knows at any time what the volume holds.
///
/// Whoever has CAP_SYS_RESOURCE, as a privileged container has, isn't held back by it.
enum ProjectQuota {
  private static let projectType: Int = 2
  /// FS_QUOTA_PDQ_ENFD of struct fs_quota_statv (linux/dqblk_xfs.h): limits count, rather than use alone.
  private static let isEnforced: UInt16 = 1 << 5
  /// FS_XFLAG_PROJINHERIT (linux/fs.h)
  private static let inherits: UInt32 = 0x200

  private enum Command: Int {
    case get = 0x800007  // Q_GETQUOTA
    case set = 0x800008  // Q_SETQUOTA
    case state = 0x5808  // Q_XGETQSTATV
  }

  /// A project that has neither files nor a limit, when the directory's file system keeps to such limits; else nil. Linux 5.14.
  static func free(on directory: String) throws(SyscallError) -> UInt32? {
    var state = [UInt8](repeating: 0, count: 256)
    state[0] = 1  // FS_QSTATV_VERSION1
    do throws(SyscallError) { try call(.state, 0, &state, directory) } catch {
      switch error.errno {
      case .noSuchCall, .notSupported, .invalidArgument, .noSuchProcess, .notPermitted: return nil
      default: throw error
      }
    }
    guard state.withUnsafeBytes({ $0.load(fromByteOffset: 2, as: UInt16.self) }) & isEnforced != 0 else { return nil }
    while true {
      let project = UInt32.random(in: 1 << 20..<1 << 31)
      let entry = try entry(project, on: directory)
      if entry.isEmpty { return project }
    }
  }

  /// Has what is made in the directory from now on, and itself, belong to the project. The directory is empty.
  static func assign(_ directory: String, to project: UInt32) throws(SyscallError) {
    let file = try Sys.open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    // struct fsxattr: xflags, extsize, nextents, projid, cowextsize, 8 bytes of padding.
    var attributes: (UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0, 0, 0, 0)
    try Sys.retrying("ioctl", "FS_IOC_FSGETXATTR") { cl_ioctl(file.raw, 0x801C_581F, &attributes) }
    attributes.0 |= inherits
    attributes.3 = project
    try Sys.retrying("ioctl", "FS_IOC_FSSETXATTR") { cl_ioctl(file.raw, 0x401C_5820, &attributes) }
  }

  /// Limits a project's blocks; 0 bytes: not at all.
  static func limit(_ project: UInt32, to bytes: Int64, on directory: String) throws(SyscallError) {
    var block = Block()
    block.hardLimit = UInt64(bytes) / 1024
    block.softLimit = block.hardLimit
    block.valid = 1  // QIF_BLIMITS
    try call(.set, project, &block, directory)
  }

  /// Bytes of all the project's files on the disk.
  static func usage(_ project: UInt32, on directory: String) throws(SyscallError) -> Int64 {
    Int64(clamping: try entry(project, on: directory).space)
  }

  /// struct if_dqblk (linux/quota.h), 72 bytes; limits are in units of 1,024 bytes.
  private struct Block {
    var hardLimit: UInt64 = 0
    var softLimit: UInt64 = 0
    var space: UInt64 = 0
    var inodeHardLimit: UInt64 = 0
    var inodeSoftLimit: UInt64 = 0
    var inodes: UInt64 = 0
    var blockTime: UInt64 = 0
    var inodeTime: UInt64 = 0
    var valid: UInt32 = 0

    var isEmpty: Bool { hardLimit == 0 && softLimit == 0 && space == 0 && inodes == 0 }
  }

  private static func entry(_ project: UInt32, on directory: String) throws(SyscallError) -> Block {
    var block = Block()
    do throws(SyscallError) { try call(.get, project, &block, directory) } catch {
      // XFS has no entry for what was never used.
      guard error.errno == .noSuchFile else { throw error }
    }
    return block
  }

  /// quotactl_fd(2)
  private static func call(_ command: Command, _ id: UInt32, _ address: UnsafeMutableRawPointer, _ directory: String)
    throws(SyscallError)
  {
    let file = try Sys.open(directory, O_RDONLY | O_DIRECTORY)
    try Sys.retrying("quotactl_fd", directory) {
      cl_syscall(443, Int(file.raw), command.rawValue << 8 | projectType, Int(id), Int(bitPattern: address), 0, 0)
    }
  }
}

import CLinux
public import Kernel

/// Detached mounts: made and configured before anybody can see them.
public enum DetachedMount {
  /// A new mount of a file system of that type (fsopen(2), Linux 5.2).
  ///
  /// `attributes`: MOUNT_ATTR_…. The kernel's own words on what it refuses are in the error.
  public static func fileSystem(
    _ type: String, source: String? = nil, data: [MountOptions.Datum] = [], attributes: UInt64 = 0
  ) throws(SyscallError) -> Descriptor {
    let context = try Sys.fsopen(type)
    do throws(SyscallError) {
      if let source, !source.isEmpty { try Sys.fsconfig(context.raw, "source", source) }
      for datum in data {
        if let value = datum.value {
          try Sys.fsconfig(context.raw, datum.key, value)
        } else {
          try Sys.fsconfig(flag: datum.key, context.raw)
        }
      }
      // A disk's file system is told itself, lest it replay a journal; the kernel's own ones are shared and may not be.
      if attributes & MountOptions.readOnly != 0, !isPseudo(type) { try Sys.fsconfig(flag: "ro", context.raw) }
      try Sys.fsconfigCreate(context.raw)
    } catch {
      guard let words = log(of: context.raw) else { throw error }
      throw error.on(error.object.isEmpty ? words : "\(error.object)\" (\(words))\"")
    }
    return try Sys.fsmount(context.raw, attributes: UInt32(truncatingIfNeeded: attributes))
  }

  /// A copy of what is at that place on the host, with all that is mounted below it when `recursive`.
  /// `following`: a link at its end; otherwise the link itself.
  public static func copy(
    of path: String, recursive: Bool, following: Bool = true, at directory: Int32 = Sys.currentDirectory
  ) throws(SyscallError) -> Descriptor {
    try Sys.openTree(
      path, at: directory,
      flags: clone | (recursive ? UInt32(AT_RECURSIVE) : 0) | (following ? 0 : UInt32(AT_SYMLINK_NOFOLLOW)))
  }

  /// A copy of what a descriptor stands for: a mount's root, or any file, directory or device in it.
  public static func copy(of descriptor: Int32, recursive: Bool = false) throws(SyscallError) -> Descriptor {
    try Sys.openTree(
      "", at: descriptor, flags: clone | UInt32(AT_EMPTY_PATH) | (recursive ? UInt32(AT_RECURSIVE) : 0))
  }

  /// Has a mount that was never attached show its files' owners through a user namespace: what the namespace calls 0 is 0 on the disk,
  /// and outside what 0 is mapped to (mount_setattr(2), MOUNT_ATTR_IDMAP, Linux 5.12).
  public static func map(_ mount: borrowing Descriptor, to namespace: SharedDescriptor, recursive: Bool = false)
    throws(SyscallError)
  {
    do throws(SyscallError) {
      try Sys.mountSetAttributes(mount.raw, set: 0x10_0000, userNamespace: namespace.raw, recursive: recursive)
    } catch {
      guard error.errno == .invalidArgument || error.errno == .notPermitted else { throw error }
      throw error.on("id-mapped (this kernel can't map the ids of that file system)")
    }
  }

  /// A copy of the tmpfs at a place in another mount namespace, which need not be trusted: no link is followed, and what isn't a tmpfs
  /// is ENOTSUP. For a single-threaded process that may enter the namespace: it goes there and comes back.
  public static func tmpfs(at path: String, in namespace: borrowing Descriptor) throws(SyscallError)
    -> SharedDescriptor
  {
    let own = try Sys.open("/proc/self/ns/mnt")
    let root = try Sys.open("/", O_PATH | O_DIRECTORY)
    let directory = try Sys.open(".", O_PATH | O_DIRECTORY)
    try Sys.setns(namespace.raw, Int32(CLONE_NEWNS))
    let result: Result<SharedDescriptor, SyscallError>
    do throws(SyscallError) {
      let place = try Sys.openat2(
        path, O_PATH | O_DIRECTORY, resolve: Root.noSymlinks | Root.noMagicLinks, at: Sys.currentDirectory)
      guard try Sys.fileSystem(place.raw).f_type == 0x0102_1994 else {  // TMPFS_MAGIC
        throw SyscallError("open_tree", "\(path)\" (not a tmpfs)\"", .notSupported)
      }
      result = .success(SharedDescriptor(try copy(of: place.raw)))
    } catch { result = .failure(error) }
    try Sys.setns(own.raw, Int32(CLONE_NEWNS))
    try Sys.fchdir(root.raw)
    try Sys.chroot(".")
    try Sys.fchdir(directory.raw)
    return try result.get()
  }

  private static let clone: UInt32 = 1  // OPEN_TREE_CLONE

  private static func isPseudo(_ type: String) -> Bool {
    switch type {
    case "proc", "sysfs", "tmpfs", "ramfs", "devpts", "mqueue", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs",
      "bpf",
      "hugetlbfs", "binfmt_misc", "pstore", "configfs", "fusectl", "efivarfs":
      true
    default: false
    }
  }

  /// What the kernel said of the context: `e tmpfs: Unknown parameter 'foo'`, without the level.
  private static func log(of context: Int32) -> String? {
    withUnsafeTemporaryAllocation(byteCount: 512, alignment: 1) { buffer in
      let count = CLinux.read(context, buffer.baseAddress, buffer.count)
      guard count > 2 else { return nil }
      return String(decoding: buffer[2..<count], as: UTF8.self).split(separator: "\n").first.map(String.init)
    }
  }
}

public import CLinux

extension Sys {
  /// mount(2).
  public static func mount(
    _ source: String?, _ target: String, type: String? = nil, flags: UInt = 0, data: String? = nil
  ) throws(SyscallError) {
    try retrying("mount", target) { CLinux.mount(source, target, type, flags, data) }
  }

  public static func umount(_ target: String, flags: Int32 = 0) throws(SyscallError) {
    try retrying("umount", target) { umount2(target, flags) }
  }

  public static func pivotRoot(_ newRoot: String, _ putOld: String) throws(SyscallError) {
    try retrying("pivot_root", newRoot) { cl_pivot_root(newRoot, putOld) }
  }

  /// fsopen(2): a context to configure a file system of that type (Linux 5.2).
  public static func fsopen(_ type: String) throws(SyscallError) -> Descriptor {
    Descriptor(owning: Int32(try retrying("fsopen", type) { cl_fsopen(type, 1) }))
  }

  /// `key=value` on a context.
  public static func fsconfig(_ context: Int32, _ key: String, _ value: String) throws(SyscallError) {
    try retrying("fsconfig", "\(key)=\(value)") { cl_fsconfig(context, 1, key, value, 0) }
  }

  /// A flag (`ro`) on a context.
  public static func fsconfig(flag key: String, _ context: Int32) throws(SyscallError) {
    try retrying("fsconfig", key) { cl_fsconfig(context, 0, key, nil, 0) }
  }

  /// A descriptor as a value (overlay's `lowerdir+`, `upperdir`, `workdir` since 6.13).
  public static func fsconfig(_ context: Int32, _ key: String, descriptor: Int32) throws(SyscallError) {
    try retrying("fsconfig", key) { cl_fsconfig(context, 5, key, nil, descriptor) }
  }

  /// Makes the superblock of a configured context.
  public static func fsconfigCreate(_ context: Int32) throws(SyscallError) {
    try retrying("fsconfig create") { cl_fsconfig(context, 6, nil, nil, 0) }
  }

  /// fsmount(2): a detached mount of a created context; `attributes`: MOUNT_ATTR_….
  public static func fsmount(_ context: Int32, attributes: UInt32 = 0) throws(SyscallError) -> Descriptor {
    Descriptor(owning: Int32(try retrying("fsmount") { cl_fsmount(context, 1, attributes) }))
  }

  /// open_tree(2); OPEN_TREE_CLONE for a detached copy, AT_RECURSIVE for what is mounted below too, AT_EMPTY_PATH for the descriptor itself.
  public static func openTree(_ path: String, at directory: Int32 = AT_FDCWD, flags: UInt32) throws(SyscallError)
    -> Descriptor
  {
    Descriptor(
      owning: Int32(
        try retrying("open_tree", path) { cl_open_tree(directory, path, flags | UInt32(bitPattern: O_CLOEXEC)) }))
  }

  /// move_mount(2) of a detached mount onto a place given by descriptor (empty path) or by path.
  public static func moveMount(_ mount: Int32, to path: String, at directory: Int32) throws(SyscallError) {
    let flags: UInt32 = path.isEmpty ? 0x04 | 0x40 : 0x04  // MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
    try retrying("move_mount", path) { cl_move_mount(mount, "", directory, path, flags) }
  }

  /// mount_setattr(2), Linux 5.12. `propagation`: MS_PRIVATE, MS_SLAVE, … or 0. `userNamespace`: with MOUNT_ATTR_IDMAP set.
  public static func mountSetAttributes(
    _ mount: Int32, path: String = "", set: UInt64 = 0, clear: UInt64 = 0, propagation: UInt64 = 0,
    userNamespace: Int32 = 0,
    recursive: Bool = false
  ) throws(SyscallError) {
    var attributes = cl_mount_attr(
      attr_set: set, attr_clr: clear, propagation: propagation, userns_fd: UInt64(UInt32(bitPattern: userNamespace)))
    let flags = UInt32(AT_EMPTY_PATH) | (recursive ? UInt32(AT_RECURSIVE) : 0)
    try retrying("mount_setattr", path) { cl_mount_setattr(mount, path, flags, &attributes) }
  }

  public static func chdir(_ path: String) throws(SyscallError) { try retrying("chdir", path) { CLinux.chdir(path) } }
  /// Whether "/" is another directory than the root of the mount namespace, as after chroot(2). pivot_root(2) then replaces another
  /// directory than setns(2) leads to, so that what enters a container by setns would find itself outside of it.
  /// For a single-threaded process with CAP_SYS_ADMIN: it joins its own mount namespace and comes back.
  public static func isChrooted() throws(SyscallError) -> Bool {
    let root = try open("/", O_PATH | O_DIRECTORY)
    let directory = try open(".", O_PATH | O_DIRECTORY)
    let namespace = try open("/proc/self/ns/mnt")
    let own = try fstat(root.raw)
    try setns(namespace.raw, Int32(CLONE_NEWNS))
    let its = try open("/", O_PATH | O_DIRECTORY)
    // The same directory may be mounted twice.
    let ownMount = try mountID(of: root.raw)
    let itsMount = try mountID(of: its.raw)
    let directories = (own.st_ino, try fstat(its.raw).st_ino)
    try fchdir(root.raw)
    try chroot(".")
    try fchdir(directory.raw)
    return ownMount != itsMount || directories.0 != directories.1
  }

  /// The mount that a descriptor lies on, as mountinfo numbers it; from /proc/self/fdinfo (proc(5)).
  private static func mountID(of fd: Int32) throws(SyscallError) -> String {
    let path = "/proc/self/fdinfo/\(fd)"
    let lines = String(decoding: try readFile(path), as: UTF8.self).split(separator: "\n")
    for line in lines where line.hasPrefix("mnt_id:") { return String(line) }
    throw SyscallError("read mnt_id", path, .invalidArgument)
  }

  public static func fchdir(_ fd: Int32) throws(SyscallError) {
    try retrying("fchdir", "fd \(fd)") { CLinux.fchdir(fd) }
  }
  public static func chroot(_ path: String) throws(SyscallError) {
    try retrying("chroot", path) { CLinux.chroot(path) }
  }

  /// The working directory; paths outside the root begin with `(unreachable)`.
  public static func getcwd() throws(SyscallError) -> String {
    try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer throws(SyscallError) in
      try retrying("getcwd") { syscallGetcwd(buffer.baseAddress, 4096) }
      guard let start = buffer.baseAddress else { return "" }
      return String(cString: start)
    }
  }

  private static func syscallGetcwd(_ buffer: UnsafeMutablePointer<CChar>?, _ size: Int) -> Int {
    CLinux.getcwd(buffer, size) == nil ? -1 : 0
  }
}

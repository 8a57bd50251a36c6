import CLinux
public import Kernel

extension Rootfs {
  /// A detached overlay mount. `lower` is topmost first.
  ///
  /// Layers are given one by one (`lowerdir+`, Linux 6.8); before that in one option of mount(2), where they are named by
  /// descriptor, since four kilobytes must hold up to 128 of them, and commas and colons of their paths would count.
  public static func overlay(lower: [String], upper: String, work: String, volatile: Bool) throws(RootfsError)
    -> Descriptor
  {
    do throws(SyscallError) {
      return try newOverlay(lower: lower, upper: upper, work: work, volatile: volatile)
    } catch  where error.errno == .invalidArgument || error.errno == .noSuchCall {
      return try classicOverlay(lower: lower, upper: upper, work: work, volatile: volatile)
    } catch {
      throw RootfsError(step: "rootfs", upper, error, doing: "mount overlay")
    }
  }

  /// A detached overlay that can't be written, of at least two directories, topmost first.
  public static func readOnlyOverlay(_ layers: [String]) throws(RootfsError) -> Descriptor {
    do throws(SyscallError) {
      return try newOverlay(lower: layers, upper: nil, work: nil, volatile: false)
    } catch  where error.errno == .invalidArgument || error.errno == .noSuchCall {
      return try classicOverlay(lower: layers, upper: nil, work: nil, volatile: false)
    } catch {
      throw RootfsError(step: "rootfs", layers.first ?? "", error, doing: "mount overlay")
    }
  }

  /// As `overlay`, of layers whose owners are shown through a user namespace: the files of the layers keep the ids that the image gave
  /// them, and so do those that are written, while a container in that namespace runs as other ids of the host (Linux 5.19). `upper` and
  /// `work` are in one directory. `root`: the host's ids of the namespace's 0, as whom the overlay writes. `attached`: the way of older kernels. For a
  /// single-threaded process, or a thread that shares its root directory with no other.
  public static func overlay(
    lower: [String], upper: String, work: String, volatile: Bool, mappedBy namespace: SharedDescriptor,
    root: (uid: UInt32, gid: UInt32), attached: Bool = false
  ) throws(RootfsError) -> Descriptor {
    var object = upper
    do throws(SyscallError) {
      func mapped(_ path: String) throws(SyscallError) -> SharedDescriptor {
        object = path
        let layer = try DetachedMount.copy(of: path, recursive: false)
        try DetachedMount.map(layer, to: namespace)
        return SharedDescriptor(layer)
      }
      let top = upper.split(separator: "/")
      guard top.dropLast() == work.split(separator: "/").dropLast() else {
        throw SyscallError("mount", upper, .crossDevice)
      }
      let writable = try mapped("/" + top.dropLast().joined(separator: "/"))
      let layers = try lower.map { path throws(SyscallError) in try mapped(path) }
      object = upper
      let names = layers.map { "/proc/self/fd/\($0.raw)" }
      let (upperName, workName) = (
        "/proc/self/fd/\(writable.raw)/\(top.last ?? "")",
        "/proc/self/fd/\(writable.raw)/\(work.split(separator: "/").last ?? "")"
      )
      return try withExtendedLifetime((layers, writable)) { () throws(SyscallError) in
        do throws(SyscallError) {
          guard !attached else { throw SyscallError("fsconfig", upper, .invalidArgument) }
          return try writing(as: root) { () throws(SyscallError) in
            try newOverlay(lower: names, upper: upperName, work: workName, volatile: volatile)
          }
        } catch  where error.errno == .invalidArgument || error.errno == .noSuchCall {
          // Before Linux 6.15 a layer must be on a mount of one's own mount namespace.
          return try inNamespaceOfItsOwn { () throws(SyscallError) in
            for layer in layers + [writable] { try Sys.moveMount(layer.raw, to: "/", at: Sys.currentDirectory) }
            return try writing(as: root) { () throws(SyscallError) in
              do throws(SyscallError) {
                return try newOverlay(lower: names, upper: upperName, work: workName, volatile: volatile)
              } catch  where error.errno == .invalidArgument || error.errno == .noSuchCall {
                do throws(RootfsError) {
                  return try classicOverlay(lower: names, upper: upperName, work: workName, volatile: volatile)
                } catch { throw SyscallError("mount", error.message, Errno(rawValue: error.errno)) }
              }
            }
          }
        }
      }
    } catch { throw RootfsError(step: "rootfs", object, error, doing: "mount overlay of id-mapped layers") }
  }

  /// An overlay makes its own files as whoever mounted it: ids that the layers' mounts don't map would leave it read-only.
  private static func writing(as root: (uid: UInt32, gid: UInt32), _ body: () throws(SyscallError) -> Descriptor)
    throws(SyscallError) -> Descriptor
  {
    try takeFileSystemIDs(root.uid, root.gid)
    let result: Result<SharedDescriptor, SyscallError>
    do throws(SyscallError) { result = .success(SharedDescriptor(try body())) } catch { result = .failure(error) }
    try takeFileSystemIDs(geteuid(), getegid())
    return Descriptor(owning: try Sys.fcntl(try result.get().raw, F_DUPFD_CLOEXEC, 0))
  }

  /// The thread goes on as this user where files are concerned (setfsuid(2)), with the rights over files that it has otherwise and that
  /// the change would take away.
  public static func takeFileSystemIDs(_ uid: UInt32, _ gid: UInt32) throws(SyscallError) {
    _ = cl_syscall(Int(SYS_setfsgid), Int(gid), 0, 0, 0, 0, 0)
    _ = cl_syscall(Int(SYS_setfsuid), Int(uid), 0, 0, 0, 0, 0)
    let own = try Sys.capget()
    try Sys.capset(effective: own.permitted, permitted: own.permitted, inheritable: own.inheritable)
  }

  /// Runs something in a mount namespace that nobody else sees, and comes back.
  private static func inNamespaceOfItsOwn(_ body: () throws(SyscallError) -> Descriptor) throws(SyscallError)
    -> Descriptor
  {
    let own = try Sys.open("/proc/thread-self/ns/mnt")
    let root = try Sys.open("/", O_PATH | O_DIRECTORY)
    let directory = try Sys.open(".", O_PATH | O_DIRECTORY)
    try Sys.unshare(CLONE_NEWNS)
    let result: Result<SharedDescriptor, SyscallError>
    do throws(SyscallError) {
      try enterNamespaceRoot()
      try Sys.mount(nil, "/", flags: UInt(MS_REC | MS_PRIVATE))
      result = .success(SharedDescriptor(try body()))
    } catch { result = .failure(error) }
    try Sys.setns(own.raw, Int32(CLONE_NEWNS))
    try Sys.fchdir(root.raw)
    try Sys.chroot(".")
    try Sys.fchdir(directory.raw)
    return Descriptor(owning: try Sys.fcntl(try result.get().raw, F_DUPFD_CLOEXEC, 0))
  }

  /// As `overlay`, made without ever being attached to anything: for a process that isn't in a mount namespace of its own.
  /// EINVAL or ENOSYS before Linux 6.8.
  public static func detachedOverlay(lower: [String], upper: String, work: String, volatile: Bool)
    throws(SyscallError) -> Descriptor
  { try newOverlay(lower: lower, upper: upper, work: work, volatile: volatile) }

  /// Renames of lower directories are refused (EXDEV) and metadata copied up with the data, so that an upper directory is a
  /// layer by itself; the index is off, since a lower directory serves many containers.
  private static let settings = [("index", "off"), ("metacopy", "off"), ("redirect_dir", "off")]

  private static func newOverlay(lower: [String], upper: String?, work: String?, volatile: Bool) throws(SyscallError)
    -> Descriptor
  {
    let context = try Sys.fsopen("overlay")
    try Sys.fsconfig(context.raw, "source", "overlay")
    // A value has 255 bytes: a longer path is named by a descriptor, which must live until the mount is made.
    var held: [SharedDescriptor] = []
    func name(_ path: String) throws(SyscallError) -> String {
      guard path.utf8.count > 255 else { return path }
      let directory = SharedDescriptor(try Sys.open(path, O_PATH | O_DIRECTORY))
      held.append(directory)
      return "/proc/self/fd/\(directory.raw)"
    }
    for layer in lower { try Sys.fsconfig(context.raw, "lowerdir+", try name(layer)) }
    if let upper { try Sys.fsconfig(context.raw, "upperdir", try name(upper)) }
    if let work { try Sys.fsconfig(context.raw, "workdir", try name(work)) }
    for (key, value) in settings { try Sys.fsconfig(context.raw, key, value) }
    if volatile { try Sys.fsconfig(flag: "volatile", context.raw) }
    try Sys.fsconfigCreate(context.raw)
    return try withExtendedLifetime(held) { () throws(SyscallError) in try Sys.fsmount(context.raw) }
  }

  private static func classicOverlay(lower: [String], upper: String?, work: String?, volatile: Bool)
    throws(RootfsError) -> Descriptor
  {
    // mount(2) needs a place: a directory that is one of its own, in this mount namespace alone.
    let place = upper ?? lower.first ?? "/"
    var object = place
    do throws(SyscallError) {
      var held: [SharedDescriptor] = []
      func name(_ path: String) throws(SyscallError) -> String {
        object = path
        let directory = SharedDescriptor(try Sys.open(path, O_PATH | O_DIRECTORY))
        held.append(directory)
        return "/proc/self/fd/\(directory.raw)"
      }
      let layers = try lower.map { path throws(SyscallError) in try name(path) }
      var data = "lowerdir=" + layers.joined(separator: ":")
      if let upper, let work { data += ",workdir=\(try name(work)),upperdir=\(try name(upper))" }
      for (key, value) in settings { data += ",\(key)=\(value)" }
      if volatile { data += ",volatile" }
      return try withExtendedLifetime(held) { () throws(SyscallError) in
        try Sys.mount("overlay", place, type: "overlay", data: data)
        let mount = try DetachedMount.copy(of: place, recursive: false)
        try Sys.umount(place, flags: 2)  // MNT_DETACH
        return mount
      }
    } catch { throw RootfsError(step: "rootfs", object, error, doing: "mount overlay") }
  }

  /// A detached copy of a directory and what is mounted below it.
  public static func directory(_ path: String) throws(RootfsError) -> Descriptor {
    do throws(SyscallError) {
      return try DetachedMount.copy(of: path, recursive: true)
    } catch { throw RootfsError(step: "rootfs", path, error, doing: "bind rootfs") }
  }

  /// A second descriptor of a detached root that a parent opened.
  public static func duplicate(_ root: SharedDescriptor) throws(RootfsError) -> Descriptor {
    do throws(SyscallError) { return Descriptor(owning: try Sys.fcntl(root.raw, F_DUPFD_CLOEXEC, 0)) } catch {
      throw RootfsError(step: "rootfs", "/", error, doing: "duplicate rootfs")
    }
  }

  /// Takes the new mount namespace out of the host's propagation: nothing that is mounted from here on is seen there. Answers whether
  /// this process's root is a chroot, to be told to `pivot`.
  ///
  /// That of the namespace's own root, with all below it, since the pivot drops all of that: in a chroot "/" is another directory.
  @discardableResult
  public static func leavePropagation() throws(RootfsError) -> Bool {
    do throws(SyscallError) {
      let root = try Sys.open("/", O_PATH | O_DIRECTORY)
      let directory = try Sys.open(".", O_PATH | O_DIRECTORY)
      let own = try place(root.raw)
      try enterNamespaceRoot()
      let isChrooted = try place(Sys.currentDirectory) != own
      try Sys.mount(nil, "/", flags: UInt(MS_REC | MS_PRIVATE))
      if isChrooted {
        try Sys.fchdir(root.raw)
        try Sys.chroot(".")
      }
      try Sys.fchdir(directory.raw)
      return isChrooted
    } catch { throw RootfsError(step: "rootfs", "/", error, doing: "make mounts private") }
  }

  /// Root and working directory become those of the mount namespace that this thread is in.
  static func enterNamespaceRoot() throws(SyscallError) {
    let own = try Sys.open("/proc/thread-self/ns/mnt")
    try Sys.setns(own.raw, Int32(CLONE_NEWNS))
  }

  /// A directory by mount and inode: the same directory may be mounted twice.
  private static func place(_ directory: Int32) throws(SyscallError) -> [UInt64] {
    var status = CLinux.statx()
    let (path, flags) = directory == Sys.currentDirectory ? (".", 0) : ("", Int(AT_EMPTY_PATH))
    // The function's name is its structure's, by which Swift takes it; STATX_INO and STATX_MNT_ID are asked for.
    try Sys.retrying("statx", "/") {
      path.withCString { path in
        withUnsafeMutablePointer(to: &status) { status in
          cl_syscall(Int(SYS_statx), Int(directory), Int(bitPattern: path), flags, 0x1100, Int(bitPattern: status), 0)
        }
      }
    }
    return [status.stx_mnt_id, status.stx_ino]
  }

  /// Attaches a detached root, so that mounts can be put into it.
  ///
  /// It goes over the host's root directory, in this mount namespace alone: a place that everybody may reach. Absolute paths go on
  /// to mean the host's, since this process's root directory lies below the new mount.
  ///
  /// `place`: where it goes instead, for hooks that look for it at its own path.
  public static func attach(_ root: consuming Descriptor, over place: String? = nil) throws(RootfsError) -> Root {
    do throws(SyscallError) {
      do throws(SyscallError) {
        try Sys.moveMount(root.raw, to: place ?? "/", at: Sys.currentDirectory)
      } catch {
        guard place != nil, error.errno == .permissionDenied else { throw error }
        try Sys.moveMount(root.raw, to: "/", at: Sys.currentDirectory)
      }
    } catch { throw RootfsError(step: "rootfs", "/", error, doing: "attach rootfs") }
    return Root(owning: root)
  }
}

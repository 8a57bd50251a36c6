import CLinux
import Kernel
import Rootfs

/// Sees to it that no container can open this program's file for writing (CVE-2019-5736, DESIGN.md rule 5).
///
/// A process that enters a container, or is about to execute what an image names (`#!/proc/self/exe`), shows its own program there by
/// `/proc/PID/exe`, and whoever opens that link gets the file by the mount that it was executed from. So the program is executed once more from a
/// detached, read-only mount of its own file: 0.3 ms, nothing is copied, nothing is left. A file that lies on a read-only mount
/// anyway, or is immutable (chattr +i), or that this user couldn't write, is executed as it is; where mounts can't be made, from a sealed copy in memory.
///
/// In release builds the target CSealedStart has done this before the program began; here it is checked.
enum SealedProgram {
  private static let marker = "_BERTH_RUNTIME_SEALED=1"

  /// Comes back when the process runs from a file that can't be written.
  static func ensure(_ arguments: [String]) throws(CommandError) {
    do throws(SyscallError) {
      let own = try Sys.open("/proc/self/exe", O_RDONLY)
      if try isSealed(own.raw) {
        // Executed from a descriptor, the process would be called by its number.
        let name: StaticString = "berth-runtime"
        try Sys.prctl(PR_SET_NAME, UInt(bitPattern: name.utf8Start))
        return
      }
      // ETXTBSY would be another's to wait for; what doesn't say no isn't taken for one.
      if geteuid() != 0, cl_faccessat(AT_FDCWD, "/proc/self/exe", W_OK) != 0, cl_errno() == EACCES { return }
      guard Environment.value("_BERTH_RUNTIME_SEALED") == nil else {
        throw SyscallError("seal", "/proc/self/exe", .notPermitted)
      }
      let program: Descriptor
      do throws(SyscallError) { program = try mounted(own.raw) } catch { program = try copied(own.raw) }
      throw Sys.execve("/proc/self/fd/\(program.raw)", arguments, Environment.all() + [marker])
    } catch { throw CommandError(error, doing: "seal the runtime's program") }
  }

  private static func isSealed(_ file: Int32) throws(SyscallError) -> Bool {
    if Int(try Sys.fileSystem(file).f_flags) & 1 != 0 { return true }  // ST_RDONLY, of the mount too
    // FS_IOC_GETFLAGS, FS_IMMUTABLE_FL: nobody can write it who can't take that from it (CAP_LINUX_IMMUTABLE).
    var flags: Int = 0
    if cl_ioctl(file, 0x8008_6601, &flags) == 0, flags & 0x10 != 0 { return true }
    // F_GET_SEALS; EINVAL where a file system has none. F_SEAL_WRITE is 8, F_SEAL_SHRINK and F_SEAL_GROW 2 and 4.
    return cl_fcntl(file, 1034, 0) & 14 == 14 && cl_fcntl(file, 1034, 0) > 0
  }

  /// The mount's descriptor is closed by the exec, and with it the mount leaves the one place where its flags could be changed.
  private static func mounted(_ file: Int32) throws(SyscallError) -> Descriptor {
    let mount = try DetachedMount.copy(of: file)
    try Sys.mountSetAttributes(mount.raw, set: MountOptions.readOnly)
    return mount
  }

  private static func copied(_ file: Int32) throws(SyscallError) -> Descriptor {
    let copy = try Sys.memfd("berth-runtime", sealable: true)
    var offset: off_t = 0
    let size = try Sys.fstat(file).st_size
    while offset < size {
      let count = try Sys.retrying("sendfile", "/proc/self/exe") {
        sendfile(copy.raw, file, &offset, size - Int(offset))
      }
      guard count > 0 else { throw SyscallError("sendfile", "/proc/self/exe", .io) }
    }
    // F_ADD_SEALS: no more seals, no shrinking, growing, writing.
    try Sys.fcntl(copy.raw, 1033, 15)
    return copy
  }
}

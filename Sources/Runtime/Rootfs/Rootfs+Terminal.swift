import CLinux
public import Kernel

extension Rootfs {
  /// The two ends of a new terminal.
  public struct Terminal: ~Copyable {
    public let master: Descriptor
    public let slave: Descriptor

    public consuming func takeSlave() -> Descriptor { slave }
  }

  /// A terminal of the container's own devpts. The slave comes from the master by TIOCGPTPEER (Linux 4.13) and never by a path,
  /// which a volume or another process of the container could have replaced.
  public static func openTerminal(in root: borrowing Root) throws(RootfsError) -> Terminal {
    do throws(SyscallError) {
      let master = try root.openWithoutLinks("dev/pts/ptmx", O_RDWR | O_NOCTTY)
      guard try Sys.fileSystem(master.raw).f_type == 0x1cd1 else {  // DEVPTS_SUPER_MAGIC
        throw SyscallError("openat2", "/dev/pts/ptmx", .noSuchDevice)
      }
      var unlock: Int32 = 0
      try Sys.retrying("ioctl TIOCSPTLCK") { cl_ioctl(master.raw, UInt(cl_tiocsptlck()), &unlock) }
      let slave = try Sys.retrying("ioctl TIOCGPTPEER") {
        cl_ioctl_int(master.raw, UInt(cl_tiocgptpeer()), Int(O_RDWR | O_NOCTTY | O_CLOEXEC))
      }
      return Terminal(master: master, slave: Descriptor(owning: slave))
    } catch { throw RootfsError(step: "console", "/dev/pts/ptmx", error, doing: "open a terminal in the container") }
  }

  /// Binds the slave on `/dev/console`, descriptor onto descriptor.
  public static func bindConsole(_ slave: borrowing Descriptor, in root: borrowing Root) throws(RootfsError) {
    do throws(SyscallError) {
      let dev = try root.openWithoutLinks("dev", O_PATH | O_DIRECTORY)
      do throws(SyscallError) {
        _ = try Sys.open("console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: dev.raw)
      } catch  where error.errno == .fileExists {
        if try Sys.status("console", at: dev.raw, flags: AT_SYMLINK_NOFOLLOW).type == FileType.link {
          try Sys.unlink("console", at: dev.raw)
          _ = try Sys.open("console", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: dev.raw)
        }
      }
      let place = try Sys.open("console", O_PATH | O_NOFOLLOW, at: dev.raw)
      let mount = try DetachedMount.copy(of: slave.raw)
      try Sys.moveMount(mount.raw, to: "", at: place.raw)
    } catch { throw RootfsError(step: "console", "/dev/console", error, doing: "bind \"/dev/console\" in rootfs") }
  }
}

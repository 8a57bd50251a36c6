import CLinux
import Kernel
import Rootfs

/// A procfs of our own, never mounted anywhere or looked at before it was mounted over: what is written through it reaches the
/// kernel and no file that a container put in the way (CVE-2025-52881).
struct ProcFS: ~Copyable {
  private let directory: Descriptor

  /// Takes over a mount of procfs that belongs to the caller's pid namespace; verified.
  init(_ mount: consuming Descriptor) throws(SyscallError) {
    guard try Sys.fileSystem(mount.raw).f_type == 0x9fa0 else {  // PROC_SUPER_MAGIC
      throw SyscallError("fstatfs", "procfs", .noSuchDevice)
    }
    directory = mount
  }

  /// A new detached one.
  init() throws(SyscallError) { try self.init(try DetachedMount.fileSystem("proc")) }

  /// `path` is relative and holds no links and no `..`. The file exists.
  borrowing func write(_ text: String, to path: String) throws(SyscallError) {
    guard !path.split(separator: "/").contains("..") else { throw SyscallError("openat2", path, .invalidArgument) }
    // RESOLVE_NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH
    let file = try Sys.openat2(path, O_WRONLY, resolve: 0x01 | 0x02 | 0x04 | 0x08, at: directory.raw)
    do throws(SyscallError) { try Sys.writeAll(file.raw, text) } catch { throw error.on(path) }
  }
}

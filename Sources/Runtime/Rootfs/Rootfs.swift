public import Kernel

/// The file system that a container sees: its root, the mounts in it, devices, masks, and the change into it.
///
/// Owns: `Root` (paths inside a tree that isn't trusted), `MountOptions` (the words of fstab and of the OCI specification),
/// `Rootfs.Mounter` (mounts onto a root, by descriptors), overlays, `/dev`, masked and read-only paths, `pivot_root`.
///
/// A rootfs is hostile (DESIGN.md rule 4): an image may hold symbolic links where `/proc`, `/dev` or a mount's destination is
/// expected, and a volume may be changed by another container at the same time. So every destination is resolved once, by
/// `openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)`, to a descriptor, and the finished, still detached mount is moved onto that
/// descriptor; no path is resolved a second time, and no mount is visible before its attributes hold.
///
/// Everything happens in the caller's mount namespace, which is the container's own: nothing is left when that dies.
/// Linux 5.12 (`mount_setattr`) is required.
///
/// Must not: allocate a mount on the host's side, execute or load anything from the tree, know of images or containers.
public enum Rootfs {}

/// Something could not be mounted or made.
public struct RootfsError: Error, Sendable, Equatable, CustomStringConvertible {
  /// `rootfs`, `mount`, `devices`, `console`, `mask`, `pivot`.
  public let step: String
  /// 0 when no system call failed.
  public let errno: Int32
  /// The path in the container that it failed on.
  public let object: String
  public let message: String

  public init(step: String, errno: Int32 = 0, object: String, _ message: String) {
    self.step = step
    self.errno = errno
    self.object = object
    self.message = message
  }

  public init(step: String, _ object: String, _ error: SyscallError, doing action: String) {
    self.init(step: step, errno: error.errno.rawValue, object: object, "\(action): \(error)")
  }

  public var description: String { message }
}

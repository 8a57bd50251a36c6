import CLinux
import Kernel

/// The open doors of a group, for a child that is about to be cloned: made by the parent, used by both.
///
/// ```
/// let entrance = try cgroup.entrance()
/// clone3(flags, cgroup: entrance.cloneInto)      // v2 and hybrid; -1 on v1 means the caller's own group
/// child: try entrance.enter()                    // v1 and hybrid; nothing to do on v2
/// child: unshare(CLONE_NEWCGROUP)                // only now: the namespace's root is the group that the caller is in
/// ```
///
/// CLONE_NEWCGROUP must not be among the flags of the clone itself: the kernel would take the parent's group as the root.
/// The descriptors are close-on-exec.
public struct CgroupEntrance: ~Copyable, Sendable {
  /// The v2 directory for CLONE_INTO_CGROUP (Linux 5.7), or -1.
  public let cloneInto: Int32
  private let directory: SharedDescriptor?
  private let tasks: [(controller: String, path: String, file: SharedDescriptor)]

  init(directory: SharedDescriptor?, tasks: [(controller: String, path: String, file: SharedDescriptor)]) {
    self.cloneInto = directory?.raw ?? -1
    self.directory = directory
    self.tasks = tasks
  }

  /// Moves the calling thread into every v1 hierarchy by writing `0` to its `tasks`. The caller is the single-threaded child,
  /// before it leaves the host's mounts or its privileges.
  public borrowing func enter() throws(CgroupError) {
    for (controller, path, file) in tasks {
      do throws(SyscallError) {
        try Sys.retrying("write") { CLinux.write(file.raw, "0", 1) }
      } catch { throw CgroupError("join", controller: controller, path: path, value: "0", error.errno) }
    }
  }
}

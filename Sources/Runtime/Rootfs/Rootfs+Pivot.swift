import CLinux
public import Kernel

extension Rootfs {
  /// Makes the tree this process's root directory and drops every mount of the host.
  ///
  /// pivot_root(".", ".") puts the old root on top of the new one, without a directory for it (pivot_root(2), NOTES); the lazy
  /// unmount takes it away with all below it. Where the host's root is the initial ramfs, which can't be pivoted (EINVAL), all else
  /// is unmounted and the new root, which lies over it, entered by chroot.
  ///
  /// `isChrooted`: as `leavePropagation` said. pivot_root would then replace the chroot's directory only: the host's root would stay
  /// that of the namespace, where setns(2) leads, and with it every exec. So the way goes by the namespace's own root.
  public static func pivot(into root: borrowing Root, isChrooted: Bool = false) throws(RootfsError) {
    do throws(SyscallError) {
      if isChrooted { try enterNamespaceRoot() }
      try Sys.fchdir(root.directory.raw)
      do throws(SyscallError) {
        try Sys.pivotRoot(".", ".")
        try Sys.umount(".", flags: 2)  // MNT_DETACH
      } catch  where error.call == "pivot_root" && error.errno == .invalidArgument {
        try moveRoot()
      }
      try Sys.chdir("/")
    } catch { throw RootfsError(step: "pivot", "/", error, doing: "change root") }
  }

  /// `linux.rootfsPropagation`: what becomes of the container's root, a mount of its own.
  public enum RootPropagation: String, Sendable, CaseIterable {
    case `private`, rprivate, slave, rslave, shared, rshared, unbindable, runbindable

    /// The root gets what the host mounts below it later: it must leave the host's peer group by becoming its slave, before the mount
    /// namespace leaves it.
    public var staysSlave: Bool { self == .slave || self == .rslave }
  }

  /// Before the root is attached: a slave of the host's mounts with all below it, since whatever else stayed a peer of the host's would
  /// show it what the container mounts.
  public static func makeSlave(_ root: borrowing Descriptor) throws(RootfsError) {
    do throws(SyscallError) {
      try Sys.mountSetAttributes(root.raw, propagation: MountOptions.slave, recursive: true)
    } catch { throw RootfsError(step: "rootfs", "/", error, doing: "set propagation of rootfs") }
  }

  /// After the change into it, which a shared root would stand in the way of (pivot_root(2)). The mount's peers are those to come.
  public static func setRootPropagation(_ propagation: RootPropagation) throws(RootfsError) {
    let flag: Int
    switch propagation {
    case .private, .rprivate, .slave, .rslave: return
    case .shared: flag = Int(MS_SHARED)
    case .rshared: flag = Int(MS_SHARED | MS_REC)
    case .unbindable: flag = Int(MS_UNBINDABLE)
    case .runbindable: flag = Int(MS_UNBINDABLE | MS_REC)
    }
    do throws(SyscallError) {
      try Sys.mount(nil, "/", flags: UInt(flag))
    } catch { throw RootfsError(step: "pivot", "/", error, doing: "set propagation of rootfs") }
  }

  private static func moveRoot() throws(SyscallError) {
    // What else the host has mounted must not stay reachable below the new root: unmounted first, deepest last in the list.
    let mounts = String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self)
    for line in mounts.split(separator: "\n").reversed() {
      let fields = line.split(separator: " ")
      guard fields.count > 4, fields[4] != "/" else { continue }
      let place = unescaped(fields[4])
      do throws(SyscallError) {
        try Sys.umount(place, flags: 2)
      } catch  where error.errno == .invalidArgument || error.errno == .noSuchFile { continue }
    }
    // `attach` put it over the namespace's root already.
    try Sys.chroot(".")
  }

  /// mountinfo writes space, tab, newline and backslash as `\040`.
  private static func unescaped(_ field: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = field.utf8[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), rest.count >= 3,
        let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(code)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

import CLinux
import Kernel

extension Rootfs {
  /// Makes the tree this process's root directory and drops every mount of the host.
  ///
  /// pivot_root(".", ".") puts the old root on top of the new one, without a directory for it (pivot_root(2), NOTES); the lazy
  /// unmount takes it away with all below it. Where the host's root is the initial ramfs, which can't be pivoted (EINVAL), all else
  /// is unmounted and the new root, which lies over it, entered by chroot.
  public static func pivot(into root: borrowing Root) throws(RootfsError) {
    do throws(SyscallError) {
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

  /// `linux.rootfsPropagation`, of the root's own mount, which has no peer but those to come.
  public static func setRootPropagation(_ name: String?) throws(RootfsError) {
    let flag: Int
    switch name {
    case nil, "", "private", "rprivate", "slave", "rslave": return
    case "shared", "rshared": flag = Int(MS_SHARED)
    case "unbindable", "runbindable": flag = Int(MS_UNBINDABLE)
    case let other?:
      throw RootfsError(step: "pivot", errno: EINVAL, object: other, "unknown rootfsPropagation \"\(other)\"")
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

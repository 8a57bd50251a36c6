import CLinux
import Kernel
public import OCI

extension Rootfs {
  /// The nodes that every container has (config-linux.md, "Default Devices").
  static let defaultDevices: [RuntimeSpec.Device] = [
    .init(type: "c", path: "/dev/null", major: 1, minor: 3, fileMode: 0o666),
    .init(type: "c", path: "/dev/zero", major: 1, minor: 5, fileMode: 0o666),
    .init(type: "c", path: "/dev/full", major: 1, minor: 7, fileMode: 0o666),
    .init(type: "c", path: "/dev/random", major: 1, minor: 8, fileMode: 0o666),
    .init(type: "c", path: "/dev/urandom", major: 1, minor: 9, fileMode: 0o666),
    .init(type: "c", path: "/dev/tty", major: 5, minor: 0, fileMode: 0o666),
  ]

  private static let links = [
    ("/proc/self/fd", "fd"), ("/proc/self/fd/0", "stdin"), ("/proc/self/fd/1", "stdout"), ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
  ]

  /// Puts the default nodes and links into the container's `/dev`, and the extra devices where they belong.
  /// The caller's umask is 0. `bind`: the user namespace can't make nodes, so the host's are bound.
  public static func makeDevices(_ extra: [RuntimeSpec.Device], in root: borrowing Root, bind: Bool) throws(RootfsError)
  {
    var object = "/dev"
    do throws(SyscallError) {
      let dev = try root.openWithoutLinks("dev", O_PATH | O_DIRECTORY)
      for device in defaultDevices where !extra.contains(where: { $0.path == device.path }) {
        object = device.path
        try make(device, named: String(device.path.dropFirst(5)), in: dev, bind: bind)
      }
      for (target, name) in links {
        object = "/dev/" + name
        try link(target, name, in: dev)
      }
      if Sys.exists("/proc/kcore") {
        object = "/dev/core"
        try link("/proc/kcore", "core", in: dev)
      }
    } catch { throw RootfsError(step: "devices", object, error, doing: "make device \"\(object)\" in rootfs") }
    for device in extra {
      do throws(SyscallError) {
        let place = try root.makeParent(device.path)
        guard let name = place.name else { throw SyscallError("mknod", device.path, .isDirectory) }
        try make(device, named: name, in: place.directory, bind: bind)
      } catch {
        throw RootfsError(step: "devices", device.path, error, doing: "make device \"\(device.path)\" in rootfs")
      }
    }
  }

  private static func link(_ target: String, _ name: String, in directory: borrowing Descriptor) throws(SyscallError) {
    do throws(SyscallError) {
      try Sys.symlink(target, name, at: directory.raw)
    } catch  where error.errno == .fileExists {
      if name != "ptmx" { return }  // the image's own; ptmx must be the new instance's
      try Sys.unlink(name, at: directory.raw)
      try Sys.symlink(target, name, at: directory.raw)
    }
  }

  private static func make(
    _ device: RuntimeSpec.Device, named name: String, in directory: borrowing Descriptor, bind: Bool
  ) throws(SyscallError) {
    let type: mode_t
    switch device.type {
    case "c", "u": type = FileType.character
    case "b": type = FileType.block
    case "p": type = FileType.pipe
    default: throw SyscallError("mknod", "\(device.path)\" of type \"\(device.type)", .invalidArgument)
    }
    guard let major = UInt32(exactly: device.major), let minor = UInt32(exactly: device.minor) else {
      throw SyscallError("mknod", "\(device.path) \(device.major):\(device.minor)", .invalidArgument)
    }
    if bind { return try bindDevice(device, named: name, in: directory) }
    let mode = mode_t(device.fileMode ?? 0o666) & 0o7777
    let number = cl_makedev(major, minor)
    do throws(SyscallError) {
      try Sys.mknod(name, mode: type | mode, device: number, at: directory.raw)
    } catch  where error.errno == .fileExists {
      let status = try Sys.status(name, at: directory.raw, flags: AT_SYMLINK_NOFOLLOW)
      guard status.type != type || UInt64(status.st_rdev) != number else { return }
      try Sys.unlink(name, at: directory.raw)
      try Sys.mknod(name, mode: type | mode, device: number, at: directory.raw)
    }
    if (device.uid ?? 0) != 0 || (device.gid ?? 0) != 0 {
      let node = try Sys.open(name, O_PATH | O_NOFOLLOW, at: directory.raw)
      try Sys.chown("", device.uid ?? 0, device.gid ?? 0, at: node.raw)
    }
  }

  private static func bindDevice(_ device: RuntimeSpec.Device, named name: String, in directory: borrowing Descriptor)
    throws(SyscallError)
  {
    let node = try DetachedMount.copy(of: device.path, recursive: false)
    do throws(SyscallError) {
      _ = try Sys.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600, at: directory.raw)
    } catch  where error.errno == .fileExists {}
    let place = try Sys.open(name, O_PATH | O_NOFOLLOW, at: directory.raw)
    try Sys.moveMount(node.raw, to: "", at: place.raw)
  }
}

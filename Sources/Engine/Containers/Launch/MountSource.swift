import CLinux
import Errdefs
import Kernel
import Rootfs

/// The sources of binds on the host: resolved once, with all links in them, and from then on known by device and inode. A link that is
/// swapped afterwards leads nowhere: the container's side opens the real path without following any, and compares.
enum MountSource {
  /// The real path and what is there. Makes a directory that is missing when `-v` asked for it. Nil: what the source stands for has no
  /// path (a namespace, a pipe), and is mounted as it is.
  static func bind(_ point: MountPlan.Point, _ policy: BindPolicy) throws -> (path: String, pin: SourcePin)? {
    // Before a directory is made, and again for what was opened: somebody may have changed a link in between.
    try policy.check(BindPolicy.resolved(point.source), isWritable: point.rw)
    let file: Descriptor
    do throws(SyscallError) { file = try open(point) } catch {
      if error.errno == .noSuchFile, !point.createsSource {
        throw EngineError.invalidParameter(
          "invalid mount config for type \"bind\": bind source path does not exist: \(point.source)")
      }
      throw EngineError.system(
        "error while creating mount source path '\(point.source)': \(error.call) \(point.source): \(error.errno)")
    }
    let found = try pin(file)
    if let found { try policy.check(found.path, isWritable: point.rw) }
    return found
  }

  /// A directory or file in a volume. Links in it are the volume's own and stay inside.
  static func subpath(_ subpath: String, of volume: String) throws -> (path: String, pin: SourcePin) {
    do throws(SyscallError) {
      let root = try Root(volume)
      let file = try root.open(subpath, O_PATH)
      if let found = try pin(file) { return found }
      throw SyscallError("open", subpath, .noSuchFile)
    } catch {
      throw EngineError.invalidParameter("cannot access path \(volume)/\(subpath): lstat \(subpath): \(error.errno)")
    }
  }

  private static func open(_ point: MountPlan.Point) throws(SyscallError) -> Descriptor {
    do throws(SyscallError) { return try Sys.open(point.source, O_PATH) } catch {
      guard error.errno == .noSuchFile, point.createsSource else { throw error }
    }
    try Sys.mkdirAll(point.source)
    return try Sys.open(point.source, O_PATH)
  }

  private static func pin(_ file: borrowing Descriptor) throws(SyscallError) -> (path: String, pin: SourcePin)? {
    let path = try Sys.readlink("/proc/self/fd/\(file.raw)")
    guard path.hasPrefix("/") else { return nil }
    let status = try Sys.fstat(file.raw)
    return (path, SourcePin(device: UInt64(status.st_dev), inode: UInt64(status.st_ino)))
  }
}

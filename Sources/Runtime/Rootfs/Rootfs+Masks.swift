import CLinux
public import Kernel

extension Rootfs {
  /// Hides paths: a file behind the null device, a directory behind an empty read-only tmpfs. What is absent stays absent.
  ///
  /// The null device is the host's, and it is verified: the container's own `/dev/null` may be a link to whatever its image
  /// wants to be made writable (CVE-2025-31133).
  public static func mask(_ paths: [String], in root: borrowing Root) throws(RootfsError) {
    guard !paths.isEmpty else { return }
    var null: Descriptor?
    var empty: Descriptor?
    for path in paths {
      do throws(SyscallError) {
        let place: Descriptor
        do throws(SyscallError) {
          place = try root.open(path, O_PATH)
        } catch  where error.errno == .noSuchFile || error.errno == .notDirectory { continue }
        let isDirectory = try Sys.fstat(place.raw).type == FileType.directory
        if isDirectory {
          if empty == nil {
            empty = try DetachedMount.fileSystem(
              "tmpfs", source: "tmpfs", data: [.init(key: "nr_inodes", value: "1"), .init(key: "mode", value: "755")],
              attributes: MountOptions.readOnly | MountOptions.noSUID | MountOptions.noDevices | MountOptions.noExec)
          }
          if let mount = empty?.raw { try put(mount, on: place) }
        } else {
          if null == nil { null = try hostNull() }
          if let mount = null?.raw { try put(mount, on: place) }
        }
      } catch { throw RootfsError(step: "mask", path, error, doing: "mask \"\(path)\"") }
    }
  }

  private static func put(_ mount: Int32, on place: borrowing Descriptor) throws(SyscallError) {
    let copy = try DetachedMount.copy(of: mount)
    try Sys.moveMount(copy.raw, to: "", at: place.raw)
  }

  /// The host's null device, verified: character device 1:3.
  public static func hostNull() throws(SyscallError) -> Descriptor {
    let null = try Sys.open("/dev/null", O_PATH | O_NOFOLLOW)
    let status = try Sys.fstat(null.raw)
    guard status.type == FileType.character, UInt64(status.st_rdev) == cl_makedev(1, 3) else {
      throw SyscallError("open", "/dev/null\" (not the null device)\"", .noSuchDevice)
    }
    return null
  }

  /// Makes paths read-only, with what is mounted below them. What is absent stays absent.
  public static func makeReadOnly(_ paths: [String], in root: borrowing Root) throws(RootfsError) {
    for path in paths {
      do throws(SyscallError) {
        let place: Descriptor
        do throws(SyscallError) {
          place = try root.open(path, O_PATH)
        } catch  where error.errno == .noSuchFile || error.errno == .notDirectory { continue }
        let copy = try DetachedMount.copy(of: place.raw, recursive: true)
        try Sys.mountSetAttributes(copy.raw, set: MountOptions.readOnly, recursive: true)
        try Sys.moveMount(copy.raw, to: "", at: place.raw)
      } catch { throw RootfsError(step: "mask", path, error, doing: "make \"\(path)\" read-only") }
    }
  }
}

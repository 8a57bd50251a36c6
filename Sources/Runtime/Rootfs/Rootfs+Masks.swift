import CLinux
public import Kernel

extension Rootfs {
  /// Hides paths: a file behind the null device, a directory behind an empty read-only tmpfs. What is absent stays absent.
  ///
  /// The null device is the host's, and it is verified: the container's own `/dev/null` may be a link to whatever its image
  /// wants to be made writable (CVE-2025-31133).
  public static func mask(_ paths: [String], in root: borrowing Root, _ kernel: KernelMounts = KernelMounts())
    throws(RootfsError)
  {
    guard !paths.isEmpty else { return }
    var null: Descriptor?
    // The first directory gets the mount itself and the others copies: a detached mount that is dropped costs the kernel a grace
    // period (70 µs and more).
    var empty: Descriptor?
    for path in paths {
      do throws(SyscallError) {
        let place: Descriptor
        do throws(SyscallError) {
          place = try kernel.open(path, in: root)
        } catch  where error.errno == .noSuchFile || error.errno == .notDirectory { continue }
        if try Sys.fstat(place.raw).type != FileType.directory {
          if null == nil { null = try hostNull() }
          if let null = null?.raw { try cover(place, with: try DetachedMount.copy(of: null)) }
        } else if let empty = empty?.raw {
          try cover(place, with: try DetachedMount.copy(of: empty))
        } else {
          let mount = try DetachedMount.fileSystem(
            "tmpfs", source: "tmpfs", data: [.init(key: "nr_inodes", value: "1"), .init(key: "mode", value: "755")],
            attributes: MountOptions.readOnly | MountOptions.noSUID | MountOptions.noDevices | MountOptions.noExec)
          try Sys.moveMount(mount.raw, to: "", at: place.raw)
          empty = Descriptor(owning: mount.take())
        }
      } catch { throw RootfsError(step: "mask", path, error, doing: "mask \"\(path)\"") }
    }
  }

  private static func cover(_ place: borrowing Descriptor, with mount: consuming Descriptor) throws(SyscallError) {
    try Sys.moveMount(mount.raw, to: "", at: place.raw)
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
  public static func makeReadOnly(
    _ paths: [String], in root: borrowing Root, _ kernel: KernelMounts = KernelMounts()
  ) throws(RootfsError) {
    for path in paths {
      do throws(SyscallError) {
        let place: Descriptor
        do throws(SyscallError) {
          place = try kernel.open(path, in: root)
        } catch  where error.errno == .noSuchFile || error.errno == .notDirectory { continue }
        let copy = try DetachedMount.copy(of: place.raw, recursive: true)
        try Sys.mountSetAttributes(copy.raw, set: MountOptions.readOnly, recursive: true)
        try Sys.moveMount(copy.raw, to: "", at: place.raw)
      } catch { throw RootfsError(step: "mask", path, error, doing: "make \"\(path)\" read-only") }
    }
  }
}

import CLinux
import Errdefs
import Kernel

/// A volume with `--opt size=`: an ext4 of that size in a sparse file, mounted through a loop device, so that what is in the container
/// sees the limit (`df`) and meets it (ENOSPC), and the host's disk holds what was written only.
enum SizedVolume {
  /// Makes `fs.img` in the new volume's directory. Throws when the host has no mkfs.ext4.
  static func make(_ volume: Volume, in directory: String) throws {
    guard let size = volume.sizeLimit else { return }
    guard let mkfs = ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"].first(where: { Sys.exists($0) }) else {
      throw EngineError.notImplemented(
        "a volume with a size needs mkfs.ext4 (package e2fsprogs), which the host has not")
    }
    let path = directory + "/fs.img"
    do {
      let file = try Sys.open(path, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
      try Sys.ftruncate(file.raw, size)
    }
    // No blocks kept back for root; resize_inode lets it grow while it is mounted.
    try HostProgram.run(
      mkfs, ["-q", "-F", "-m", "0", "-O", "resize_inode", "-E", "root_owner=0:0,lazy_itable_init=1,nodiscard", path])
    let file = try Sys.open(path, O_RDONLY)
    try Sys.fsync(file.raw)
  }

  /// Mounts `fs.img` of a volume's directory at its `_data`.
  static func mount(_ directory: String, id: String) throws {
    let place = directory + "/_data"
    let file = try Sys.open(directory + "/fs.img", O_RDWR)
    let (device, path) = try attach(file.raw, name: id)
    // nodev and nosuid are the container's own affair, as in any volume.
    do throws(SyscallError) { try Sys.mount(path, place, type: "ext4") } catch { throw error.on(path) }
    // The device goes with the last mount (LO_FLAGS_AUTOCLEAR), once we have let go of it.
    withExtendedLifetime(device) {}
    // mkfs makes it, and a volume should begin empty: databases refuse a directory that isn't.
    do throws(SyscallError) { try Sys.rmdir(place + "/lost+found") } catch {
      guard error.errno == .noSuchFile || error.errno == .notEmpty else { throw error }
    }
  }

  /// Makes the file and the file system in it larger, mounted or not; it must be mounted for the file system to follow at once.
  static func grow(_ volume: Volume, to size: Int64) throws {
    let directory = String(volume.mountpoint.dropLast("/_data".count))
    let file = try Sys.open(directory + "/fs.img", O_RDWR)
    guard size >= Int64(try Sys.fstat(file.raw).st_size) else {
      throw EngineError.invalidParameter("a volume can only grow")
    }
    try Sys.ftruncate(file.raw, size)
    try Sys.fsync(file.raw)
    let top = try Sys.open(volume.mountpoint, O_RDONLY | O_DIRECTORY)
    let status = try Sys.fstat(top.raw)
    // `../../devices/virtual/block/loop0`
    let number = "\(cl_major(UInt64(status.st_dev))):\(cl_minor(UInt64(status.st_dev)))"
    let name = try Sys.readlink("/sys/dev/block/\(number)").split(separator: "/").last ?? ""
    let device = try Sys.open("/dev/\(name)", O_RDWR)
    try Sys.retrying("ioctl", "LOOP_SET_CAPACITY") { cl_ioctl_int(device.raw, 0x4C07, 0) }
    // EXT4_IOC_RESIZE_FS, _IOW('f', 16, __u64): the new size in blocks.
    let blockSize = Int64(try Sys.fileSystem(top.raw).f_bsize)
    var blocks = UInt64(size / max(1, blockSize))
    // The kernel asks for CAP_SYS_RESOURCE.
    try Sys.retrying("ioctl", "EXT4_IOC_RESIZE_FS") { cl_ioctl(top.raw, 0x4008_6610, &blocks) }
  }

  /// The device that the file has already: a mount in some container's namespace may live a moment longer than the host's, and a second
  /// device over the same file would be a second file system that knows nothing of the first.
  private static func attached(_ file: Int32) throws -> (SharedDescriptor, String)? {
    let wanted = try Sys.fstat(file)
    for entry in try Sys.entries(of: "/sys/block")
    where entry.name.hasPrefix("loop") && Sys.exists("/sys/block/\(entry.name)/loop/backing_file") {
      let path = "/dev/\(entry.name)"
      do throws(SyscallError) {
        let device = SharedDescriptor(try Sys.open(path, O_RDWR))
        // struct loop_info64: lo_device and lo_inode come first, as stat(2) has them.
        var info = [UInt64](repeating: 0, count: 29)
        try Sys.retrying("ioctl", "LOOP_GET_STATUS64 \(path)") {
          info.withUnsafeMutableBytes { cl_ioctl(device.raw, 0x4C05, $0.baseAddress) }
        }
        if info[0] == UInt64(wanted.st_dev), info[1] == UInt64(wanted.st_ino) { return (device, path) }
      } catch {
        // It went meanwhile.
        guard [.noSuchDevice, Errno(rawValue: ENXIO), .noSuchFile].contains(error.errno) else { throw error }
      }
    }
    return nil
  }

  /// A loop device over the file (loop(4)); LOOP_CONFIGURE is there since Linux 5.8.
  private static func attach(_ file: Int32, name: String) throws -> (SharedDescriptor, String) {
    if let attached = try attached(file) { return attached }
    let control = try Sys.open("/dev/loop-control", O_RDWR)
    // struct loop_config: fd, block_size, then struct loop_info64 of 232 bytes with lo_flags at 52 and lo_file_name at 56.
    var config = [UInt8](repeating: 0, count: 304)
    config.withUnsafeMutableBytes { bytes in
      bytes.storeBytes(of: UInt32(bitPattern: file), toByteOffset: 0, as: UInt32.self)
      bytes.storeBytes(of: UInt32(4), toByteOffset: 8 + 52, as: UInt32.self)  // LO_FLAGS_AUTOCLEAR
      for (index, byte) in "berth-volume-\(name)".utf8.prefix(63).enumerated() { bytes[8 + 56 + index] = byte }
    }
    while true {
      let number = try Sys.retrying("ioctl", "LOOP_CTL_GET_FREE") { cl_ioctl_int(control.raw, 0x4C82, 0) }
      let path = "/dev/loop\(number)"
      if !Sys.exists(path) {
        // Without udev nobody makes the node: block, major 7.
        try Sys.mknod(path, mode: 0o060600, device: cl_makedev(7, UInt32(number)))
      }
      let device = SharedDescriptor(try Sys.open(path, O_RDWR))
      do throws(SyscallError) {
        try Sys.retrying("ioctl", "LOOP_CONFIGURE \(path)") {
          config.withUnsafeMutableBytes { cl_ioctl(device.raw, 0x4C0A, $0.baseAddress) }
        }
        return (device, path)
      } catch {
        // Somebody else was faster: the next one.
        guard error.errno == .busy else { throw error }
      }
    }
  }
}

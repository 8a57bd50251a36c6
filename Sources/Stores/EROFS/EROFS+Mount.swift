public import Kernel

extension EROFS {
  /// A detached, read-only mount of an index over its devices, in their order (Linux 6.12). ENODEV, ENOTBLK or EINVAL where the kernel can't.
  ///
  /// Each call makes a superblock with a page cache of its own: mount once and share.
  public static func mount(index: String, devices: [String]) throws(SyscallError) -> Descriptor {
    let context = try Sys.fsopen("erofs")
    // A value has 255 bytes: a longer path is named by a descriptor, which must live until the mount is made.
    var held: [SharedDescriptor] = []
    func name(_ path: String) throws(SyscallError) -> String {
      guard path.utf8.count > 255 else { return path }
      let file = SharedDescriptor(try Sys.open(path, 0))
      held.append(file)
      return "/proc/self/fd/\(file.raw)"
    }
    try Sys.fsconfig(context.raw, "source", try name(index))
    for device in devices { try Sys.fsconfig(context.raw, "device", try name(device)) }
    try Sys.fsconfig(flag: "ro", context.raw)
    try Sys.fsconfigCreate(context.raw)
    // RDONLY, NOSUID, NODEV: what it holds counts through an overlay alone.
    return try withExtendedLifetime(held) { () throws(SyscallError) in
      try Sys.fsmount(context.raw, attributes: 1 | 2 | 4)
    }
  }

  /// Whether this kernel, for this process, mounts an index that lies in `directory`; throws what it says otherwise.
  public static func probe(in directory: String) throws {
    let path = "\(directory)/.erofs-probe"
    let tree = LayerTree()
    let devices = [try Device(size: 512)]
    try Sys.replaceFile(path, with: try tree.index(devices: devices, record: []), mode: 0o600, durable: false)
    defer { try? Sys.unlink(path) }
    try Sys.replaceFile(path + ".tar", with: Array(repeating: 0, count: 512), mode: 0o600, durable: false)
    defer { try? Sys.unlink(path + ".tar") }
    _ = try mount(index: path, devices: [path + ".tar"])
  }
}

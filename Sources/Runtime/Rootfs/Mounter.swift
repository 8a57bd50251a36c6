import CLinux
public import Kernel
public import OCI

/// Puts the mounts of a specification into a root, one after the other, in the order given.
public struct Mounter: ~Copyable {
  public let root: Root
  /// The container's procfs before anything was mounted over it: sysctls and `oom_score_adj` are written through this one.
  private var proc: Descriptor?
  /// What was mounted last on `/proc` and `/sys`.
  private var kernel = KernelMounts()
  private let cgroups: CgroupMounts?
  /// By destination.
  private let pins: [String: SourcePin]
  /// `linux.mountLabel`: SELinux' context of the file systems that are made.
  private let label: String?

  public init(root: consuming Root, cgroups: CgroupMounts?, pins: [String: SourcePin] = [:], label: String? = nil) {
    self.root = root
    self.cgroups = cgroups
    self.pins = pins
    self.label = label.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Which sources of bind mounts are opened before the others.
  public enum Sources: Sendable {
    /// Where the container's own process may open none.
    case all
    /// Those that stay in the host's peer groups, but for the id-mapped.
    case propagating
    /// Those that only the host's root can map.
    case idMapped
  }

  /// Opens the sources of bind mounts that a caller with fewer rights, or outside the host's propagation, could not open: by the
  /// index of the mount. `mapping`: a user namespace for the ids of a mount that is id-mapped.
  public static func openSources(
    _ mounts: [RuntimeSpec.Mount], _ which: Sources, pins: [String: SourcePin] = [:],
    mapping: (RuntimeSpec.Mount) throws(SyscallError) -> SharedDescriptor
  ) throws(RootfsError) -> [Int: SharedDescriptor] {
    var sources: [Int: SharedDescriptor] = [:]
    for (index, mount) in mounts.enumerated() {
      let options = MountOptions(mount.options)
      guard options.bind || mount.type == "bind" else { continue }
      let isMapped = isMapped(mount, options)
      switch which {
      case .all: break
      case .propagating: guard options.propagates, !isMapped else { continue }
      case .idMapped: guard isMapped else { continue }
      }
      do throws(SyscallError) {
        let source = try copy(of: mount, options, pins[mount.destination])
        if isMapped {
          try DetachedMount.map(source, to: try mapping(mount), recursive: options.idMappedRecursively)
        }
        sources[index] = SharedDescriptor(source)
      } catch { throw failure(mount, error) }
    }
    return sources
  }

  private static func isMapped(_ mount: RuntimeSpec.Mount, _ options: MountOptions) -> Bool {
    options.idMapped || !mount.uidMappings.isEmpty || !mount.gidMappings.isEmpty
  }

  /// `source`: what `openSources` answered for this mount.
  public mutating func mount(_ mount: RuntimeSpec.Mount, source: SharedDescriptor? = nil) throws(RootfsError) {
    let options = MountOptions(mount.options)
    guard source != nil || !Self.isMapped(mount, options) else {
      throw RootfsError(
        step: "mount", object: mount.destination, "mount \"\(mount.destination)\": only binds can be id-mapped")
    }
    do throws(SyscallError) {
      if options.bind || mount.type == "bind" {
        try bind(mount, options, source)
      } else if mount.type == "cgroup" || mount.type == "cgroup2" {
        try mountCgroups(mount, options)
      } else {
        try mountFileSystem(mount, options)
      }
    } catch { throw Self.failure(mount, error) }
  }

  /// Where `/proc` and `/sys` are, whatever their names have come to lead to.
  public var kernelMounts: KernelMounts { kernel }

  /// The container's `/proc`, if one was mounted.
  public mutating func takeProc() -> Descriptor? { proc.take() }

  /// Read-only at last, when every mount's destination has been made.
  public borrowing func makeRootReadOnly() throws(RootfsError) {
    do throws(SyscallError) {
      try Sys.mountSetAttributes(root.directory.raw, set: MountOptions.readOnly)
    } catch { throw RootfsError(step: "rootfs", "/", error, doing: "make rootfs read-only") }
  }

  private static func failure(_ mount: RuntimeSpec.Mount, _ error: SyscallError) -> RootfsError {
    let source = mount.source ?? mount.type ?? ""
    let hint =
      error.errno == .notDirectory
      ? ": Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type"
      : ""
    return RootfsError(
      step: "mount", errno: error.errno.rawValue, object: mount.destination,
      "error mounting \"\(source)\" to rootfs at \"\(mount.destination)\": \(error)\(hint)")
  }

  private static func copy(of mount: RuntimeSpec.Mount, _ options: MountOptions, _ pin: SourcePin?)
    throws(SyscallError) -> Descriptor
  {
    let source = mount.source ?? ""
    if options.copySymlink, try Sys.status(source, flags: AT_SYMLINK_NOFOLLOW).type == FileType.link {
      return try Sys.open(source, O_PATH | O_NOFOLLOW)
    }
    guard let pin else {
      return try DetachedMount.copy(
        of: source, recursive: options.recursive, following: !options.sourceIsNotFollowed)
    }
    let file = try pin.open(source)
    return try DetachedMount.copy(of: file.raw, recursive: options.recursive)
  }

  private mutating func bind(_ mount: RuntimeSpec.Mount, _ options: MountOptions, _ given: SharedDescriptor?)
    throws(SyscallError)
  {
    let source =
      if let given { given } else {
        SharedDescriptor(try Self.copy(of: mount, options, pins[mount.destination]))
      }
    let tree = source.raw
    if options.copySymlink, try Sys.fstat(tree).type == FileType.link { return try makeLink(tree, mount) }
    if options.set | options.clear | options.propagation != 0 {
      // Only what was said: an attribute of the source that nobody named stays (it may be locked).
      try Sys.mountSetAttributes(
        tree, set: options.set, clear: options.clear,
        propagation: options.propagates ? options.propagation : options.propagation == 0 ? 0 : MountOptions.private)
    }
    if options.propagates, options.propagationRecursive {
      try Sys.mountSetAttributes(tree, propagation: options.propagation, recursive: true)
    }
    if options.recursiveSet | options.recursiveClear != 0 {
      try Sys.mountSetAttributes(tree, set: options.recursiveSet, clear: options.recursiveClear, recursive: true)
    }
    let status = try Sys.fstat(tree)
    // What others believe of processes and labels is read there (CVE-2019-16884): nothing but the root of a procfs.
    if Self.cleaned(mount.destination) == "/proc", try !Self.isProcRoot(tree, status) { throw Self.notProc }
    let place = try destination(
      of: mount, isDirectory: status.type == FileType.directory, following: !options.destinationIsNotFollowed)
    try Sys.moveMount(tree, to: "", at: place.raw)
    if options.propagation == MountOptions.unbindable {
      // Last: what is unbindable can't be moved to everywhere.
      try Sys.mountSetAttributes(tree, propagation: options.propagation, recursive: options.propagationRecursive)
    }
    kernel.note(mount.destination, source)
  }

  private static func isProcRoot(_ mount: Int32, _ status: stat) throws(SyscallError) -> Bool {
    try Sys.fileSystem(mount).f_type == 0x9fa0 && status.st_ino == 1  // PROC_SUPER_MAGIC, PROC_ROOT_INO
  }

  private static var notProc: SyscallError {
    SyscallError("mount", "/proc\" (cannot be mounted because it is not of type proc)\"", .notPermitted)
  }

  /// The link of the host again; one that is there must be the same.
  private borrowing func makeLink(_ link: Int32, _ mount: RuntimeSpec.Mount) throws(SyscallError) {
    let target = try Sys.readlink("", at: link)
    let place = try linkPlace(of: mount)
    guard let name = place.name else { throw SyscallError("symlink", mount.destination, .fileExists) }
    do throws(SyscallError) { try Sys.symlink(target, name, at: place.directory.raw) } catch
      where error.errno == .fileExists
    {
      guard (try? Sys.readlink(name, at: place.directory.raw)) == target else { throw error.on(mount.destination) }
    }
  }

  private mutating func mountFileSystem(_ mount: RuntimeSpec.Mount, _ options: MountOptions) throws(SyscallError) {
    let type = mount.type ?? "none"
    if type != "proc", Self.cleaned(mount.destination) == "/proc" { throw Self.notProc }
    var data = options.data
    let place: Descriptor
    if type == "tmpfs" || type == "ramfs" {
      // The mode of what is hidden goes on to hold, unless another was asked for.
      let existing = try? root.open(mount.destination, O_PATH | O_DIRECTORY)
      if let existing, !data.contains(where: { $0.key == "mode" }) {
        data.append(.init(key: "mode", value: String(try Sys.fstat(existing.raw).st_mode & 0o7777, radix: 8)))
      }
    }
    if let label, !["proc", "sysfs", "mqueue"].contains(type) { data.append(.init(key: "context", value: label)) }
    place = try destination(of: mount, isDirectory: true, following: !options.destinationIsNotFollowed)
    let detached: Descriptor
    do throws(SyscallError) {
      detached = try DetachedMount.fileSystem(type, source: mount.source ?? type, data: data, attributes: options.set)
    } catch  where error.errno == .notPermitted && (type == "sysfs" || type == "mqueue") {
      // The host's network or ipc namespace in a user namespace of the container's own: show what the host has.
      detached = try DetachedMount.copy(of: type == "sysfs" ? "/sys" : "/dev/mqueue", recursive: true)
      try Sys.mountSetAttributes(detached.raw, set: options.set, recursive: true)
    }
    if options.copyUp {
      try CopyUp.copy(
        from: place, to: detached, ownsTop: !data.contains { $0.key == "uid" || $0.key == "gid" })
    }
    try Sys.moveMount(detached.raw, to: "", at: place.raw)
    if options.recursiveSet | options.recursiveClear != 0 {
      try Sys.mountSetAttributes(
        detached.raw, set: options.recursiveSet, clear: options.recursiveClear, recursive: true)
    }
    // A new mount has no peers: private, and slave of nobody.
    if options.propagation == MountOptions.shared || options.propagation == MountOptions.unbindable {
      try Sys.mountSetAttributes(detached.raw, propagation: options.propagation)
    }
    let isProc = type == "proc" && Self.cleaned(mount.destination) == "/proc"
    if isProc { proc = try detached.duplicate() }
    kernel.note(mount.destination, SharedDescriptor(detached))
  }

  private borrowing func mountCgroups(_ mount: RuntimeSpec.Mount, _ options: MountOptions) throws(SyscallError) {
    guard let cgroups else { return }
    let place = try destination(of: mount, isDirectory: true)
    if let unified = cgroups.unified {
      let detached: Descriptor
      do throws(SyscallError) {
        guard cgroups.namespaced else { throw SyscallError("fsmount", unified, .notPermitted) }
        detached = try DetachedMount.fileSystem("cgroup2", source: "cgroup", attributes: options.set)
      } catch  where error.errno == .notPermitted || error.errno == .busy {
        // Without a namespace of its own a fresh mount would show all groups and reset the host's mount flags.
        detached = try DetachedMount.copy(of: unified, recursive: false)
        try Sys.mountSetAttributes(detached.raw, set: options.set)
      }
      return try Sys.moveMount(detached.raw, to: "", at: place.raw)
    }
    let top = try DetachedMount.fileSystem(
      "tmpfs", source: "cgroup", data: [.init(key: "mode", value: "755")],
      attributes: options.set & ~MountOptions.readOnly)
    for hierarchy in cgroups.hierarchies { try Sys.mkdir(hierarchy.name, at: top.raw) }
    for link in cgroups.links { try Sys.symlink(link.target, link.name, at: top.raw) }
    // Before Linux 6.15 nothing can be mounted into a detached tree: attach first. The names are our own, in a new tmpfs.
    try Sys.moveMount(top.raw, to: "", at: place.raw)
    for hierarchy in cgroups.hierarchies {
      let group = try DetachedMount.copy(of: hierarchy.source, recursive: false)
      try Sys.moveMount(group.raw, to: hierarchy.name, at: top.raw)
    }
    try Sys.mountSetAttributes(top.raw, set: options.set, recursive: true)
  }
}

import CLinux
import Kernel
import Rootfs
import Snapshots
import Synchronization

/// Opens a container's files from outside.
///
/// What runs is looked at through its own mount namespace: a thread of ours enters that for as long as it takes to open its root, and all
/// that follows goes by descriptors. What doesn't run is an overlay that is mounted for nobody (a detached mount), with the container's
/// volumes and binds laid over it by `MountedTree`; reading takes one without an upper directory, so that a start meanwhile does no harm.
///
/// Every call blocks.
enum FileView {
  /// The root of the mount namespace, with all that is mounted below it.
  static func root(ofNamespace namespace: SharedDescriptor) throws -> MountedTree {
    let root = try onThread {
      try enter(namespace)
      return SharedDescriptor(try Sys.open("/", O_PATH | O_DIRECTORY))
    }
    return MountedTree(root: try root.duplicate())
  }

  /// The root file system of the mount namespace alone, without what is mounted below it.
  static func bareRoot(ofNamespace namespace: SharedDescriptor) throws -> MountedTree {
    let root = try onThread {
      try enter(namespace)
      return SharedDescriptor(try DetachedMount.copy(of: "/", recursive: false))
    }
    return MountedTree(root: try root.duplicate())
  }

  private static func enter(_ namespace: SharedDescriptor) throws(SyscallError) {
    // setns(2) refuses a thread that shares its root directory with others.
    try Sys.unshare(CLONE_FS)
    try Sys.setns(namespace.raw, CLONE_NEWNS)
  }

  /// The files of a snapshot that nobody uses; writable only while its container can't start.
  static func overlay(of snapshot: Snapshot, writable: Bool) throws -> MountedTree {
    MountedTree(root: try overlay(snapshot.lower, snapshot.upper, snapshot.work, writable: writable).duplicate())
  }

  private static func overlay(_ lower: [String], _ upper: String, _ work: String, writable: Bool) throws
    -> SharedDescriptor
  {
    if !writable, lower.isEmpty { return SharedDescriptor(try Sys.open(upper, O_PATH | O_DIRECTORY)) }
    return try onThread {
      // The way of old kernels mounts by a path for a moment: where nobody sees it.
      try Sys.unshare(CLONE_NEWNS)
      try Rootfs.leavePropagation()
      return SharedDescriptor(
        writable
          ? try Rootfs.overlay(lower: lower, upper: upper, work: work, volatile: false)
          : try Rootfs.readOnlyOverlay([upper] + lower))
    }
  }

  /// A tree, and where it is to be laid.
  struct Source {
    let root: SharedDescriptor
    let destination: String
  }

  /// What a stopped container's mounts are, outer ones first; a tmpfs is nothing then. `found`: with their sources found, and what those
  /// are, by destination. `writable`: only while the container can't start.
  static func sources(
    _ found: (snapshot: ContainerSnapshot, pins: [String: SourcePin]), writable: Bool,
    image: (ContainerSnapshot.MountPoint) throws -> ImageMount
  ) throws -> [Source] {
    try found.snapshot.mounts.sorted {
      $0.destination.split(separator: "/").count < $1.destination.split(separator: "/").count
    }
    .compactMap { point throws -> Source? in
      let root: SharedDescriptor
      switch point.type {
      case "image":
        guard case .directory(let lower, let upper, let work) = try image(point) else { return nil }
        root = try overlay(lower, upper, work, writable: writable && point.rw)
      case "bind", "volume":
        // A copy of the mount: a volume that is mounted for this alone can be unmounted meanwhile.
        let file = try found.pins[point.destination]?.open(point.source) ?? Sys.open(point.source, O_PATH)
        root = SharedDescriptor(try DetachedMount.copy(of: file.raw, recursive: true))
      default: return nil
      }
      return Source(root: root, destination: point.destination)
    }
  }

  /// Lays mounts over a tree. Throws ENOENT or EROFS when a place is missing and can't be made.
  static func lay(_ sources: [Source], on tree: MountedTree) throws -> MountedTree {
    var tree = tree
    for source in sources { try tree.mount(source.root, at: source.destination) }
    return tree
  }

  /// Runs what makes files in a tree: where its owners are others than here, as the root of those who live in it, since the kernel lets
  /// nobody else make files there (EOVERFLOW).
  static func asRoot(of tree: MountedTree, _ body: @escaping @Sendable () throws -> Void) throws {
    guard let owners = tree.owners, let root = owners.outside(0, 0) else { return try body() }
    try onThread {
      // Of this thread alone, which ends then.
      try Rootfs.takeFileSystemIDs(root.uid, root.gid)
      try body()
    }
  }

  private final class Box<T: Sendable>: Sendable { let result = Mutex<Result<T, any Error>?>(nil) }

  private static func onThread<T: Sendable>(_ body: @escaping @Sendable () throws -> T) throws -> T {
    let box = Box<T>()
    let thread = try Thread(name: "files") {
      let result = Result(catching: body)
      box.result.withLock { $0 = result }
    }
    thread.join()
    guard let result = box.result.withLock({ $0 }) else { throw SyscallError("pthread_create", "files", .io) }
    return try result.get()
  }
}

extension SharedDescriptor {
  /// A second one of one's own.
  func duplicate() throws(SyscallError) -> Descriptor { Descriptor(owning: try Sys.fcntl(raw, F_DUPFD_CLOEXEC, 0)) }
}

public import Kernel
public import OCI

/// One control group, by its path in every hierarchy: `/berth/<id>`.
public struct Cgroup: Sendable, Equatable {
  /// Absolute within the hierarchies, without a slash at the end and without `.` or `..`.
  public let path: String
  public let layout: CgroupLayout

  /// Names a group, which may or may not exist. `path` is made absolute; `..` in it is EINVAL.
  public init(path: String, layout: CgroupLayout) throws(CgroupError) {
    self.path = path
    self.layout = layout
  }

  /// Makes the directories (those above too) in every hierarchy and writes the limits. What exists is taken as it is.
  ///
  /// On v2 the controllers are switched on down the path. On v1 cpuset is initialised from the parent. `resources.devices` are
  /// applied in their order on top of "everything denied" if the first rule says so; an empty list leaves devices as inherited.
  ///
  /// Answers warnings: limits that this host can't keep. On an error what was made is removed.
  @discardableResult
  public func create(_ resources: RuntimeSpec.Resources) throws(CgroupError) -> [String] { throw unfinished }

  public var exists: Bool { false }

  /// Opens the group for a child about to be cloned.
  public func entrance() throws(CgroupError) -> CgroupEntrance { throw unfinished }

  /// Moves another process in through `cgroup.procs`, with all its threads: slow, never on the way of a start.
  public func add(process: Int32) throws(CgroupError) { throw unfinished }

  /// Changes limits of a live group; what isn't named stays. Device rules are changed only when there are any.
  @discardableResult
  public func update(_ resources: RuntimeSpec.Resources) throws(CgroupError) -> [String] { throw unfinished }

  /// Stops every process and waits until all have stopped; ETIMEDOUT after `timeout` milliseconds, thawed again.
  public func freeze(timeout: Int32 = 10_000) throws(CgroupError) { throw unfinished }
  public func thaw() throws(CgroupError) { throw unfinished }
  public func isFrozen() throws(CgroupError) -> Bool { throw unfinished }

  /// The pids in this group and in the groups below it, in the caller's pid namespace.
  public func processes() throws(CgroupError) -> [Int32] { throw unfinished }

  /// Sends SIGKILL to all, leaving none out that is being forked meanwhile; thaws. Doesn't wait for the end.
  public func killAll() throws(CgroupError) { throw unfinished }

  /// How many processes the kernel's OOM killer has taken here since the group was made; 0 without a memory controller.
  public func oomKillCount() throws(CgroupError) -> UInt64 { throw unfinished }

  /// What the group uses now.
  public func stats() throws(CgroupError) -> CgroupStats { throw unfinished }

  /// Removes the group and those below it, everywhere; absent is success. Waits at most `timeout` milliseconds for the last
  /// dying processes to leave it, then EBUSY.
  public func remove(timeout: Int32 = 5_000) throws(CgroupError) { throw unfinished }

  /// The names directly below this path in any hierarchy, sorted: what a sweep compares with what it knows.
  /// Groups of `CgroupPool` are left out.
  public func children() throws(CgroupError) -> [String] { throw unfinished }

  private var unfinished: CgroupError { CgroupError("use", controller: "cgroup", path: path, .noSuchCall) }
}

/// Tells of OOM kills: readable when one may have happened. Compare `oomKillCount` before and after.
public struct OOMWatch: ~Copyable, Sendable {
  /// For epoll: an eventfd (v1) or an inotify descriptor (v2).
  public let descriptor: Descriptor

  /// Empties the descriptor.
  public borrowing func drain() throws(SyscallError) {}

  init(descriptor: consuming Descriptor) { self.descriptor = descriptor }
}

extension Cgroup {
  /// nil without a memory controller.
  public func oomWatch() throws(CgroupError) -> OOMWatch? { nil }
}

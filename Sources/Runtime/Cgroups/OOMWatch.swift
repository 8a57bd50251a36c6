import CLinux
public import Kernel

/// Tells of OOM kills: readable when one may have happened. Compare `oomKillCount` before and after.
public struct OOMWatch: ~Copyable, Sendable {
  /// For epoll: an eventfd (v1) or an inotify descriptor (v2).
  public let descriptor: Descriptor

  /// Empties the descriptor.
  public borrowing func drain() throws(SyscallError) {
    let failure: SyscallError? = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer in
      do throws(SyscallError) {
        // an eventfd gives all at once and then EAGAIN
        while try Sys.read(descriptor.raw, buffer) > 0 {}
        return nil
      } catch  where error.errno == .wouldBlock { return nil } catch { return error }
    }
    if let failure { throw failure }
  }
}

extension Cgroup {
  /// nil without a memory controller.
  public func oomWatch() throws(CgroupError) -> OOMWatch? {
    guard let place = place("memory") else { return nil }
    let path = place.directory + (place.isUnified ? "/memory.events" : "/memory.oom_control")
    do throws(SyscallError) {
      if place.isUnified {
        let watch = try Sys.inotify()
        try Sys.inotifyAdd(watch.raw, path, UInt32(IN_MODIFY))
        return OOMWatch(descriptor: watch)
      }
      // cgroup-v1/memory.rst, 10: the eventfd is signalled when the group is out of memory, and when it is removed
      let event = try Sys.eventfd()
      let control = try Sys.open(path)
      try Sys.writeFile(place.directory + "/cgroup.event_control", "\(event.raw) \(control.raw)")
      return OOMWatch(descriptor: event)
    } catch { throw CgroupError("watch", controller: "memory", path: path, error.errno) }
  }

  /// How many processes the kernel's OOM killer has taken here since the group was made; 0 without a memory controller.
  public func oomKillCount() throws(CgroupError) -> UInt64 {
    guard let place = place("memory") else { return 0 }
    // v1 counts since Linux 4.13
    return try table(place, place.isUnified ? "memory.events" : "memory.oom_control")["oom_kill"] ?? 0
  }
}

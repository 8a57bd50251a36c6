import Cgroups
import Kernel

/// Hears of the container's processes that the kernel's OOM killer takes.
final class OOMSource: Source {
  private let cgroup: Cgroup
  private let watch: OOMWatch
  private let onKill: () -> Void
  private var known: UInt64

  /// nil without a memory controller.
  init?(_ loop: EventLoop, _ cgroup: Cgroup, _ onKill: @escaping () -> Void) {
    self.cgroup = cgroup
    self.onKill = onKill
    do throws(CgroupError) {
      guard let watch = try cgroup.oomWatch() else { return nil }
      known = try cgroup.oomKillCount()
      self.watch = watch
    } catch {
      Complaint.tell("\(error)")
      return nil
    }
    super.init(loop, fd: watch.descriptor.raw, owned: false)
    watch(Self.readable)
  }

  private func count() -> UInt64 {
    do throws(CgroupError) { return try cgroup.oomKillCount() } catch { return known }
  }

  func hasKilled() -> Bool { count() > 0 }

  override func ready(_ events: UInt32) {
    try? watch.drain()
    let count = count()
    if count > known {
      known = count
      onKill()
    }
  }
}

import Cgroups
import Kernel

/// Hears of the container's processes that the kernel's OOM killer takes.
final class OOMSource: Source {
  private let cgroup: Cgroup
  private let oomWatch: OOMWatch
  private let onKill: () -> Void
  private var known: UInt64

  /// nil without a memory controller.
  init?(_ loop: EventLoop, _ cgroup: Cgroup, _ onKill: @escaping () -> Void) {
    do throws(CgroupError) {
      guard let oomWatch = try cgroup.oomWatch() else { return nil }
      self.oomWatch = oomWatch
      known = try cgroup.oomKillCount()
    } catch {
      Complaint.tell("\(error)")
      return nil
    }
    self.cgroup = cgroup
    self.onKill = onKill
    super.init(loop, fd: oomWatch.descriptor.raw, owned: false)
    watch(Self.readable)
  }

  private func count() -> UInt64 {
    do throws(CgroupError) { return try cgroup.oomKillCount() } catch { return known }
  }

  func hasKilled() -> Bool { count() > 0 }

  override func ready(_ events: UInt32) {
    try? oomWatch.drain()
    let count = count()
    if count > known {
      known = count
      onKill()
    }
  }
}

import Cgroups
import Kernel

/// Hears of the container's processes that the kernel's OOM killer takes.
final class OOMSource: Source {
  private let cgroup: Cgroup
  private let watch: OOMWatch
  private let onKill: () -> Void
  private var known: UInt64

  /// nil without a group or a memory controller.
  init?(_ loop: EventLoop, _ path: String?, _ onKill: @escaping () -> Void) {
    guard let cgroup = Self.cgroup(path) else { return nil }
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

  static func cgroup(_ path: String?) -> Cgroup? {
    guard let path else { return nil }
    do throws(SyscallError) {
      let layout = try CgroupLayout.probe()
      do throws(CgroupError) { return try Cgroup(path: path, layout: layout) } catch { Complaint.tell("\(error)") }
    } catch { Complaint.tell("\(error)") }
    return nil
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

import Kernel

extension Cgroup {
  /// Removes the group where nobody is in it and nothing is below it; what is used stays, and so does what can't be removed. Whoever
  /// makes a group below at the same time makes this one again (`makeDirectory`).
  public func removeIfUnused() {
    for place in places { try? Sys.rmdir(place.directory) }
  }

  /// Removes the group and those below it, everywhere; absent is success. Waits at most `timeout` milliseconds for the last
  /// dying processes to leave it, then EBUSY.
  public func remove(timeout: Int32 = 5_000) throws(CgroupError) {
    let deadline = Sys.monotonicNanoseconds() &+ UInt64(max(timeout, 0)) * 1_000_000
    var failure: CgroupError?
    // the v2 tree first: it tells when the group is empty, which then holds for every hierarchy (a task leaves all at once)
    for place in places.reversed() {
      do throws(CgroupError) { try remove(place, deadline: deadline) } catch { failure = failure ?? error }
    }
    if let failure { throw failure }
  }

  private func remove(_ place: Place, deadline: UInt64) throws(CgroupError) {
    // v1 tells nobody when a group is empty (`release_agent` starts a program): without a v2 tree there is only another try,
    // from 100 µs later up to 20 ms.
    var pause: UInt64 = 100_000
    while true {
      do throws(SyscallError) {
        try Sys.rmdir(place.directory)
        return
      } catch {
        switch error.errno {
        case .noSuchFile: return
        case .busy, .notEmpty: break
        default:
          // a read-only mount answers EROFS for what isn't there too
          if !Sys.exists(place.directory) { return }
          throw CgroupError("remove", controller: place.name, path: place.directory, error.errno)
        }
      }
      // EBUSY: groups below, or members
      let below = try subdirectories(of: place)
      for name in below {
        let place = Place(
          controllers: place.controllers, directory: place.directory + "/" + name, isUnified: place.isUnified)
        try child(name).remove(place, deadline: deadline)
      }
      let now = Sys.monotonicNanoseconds()
      guard now < deadline else { throw CgroupError("remove", controller: place.name, path: place.directory, .busy) }
      if place.isUnified {
        guard try wait(place, for: "populated", toBe: 0, timeout: Int32(clamping: (deadline - now) / 1_000_000)) else {
          continue
        }
      }
      if !below.isEmpty && pause == 100_000 {
        // nothing to wait for yet
      } else {
        Self.pause(nanoseconds: pause)
      }
      pause = min(pause * 2, 20_000_000)
    }
  }
}

import CLinux
import Kernel

extension Cgroup {
  /// Stops every process and waits until all have stopped; ETIMEDOUT after `timeout` milliseconds, thawed again.
  public func freeze(timeout: Int32 = 10_000) throws(CgroupError) {
    do throws(CgroupError) {
      if let place = unifiedPlace {
        try write(place, "cgroup.freeze", "1")
        guard try wait(place, for: "frozen", toBe: 1, timeout: timeout) else { throw late(place, "cgroup.events") }
      } else {
        try freezeV1(try freezer(), timeout: timeout)
      }
    } catch {
      if error.errno == .timedOut { try thaw() }
      throw error
    }
  }

  /// Answers at once; the processes go on when they are next scheduled.
  public func thaw() throws(CgroupError) {
    if let place = unifiedPlace {
      try write(place, "cgroup.freeze", "0")
    } else {
      try write(try freezer(), "freezer.state", "THAWED")
    }
  }

  /// Whether all processes have stopped.
  public func isFrozen() throws(CgroupError) -> Bool {
    if let place = unifiedPlace { return try table(place, "cgroup.events")["frozen"] == 1 }
    return try read(try freezer(), "freezer.state") == "FROZEN"
  }

  private func freezer() throws(CgroupError) -> Place {
    guard let place = place("freezer") else {
      throw CgroupError("freeze", controller: "freezer", path: path, .noSuchFile)
    }
    return place
  }

  private func late(_ place: Place, _ file: String) -> CgroupError {
    CgroupError("freeze", controller: "freezer", path: place.directory + "/" + file, .timedOut)
  }

  /// v1 tells nobody when the last task has stopped: reading `freezer.state` is what makes the kernel look. A task that was forked during
  /// the sweep leaves the group FREEZING until FROZEN is written anew. Hence the one wait here that looks again and again: from 50 µs
  /// between the looks up to 10 ms.
  private func freezeV1(_ place: Place, timeout: Int32) throws(CgroupError) {
    let deadline = Sys.monotonicNanoseconds() &+ UInt64(max(timeout, 0)) * 1_000_000
    var pause: UInt64 = 50_000
    while true {
      try write(place, "freezer.state", "FROZEN")
      if try read(place, "freezer.state") == "FROZEN" { return }
      guard Sys.monotonicNanoseconds() < deadline else { throw late(place, "freezer.state") }
      Self.pause(nanoseconds: pause)
      pause = min(pause * 2, 10_000_000)
    }
  }

  static func pause(nanoseconds: UInt64) {
    var time = timespec()
    time.tv_nsec = Int(nanoseconds)
    nanosleep(&time, nil)
  }

  /// Waits until a key of v2's `cgroup.events` has that value; false after `timeout` milliseconds. A group that is gone has `populated` 0.
  func wait(_ place: Place, for key: String, toBe value: UInt64, timeout: Int32) throws(CgroupError) -> Bool {
    let path = place.directory + "/cgroup.events"
    let deadline = Sys.monotonicNanoseconds() &+ UInt64(max(timeout, 0)) * 1_000_000
    do throws(SyscallError) {
      let file = try Sys.open(path, O_RDONLY)
      while true {
        // a change is told once: between this read and the poll none is lost, since the kernel counts from the read
        try Sys.lseek(file.raw, 0, SEEK_SET)
        let text = String(decoding: try Sys.readAll(file.raw, limit: 4096), as: UTF8.self)
        if text.split(separator: "\n").contains(where: { $0 == "\(key) \(value)" }) { return true }
        let now = Sys.monotonicNanoseconds()
        guard now < deadline else { return false }
        _ = try Sys.poll(file.raw, Int16(POLLPRI), timeout: Int32(clamping: (deadline - now) / 1_000_000 + 1))
      }
    } catch {
      if key == "populated" && (error.errno == .noSuchFile || error.errno == .noSuchDevice) { return true }
      throw CgroupError("read", controller: "cgroup", path: path, error.errno)
    }
  }
}

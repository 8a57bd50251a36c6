import CLinux
import Errdefs
import Kernel
import Synchronization

extension Volumes {
  /// How long a measure of a volume that is in use is good enough.
  private static let usageLifetime: UInt64 = 60_000_000_000

  /// Bytes that a volume holds on the disk; -1 for what is mounted from elsewhere. A volume is walked only when a container ran with it
  /// since the last time, and at most once a minute.
  public func usage(of reference: String) async throws -> Int64 {
    let entry = try find(reference)
    let now = Sys.monotonicNanoseconds()
    if let usage = entry.usage, entry.running.isEmpty || now - usage.at < Self.usageLifetime { return usage.bytes }
    let volume = entry.volume
    let place = directory(volume.name)
    let bytes = try await blocking { () -> Int64 in
      if volume.options["device"] != nil { return -1 }
      if volume.sizeLimit != nil { return Int64(try Sys.status(place + "/fs.img").st_blocks) * 512 }
      return try DiskUse.measure(place + "/_data")
    }
    table.withLock { $0.byID[volume.id]?.usage = (bytes, now) }
    return bytes
  }
}

/// The bytes of a tree on the disk, hard links counted once.
enum DiskUse {
  static func measure(_ path: String) throws(SyscallError) -> Int64 {
    let root = try Sys.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    var seen: Set<UInt64> = []
    return try measure(root.raw, depth: 0, &seen)
  }

  private static func measure(_ directory: Int32, depth: Int, _ seen: inout Set<UInt64>) throws(SyscallError) -> Int64 {
    var total: Int64 = 0
    var children: [[CChar]] = []
    try Sys.forEachEntry(directory) { name, _ throws(SyscallError) in
      let status: stat
      do throws(SyscallError) { status = try Sys.status(at: directory, name: name) } catch {
        guard error.errno == .noSuchFile else { throw error }
        return
      }
      if status.fileType == .directory {
        children.append(Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1)))
      } else if status.st_nlink <= 1 || seen.insert(UInt64(status.st_ino)).inserted {
        total = total.addingReportingOverflow(Int64(status.st_size)).partialValue
      }
    }
    guard depth < 400 else { return total }
    for child in children {
      do throws(SyscallError) {
        let descriptor = try Sys.openat2(
          at: directory, name: child, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve: 0x01 | 0x02)
        total = total.addingReportingOverflow(try measure(descriptor.raw, depth: depth + 1, &seen)).partialValue
      } catch {
        switch error.errno {
        case .noSuchFile, .notDirectory, .symlinkLoop, .crossDevice: continue
        default: throw error
        }
      }
    }
    return total
  }
}

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
    if entry.volume.project != 0 {
      // The kernel knows.
      let volume = entry.volume
      return try await blocking { [self] in try ProjectQuota.usage(volume.project, on: directory(volume.name)) }
    }
    let now = Sys.monotonicNanoseconds()
    if let usage = entry.usage, entry.running.isEmpty || now - usage.at < Self.usageLifetime { return usage.bytes }
    let volume = entry.volume
    let place = directory(volume.name)
    let bytes = try await blocking { () -> Int64 in
      if volume.options["device"] != nil { return -1 }
      if volume.hasOwnFileSystem { return Int64(try Sys.status(place + "/fs.img").st_blocks) * 512 }
      return try TreeSize.measure(place + "/_data")
    }
    table.withLock { $0.byID[volume.id]?.usage = (bytes, now) }
    return bytes
  }
}

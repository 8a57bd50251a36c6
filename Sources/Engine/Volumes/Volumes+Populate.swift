import CLinux
import Errdefs
public import Kernel
import Logging
import Synchronization

extension Volumes {
  /// Gives an empty volume what an image has at the place where it is mounted, and that place's owner and mode (copy-up). A volume
  /// that holds something stays as it is.
  ///
  /// The copy is made beside the volume and put in its place whole, so that a crash leaves the volume empty, to be filled the next
  /// time. Where that can't be (somebody runs with it, or something is mounted there), it is written in place; in a file system of the
  /// volume's own with a mark meanwhile.
  public func populate(_ id: String, from source: SharedDescriptor) async throws {
    defer { table.withLock { $0.byID[id]?.usage = nil } }
    try await queue.run(id) {
      guard let entry = table.withLock({ $0.byID[id] }) else { return }
      let volume = entry.volume
      let isQuiet = entry.running.isEmpty && !HostMount.isNeeded(volume)
      try await withData(volume) { [self] path in
        let data = try Sys.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        guard try TreeCopy.isEmpty(data.raw) else { return }
        if !isQuiet {
          let isOwn = entry.running.isEmpty && volume.hasOwnFileSystem
          if isOwn { try Sys.replaceFile(directory(volume.name) + Self.fillingMark, with: [], durable: true) }
          try TreeCopy.copy(from: source.raw, to: data.raw)
          if isOwn {
            try Sys.syncfs(data.raw)
            try Sys.unlink(directory(volume.name) + Self.fillingMark)
            try Sys.syncDirectory(directory(volume.name))
          }
          return
        }
        let staging = "\(root)/.new-\(Self.newID())"
        try Sys.mkdir(staging, mode: 0o700)
        do {
          try Sys.mkdir(staging + "/_data", mode: 0o700)
          if volume.project != 0 { try ProjectQuota.assign(staging + "/_data", to: volume.project) }
          let new = try Sys.open(staging + "/_data", O_RDONLY | O_DIRECTORY)
          let copy = try TreeCopy.copy(from: source.raw, to: new.raw)
          // An anonymous volume goes with its container: it is worth no wait for the disk.
          if copy.files > 0, !volume.isAnonymous { try Sys.syncfs(new.raw) }
          // The empty directory that is there gives way.
          try Sys.rename(staging + "/_data", to: path, flags: 2)  // RENAME_EXCHANGE
        } catch {
          try discard(staging)
          throw error
        }
        try discard(staging)
      }
    }
  }

  private static let fillingMark = "/filling"

  /// A copy into a volume's own file system that a crash cut short is none: the volume is empty again. Nobody has run with it since.
  func clearHalf(_ volume: Volume) throws {
    let mark = directory(volume.name) + Self.fillingMark
    guard volume.hasOwnFileSystem, Sys.exists(mark) else { return }
    for entry in try Sys.entries(of: volume.mountpoint) { try Sys.removeTree("\(volume.mountpoint)/\(entry.name)") }
    try Sys.unlink(mark)
    logger.warning("volume \(volume.name) is empty again: a crash cut its first filling short")
  }
}

import CLinux
import Kernel
import OCI
import Rootfs

/// `name|uid[:group|gid]` to numbers by the container's own `/etc/passwd` and `/etc/group`, with our own parser: the host's NSS
/// never sees them (CVE-2019-14271).
///
/// As moby's `user.GetExecUser`, but a number is never taken for a name (CVE-2026-46680).
struct UserLookup {
  var uid: UInt32 = 0
  var gid: UInt32 = 0
  /// Supplementary groups, the primary one included (CVE-2022-36109), ascending by their place of mention.
  var groups: [UInt32] = []
  /// From the user's line; `nil` without one.
  var home: String?

  static let fileLimit = 1 << 20

  /// `specification` nil: the ids of `user` as they are, and only the home directory is looked for.
  init(
    _ specification: String?, additional: [String], user: RuntimeSpec.User, in root: borrowing Root, stage: Stage
  ) throws(LaunchFailure) {
    let passwd = try Self.read("etc/passwd", in: root, stage)
    guard let specification else {
      (uid, gid, groups) = (user.uid, user.gid, user.additionalGids)
      home = Self.lines(passwd).first { $0.count >= 6 && UInt32($0[2]) == user.uid }.map { String($0[5]) }
      if !additional.isEmpty {
        let group = try Self.read("etc/group", in: root, stage)
        try add(additional, Self.lines(group), stage)
      }
      return
    }
    let group = try Self.read("etc/group", in: root, stage)
    let parts = specification.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let userPart = parts.first ?? ""
    let groupPart = parts.count > 1 ? parts[1] : ""

    let number = userPart.isEmpty ? user.uid : try Self.number(userPart, stage)
    let line = Self.lines(passwd).first { fields in
      guard fields.count >= 4, let lineUID = UInt32(fields[2]) else { return false }
      return number.map { lineUID == $0 } ?? (fields[0] == userPart)
    }
    if let line, let lineUID = UInt32(line[2]), let lineGID = UInt32(line[3]) {
      (uid, gid) = (lineUID, lineGID)
      home = line.count >= 6 ? String(line[5]) : nil
    } else if let number {
      (uid, gid) = (number, user.gid)
    } else {
      throw stage.failure(ENOENT, userPart, "unable to find user \(userPart): no matching entries in passwd file")
    }

    if !groupPart.isEmpty {
      gid = try Self.gid(groupPart, Self.lines(group), stage)
    } else if let name = line?[0] {
      // The groups that list the user, as login would have it; not when a group was named.
      for fields in Self.lines(group) where fields.count >= 4 {
        guard fields[3].split(separator: ",").contains(name), let gid = UInt32(fields[2]) else { continue }
        append(gid)
      }
    }
    try add(additional, Self.lines(group), stage)
    groups.removeAll { $0 == gid }
    groups.insert(gid, at: 0)
  }

  private mutating func append(_ gid: UInt32) { if !groups.contains(gid) { groups.append(gid) } }

  private mutating func add(_ names: [String], _ lines: [[Substring]], _ stage: Stage) throws(LaunchFailure) {
    for name in names { append(try Self.gid(name, lines, stage)) }
  }

  private static func gid(_ name: String, _ lines: [[Substring]], _ stage: Stage) throws(LaunchFailure) -> UInt32 {
    if let number = try number(name, stage) { return number }
    for fields in lines where fields.count >= 3 && fields[0] == name {
      if let gid = UInt32(fields[2]) { return gid }
    }
    throw stage.failure(ENOENT, name, "unable to find group \(name): no matching entries in group file")
  }

  /// `nil` when it isn't all digits; out of range is an error.
  private static func number(_ text: String, _ stage: Stage) throws(LaunchFailure) -> UInt32? {
    let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    guard let value = Int32(text), value >= 0 else {
      throw stage.failure(ERANGE, text, "uids and gids must be in range 0-2147483647")
    }
    return UInt32(value)
  }

  /// The fields of each line; comments and lines without fields are skipped.
  private static func lines(_ bytes: [UInt8]) -> [[Substring]] {
    String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
      let fields = line.split(separator: ":", omittingEmptySubsequences: false)
      return fields.count >= 3 && !line.hasPrefix("#") ? fields : nil
    }
  }

  /// A file of the container's: links are followed inside its root only, and nothing but a regular file of at most a megabyte is
  /// read (a pipe would block us, `/dev/zero` never end). Absent or unfit is empty.
  private static func read(_ path: String, in root: borrowing Root, _ stage: Stage) throws(LaunchFailure) -> [UInt8] {
    do throws(SyscallError) {
      let file = try root.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
      let status = try Sys.fstat(file.raw)
      guard status.st_mode & 0o170000 == 0o100000 else { return [] }
      return try Sys.readAll(file.raw, limit: fileLimit)
    } catch {
      switch error.errno {
      case .noSuchFile, .notDirectory, .symlinkLoop, .permissionDenied, .isDirectory, Errno(rawValue: ENXIO): return []
      case Errno(rawValue: EFBIG):
        throw stage.failure(EFBIG, "/" + path, "\"/\(path)\" in rootfs is larger than a megabyte")
      default: throw stage.failure(error.errno.rawValue, "/" + path, "read \"/\(path)\" in rootfs: \(error.errno)")
      }
    }
  }
}

import CLinux
import Errdefs
import Kernel
import OCI

/// Devices of the host, for `--device` and `--privileged`.
enum DeviceList {
  /// The device at a path of the host; a directory stands for all devices below it.
  static func devices(
    at path: String, as inside: String
  ) throws -> [RuntimeSpec.Device] {
    let failure = { (reason: String) in
      EngineError.system("error gathering device information while adding custom device \"\(path)\": \(reason)")
    }
    let status: stat
    do { status = try Sys.status(path) } catch { throw failure("\(error.errno)") }
    if let device = device(status, path: inside) { return [device] }
    guard status.st_mode & mode_t(S_IFMT) == mode_t(S_IFDIR) else { throw failure("not a device node") }
    let found = try below(path, prefix: path, as: inside)
    guard !found.isEmpty else { throw failure("not a device node") }
    return found
  }

  /// What `--privileged` gets: all of `/dev` but what a container has of its own (containerd oci/utils_unix.go `HostDevices`).
  static func all() throws -> [RuntimeSpec.Device] {
    try below(
      "/dev", prefix: "/dev", as: "/dev",
      skipping: ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"])
  }

  private static func below(
    _ directory: String, prefix: String, as inside: String, skipping: Set<String> = []
  ) throws -> [RuntimeSpec.Device] {
    var result: [RuntimeSpec.Device] = []
    for entry in try Sys.entries(of: directory).sorted(by: { $0.name < $1.name }) where !skipping.contains(entry.name) {
      let path = directory + "/" + entry.name
      // Gone meanwhile, or not to be seen: left out, as Docker does.
      guard let status = try? Sys.status(path, flags: AT_SYMLINK_NOFOLLOW) else { continue }
      if status.st_mode & mode_t(S_IFMT) == mode_t(S_IFDIR) {
        result += (try? below(path, prefix: prefix, as: inside, skipping: skipping)) ?? []
      } else if let device = device(status, path: inside + path.dropFirst(prefix.count)) {
        result.append(device)
      }
    }
    return result
  }

  private static func device(_ status: stat, path: String) -> RuntimeSpec.Device? {
    let type: String
    switch status.st_mode & mode_t(S_IFMT) {
    case mode_t(S_IFCHR): type = "c"
    case mode_t(S_IFBLK): type = "b"
    case mode_t(S_IFIFO): type = "p"
    default: return nil
    }
    let (major, minor) = numbers(status.st_rdev)
    return RuntimeSpec.Device(
      type: type, path: path, major: major, minor: minor, fileMode: UInt32(status.st_mode & 0o7777), uid: status.st_uid,
      gid: status.st_gid)
  }

  /// Major and minor of a `dev_t` (glibc's encoding of 64 bits).
  static func numbers(_ device: dev_t) -> (major: Int64, minor: Int64) {
    let value = UInt64(device)
    return (
      Int64((value >> 8 & 0xfff) | (value >> 32 & 0xffff_f000)), Int64((value & 0xff) | (value >> 12 & 0xffff_ff00))
    )
  }

  /// The device of a path of the host, for limits of block I/O.
  static func numbers(of path: String) throws -> (major: Int64, minor: Int64) {
    do { return numbers(try Sys.status(path).st_rdev) } catch {
      throw EngineError.invalidParameter("stat \(path): \(error.errno)")
    }
  }

  /// `c 10:200 rwm`, `b *:* r` (oci/oci.go).
  static func rule(_ text: String) throws -> RuntimeSpec.DeviceRule {
    let invalid = EngineError.invalidParameter("invalid device cgroup rule format: '\(text)'")
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    guard parts.count == 3, ["a", "c", "b"].contains(parts[0]), (1...3).contains(parts[2].utf8.count),
      parts[2].allSatisfy({ "rwm".contains($0) })
    else { throw invalid }
    let numbers = parts[1].split(separator: ":", omittingEmptySubsequences: false)
    guard numbers.count == 2 else { throw invalid }
    func number(_ text: Substring) throws -> Int64? {
      if text == "*" { return nil }
      guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int64(text) else { throw invalid }
      return value
    }
    return RuntimeSpec.DeviceRule(
      allow: true, type: String(parts[0]), major: try number(numbers[0]), minor: try number(numbers[1]),
      access: String(parts[2]))
  }
}

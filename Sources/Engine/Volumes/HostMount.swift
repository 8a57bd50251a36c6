import CLinux
import Kernel

/// What a volume's options have mounted at its `_data`, on the host, while somebody uses it: the local driver's `type`, `o` and
/// `device`, or the file system of a volume with a size.
enum HostMount {
  static func isNeeded(_ volume: Volume) -> Bool { volume.options["device"] != nil || volume.hasOwnFileSystem }

  /// Mounts it unless it is mounted.
  static func make(_ volume: Volume) throws {
    guard try !points().contains(volume.mountpoint) else { return }
    if volume.hasOwnFileSystem {
      return try SizedVolume.mount(String(volume.mountpoint.dropLast("/_data".count)), id: volume.id)
    }
    try mount(volume)
  }

  /// Unmounts what is there; nothing is no error. EBUSY: a process of the host works in it.
  static func remove(_ volume: Volume) throws {
    while try points().contains(volume.mountpoint) { try Sys.umount(volume.mountpoint) }
  }

  /// Where something is mounted (`/proc/self/mountinfo`, proc_pid_mountinfo(5)).
  static func points() throws -> Set<String> {
    let text = try Sys.readFile("/proc/self/mountinfo")
    var result: Set<String> = []
    for line in text.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 5)
      if fields.count > 4 { result.insert(unescaped(fields[4])) }
    }
    return result
  }

  /// Blanks, tabs, line ends and backslashes stand as three octal digits.
  private static func unescaped(_ field: ArraySlice<UInt8>) -> String {
    guard field.contains(UInt8(ascii: "\\")) else { return String(decoding: field, as: UTF8.self) }
    var bytes: [UInt8] = []
    var rest = field
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), rest.count >= 3,
        let value = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
      {
        bytes.append(value)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func mount(_ volume: Volume) throws {
    let type = volume.options["type"] ?? "none"
    let device = volume.options["device"] ?? ""
    var flags: UInt = 0
    var data: [String] = []
    for word in (volume.options["o"] ?? "").split(separator: ",").map(String.init) {
      if let (flag, isSet) = Self.flags[word] {
        flags = isSet ? flags | flag : flags & ~flag
      } else if word != "defaults" {
        data.append(word)
      }
    }
    if type == "nfs" || type == "nfs4" || type == "cifs" {
      data = try data.map { word in
        guard word.hasPrefix("addr=") else { return word }
        return "addr=" + (try address(String(word.dropFirst("addr=".count))))
      }
    }
    let bind = flags & (UInt(MS_BIND) | UInt(MS_REC))
    let options = data.isEmpty ? nil : data.joined(separator: ",")
    let place = volume.mountpoint
    do throws(SyscallError) {
      try Sys.mount(device, place, type: type, flags: flags, data: options)
      // A bind takes other flags only when it is remounted (mount(2)).
      if bind & UInt(MS_BIND) != 0, flags & ~bind != 0 {
        do throws(SyscallError) {
          try Sys.mount(nil, place, flags: flags & ~UInt(MS_REC) | UInt(MS_REMOUNT))
        } catch {
          try? Sys.umount(place, flags: 2)
          throw error
        }
      }
    } catch {
      // Docker's text (volume/local/local_unix.go).
      throw MountFailure(
        description: "mount \(device):\(place), flags: 0x\(String(flags, radix: 16))"
          + (options.map { ", data: \($0)" } ?? "") + ": \(error.errno)")
    }
  }

  struct MountFailure: Error, CustomStringConvertible { let description: String }

  /// A network file system's kernel part takes numbers alone: names of `/etc/hosts` are replaced, others refused.
  private static func address(_ host: String) throws -> String {
    if host.contains(":") || host.split(separator: ".").allSatisfy({ UInt8($0) != nil }) { return host }
    let text = String(decoding: (try? Sys.readFile("/etc/hosts", limit: 1 << 20)) ?? [], as: UTF8.self)
    for line in text.split(separator: "\n") {
      let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }
      if words.dropFirst().contains(where: { $0 == host }) { return String(words[0]) }
    }
    throw MountFailure(
      description: "error resolving passed in network volume address: \(host) is not in /etc/hosts: give a number")
  }

  private static let flags: [String: (UInt, Bool)] = [
    "ro": (UInt(MS_RDONLY), true), "rw": (UInt(MS_RDONLY), false),
    "nosuid": (UInt(MS_NOSUID), true), "suid": (UInt(MS_NOSUID), false),
    "nodev": (UInt(MS_NODEV), true), "dev": (UInt(MS_NODEV), false),
    "noexec": (UInt(MS_NOEXEC), true), "exec": (UInt(MS_NOEXEC), false),
    "sync": (UInt(MS_SYNCHRONOUS), true), "async": (UInt(MS_SYNCHRONOUS), false),
    "dirsync": (UInt(MS_DIRSYNC), true), "remount": (UInt(MS_REMOUNT), true),
    "mand": (UInt(MS_MANDLOCK), true), "nomand": (UInt(MS_MANDLOCK), false),
    "noatime": (UInt(MS_NOATIME), true), "atime": (UInt(MS_NOATIME), false),
    "nodiratime": (UInt(MS_NODIRATIME), true), "diratime": (UInt(MS_NODIRATIME), false),
    "relatime": (UInt(MS_RELATIME), true), "norelatime": (UInt(MS_RELATIME), false),
    "strictatime": (UInt(MS_STRICTATIME), true), "nostrictatime": (UInt(MS_STRICTATIME), false),
    "bind": (UInt(MS_BIND), true), "rbind": (UInt(MS_BIND) | UInt(MS_REC), true),
  ]
}

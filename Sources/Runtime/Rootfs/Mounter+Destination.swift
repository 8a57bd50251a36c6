import CLinux
import Kernel
import OCI

extension Mounter {
  /// What lxcfs and its like may put over files of procfs (as runc allows).
  private static let allowedInProc: Set<String> = [
    "/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime", "/proc/loadavg",
    "/proc/slabinfo", "/proc/net/dev", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled",
  ]

  /// The place that a mount goes to, made if it is missing; O_PATH. `following`: a link at its end, as the kernel would; otherwise the
  /// link itself is the place.
  borrowing func destination(of mount: RuntimeSpec.Mount, isDirectory: Bool, following: Bool = true)
    throws(SyscallError) -> Descriptor
  {
    let path = Self.cleaned(mount.destination)
    switch path {
    case "/": throw SyscallError("mount", "/", .busy)
    case "/dev": try replaceLink("dev")
    case "/proc", "/sys": return try ordinaryDirectory(path)
    default: break
    }
    if path.hasPrefix("/proc/") {
      guard Self.allowedInProc.contains(path) else {
        throw SyscallError("mount", "\(path)\" (inside /proc)\"", .notPermitted)
      }
      return try root.openWithoutLinks(path, O_PATH)
    }
    if !following, let link = try link(at: path) { return link }
    let place = isDirectory ? try root.makeDirectory(path) : try root.makeFile(path)
    // A link of the image may have led into procfs, where a mount would fake what the kernel says (CVE-2019-16884, 2023-27561).
    guard try Sys.fileSystem(place.raw).f_type != 0x9fa0 else {  // PROC_SUPER_MAGIC
      throw SyscallError("mount", "\(path)\" (inside /proc)\"", .notPermitted)
    }
    return place
  }

  /// Where a link is to be made: neither procfs nor anything that its directories' links lead out to.
  borrowing func linkPlace(of mount: RuntimeSpec.Mount) throws(SyscallError) -> Root.Place {
    let path = Self.cleaned(mount.destination)
    guard let slash = path.lastIndex(of: "/"), path != "/" else { throw SyscallError("symlink", path, .fileExists) }
    let place = try root.place(path[path.index(after: slash)...], in: String(path[..<slash]))
    guard try Sys.fileSystem(place.directory.raw).f_type != 0x9fa0 else {
      throw SyscallError("symlink", "\(path)\" (inside /proc)\"", .notPermitted)
    }
    return place
  }

  /// The symbolic link of that path; `nil` for anything else.
  private borrowing func link(at path: String) throws(SyscallError) -> Descriptor? {
    do throws(SyscallError) {
      let found = try root.open(path, O_PATH | O_NOFOLLOW)
      guard try Sys.fstat(found.raw).type == FileType.link else { return nil }
      return found
    } catch  where error.errno == .noSuchFile { return nil }
  }

  /// `/proc` and `/sys` must be directories of the root itself: a link there sends the kernel's files somewhere else.
  private borrowing func ordinaryDirectory(_ path: String) throws(SyscallError) -> Descriptor {
    let name = String(path.dropFirst())
    do throws(SyscallError) {
      return try root.openWithoutLinks(name, O_PATH | O_DIRECTORY)
    } catch  where error.errno == .noSuchFile {
      // Another container of the same root file system may have been quicker; what is there is looked at once more.
      do throws(SyscallError) { try Sys.mkdir(name, at: root.directory.raw) } catch  where error.errno == .fileExists {}
      return try root.openWithoutLinks(name, O_PATH | O_DIRECTORY)
    } catch  where error.errno == .symlinkLoop || error.errno == .notDirectory {
      throw SyscallError("mount", "\(path)\" (must be mounted on ordinary directory)\"", .notDirectory)
    }
  }

  /// An image with a link for `/dev` gets a directory in its place (CVE-2026-41579).
  private borrowing func replaceLink(_ name: String) throws(SyscallError) {
    do throws(SyscallError) {
      guard try Sys.status(name, at: root.directory.raw, flags: AT_SYMLINK_NOFOLLOW).type == FileType.link else {
        return
      }
    } catch  where error.errno == .noSuchFile { return }
    try Sys.unlink(name, at: root.directory.raw)
    try Sys.mkdir(name, at: root.directory.raw)
  }

  /// Go's filepath.Clean of an absolute path.
  static func cleaned(_ path: String) -> String {
    var components: [Substring] = []
    for component in path.split(separator: "/") {
      switch component {
      case ".": continue
      case "..": _ = components.popLast()
      default: components.append(component)
      }
    }
    return "/" + components.joined(separator: "/")
  }
}

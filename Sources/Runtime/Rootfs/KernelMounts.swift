import CLinux
import Kernel

/// The kernel's own trees in a root, by descriptor: `/proc` and `/sys`.
///
/// Another container of the same root file system may give the directory below such a mount another name at any moment; the mount goes with
/// it, and a path into it leads nowhere, so that what was to be hidden there would stay open.
public struct KernelMounts: Sendable {
  private var mounts: [String: SharedDescriptor] = [:]

  public init() {}

  mutating func note(_ destination: String, _ mount: SharedDescriptor) {
    let path = Mounter.cleaned(destination)
    if path == "/proc" || path == "/sys" { mounts[path] = mount }
  }

  /// O_PATH: below the mount for what is to be in one, else below the root. Links are followed inside of either.
  func open(_ path: String, in root: borrowing Root) throws(SyscallError) -> Descriptor {
    let cleaned = Mounter.cleaned(path)
    for (place, mount) in mounts where cleaned == place || cleaned.hasPrefix(place + "/") {
      let rest = cleaned.dropFirst(place.utf8.count + 1)
      return try Sys.openat2(
        rest.isEmpty ? "." : String(rest), O_PATH, resolve: Root.inRoot | Root.noMagicLinks, at: mount.raw)
    }
    return try root.open(path)
  }
}

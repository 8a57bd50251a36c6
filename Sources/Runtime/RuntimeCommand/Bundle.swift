import CLinux
import Kernel
import OCI

/// A bundle: `config.json` and the root file system that it names.
struct Bundle {
  /// Absolute.
  let path: String
  let bytes: [UInt8]
  let spec: RuntimeSpec
  /// Absolute.
  let rootfs: String

  /// `configuration`: crun's `--config`, relative to where the caller is.
  init(_ path: String, configuration: String? = nil) throws(CommandError) {
    let path = try Environment.absolute(path)
    let file =
      try configuration.map { name throws(CommandError) in try Environment.absolute(name) } ?? path + "/config.json"
    let bytes = try attempt("read the configuration") { () throws(SyscallError) in try Sys.readFile(file) }
    do throws(JSONError) { spec = try RuntimeSpec(decoding: bytes) } catch { throw CommandError(error, in: file) }
    self.path = path
    self.bytes = bytes
    guard spec.ociVersion.hasPrefix("1.") else {
      throw CommandError("\(file): ociVersion: \"\(spec.ociVersion)\" is not supported, only 1.x is")
    }
    guard let root = spec.root, !root.path.isEmpty else { throw CommandError("\(file): root.path: is missing") }
    var rootfs = root.path.hasPrefix("/") ? root.path : path + "/" + root.path
    while rootfs.count > 1, rootfs.hasSuffix("/") { rootfs.removeLast() }
    do throws(SyscallError) {
      guard try Sys.status(rootfs).fileType == .directory else {
        throw SyscallError("stat", rootfs, .notDirectory)
      }
    } catch { throw CommandError("root.path: \(error.object.isEmpty ? rootfs : error.object): \(error.errno)") }
    self.rootfs = rootfs
  }
}

import CLinux
import Errdefs
import Kernel
import OCI
import Rootfs
import Snapshots

/// What an image mount is made of: the image's layers under a snapshot of the mount's own, or a part of them (`image-subpath`).
enum ImageMount {
  /// Topmost first.
  case directory(lower: [String], upper: String, work: String)
  /// A copy of the image's file, which is bound: an overlay has directories alone.
  case file(String)

  /// Readies the snapshot of a mount that begins with a part of the image. Answers the part's path without links. Throws safepath's text
  /// when it isn't there; links in it stay in the image.
  static func prepare(_ subpath: String, of image: String, in tree: Snapshot) throws -> String {
    do {
      guard !tree.lower.isEmpty else { throw SyscallError("open", subpath, .noSuchFile) }
      let root = Root(owning: try Rootfs.readOnlyOverlay([tree.upper] + tree.lower))
      let part = try root.open(subpath, O_PATH)
      let path = try Sys.readlink("/proc/self/fd/\(part.raw)")
      let status = try Sys.fstat(part.raw)
      switch status.fileType {
      case .directory:
        // An overlay's root looks as its upper directory does.
        try Sys.chown(tree.upper, status.st_uid, status.st_gid)
        try Sys.chmod(tree.upper, status.st_mode & 0o7777)
      case .regular: try copy(part.raw, status, to: file(in: tree))
      default:
        throw EngineError.invalidParameter("image-subpath \(subpath) of \(image) is neither a directory nor a file")
      }
      return path
    } catch let error as SyscallError {
      throw EngineError.invalidParameter("cannot access path \(image)/\(subpath): lstat \(subpath): \(error.errno)")
    }
  }

  /// `path`: as `prepare` answered it; empty for the whole image.
  init(_ path: String, in tree: Snapshot) throws(SyscallError) {
    if !path.isEmpty, Sys.exists(Self.file(in: tree)) {
      self = .file(Self.file(in: tree))
      return
    }
    self = .directory(
      lower: path.isEmpty ? tree.lower : try Self.directories(path, in: tree.lower), upper: tree.upper, work: tree.work)
  }

  /// Beside the upper directory, which an image's file of that name may not be in.
  private static func file(in tree: Snapshot) -> String { Path.clean(tree.upper + "/../file") }

  private static func copy(_ source: Int32, _ status: stat, to path: String) throws(SyscallError) {
    let reader = try Sys.open("/proc/self/fd/\(source)", O_RDONLY)
    let writer = try Sys.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
    try withUnsafeTemporaryAllocation(byteCount: 256 << 10, alignment: 4096) { buffer throws(SyscallError) in
      var offset: Int64 = 0
      while true {
        let count = try Sys.pread(reader.raw, UnsafeMutableRawBufferPointer(buffer), at: offset)
        if count == 0 { break }
        try Sys.pwriteAll(writer.raw, UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
        offset += Int64(count)
      }
    }
    try Sys.chown(writer.raw, status.st_uid, status.st_gid)
    try Sys.fchmod(writer.raw, status.st_mode & 0o7777)
  }

  /// The directories of the layers that a directory of the image is merged from, topmost first: what a layer removes, replaces by
  /// something else or makes anew (an opaque directory) hides what is below.
  private static func directories(_ path: String, in layers: [String]) throws(SyscallError) -> [String] {
    var directories = layers
    for name in path.split(separator: "/") {
      var below: [String] = []
      for directory in directories {
        let child: Descriptor
        do throws(SyscallError) { child = try Sys.open("\(directory)/\(name)", O_PATH | O_NOFOLLOW) } catch {
          guard error.errno == .noSuchFile else { throw error }
          continue
        }
        guard try Sys.fstat(child.raw).fileType == .directory else { break }
        below.append("\(directory)/\(name)")
        let opaque = try Sys.attribute(at: child.raw, of: nil, name: Array("trusted.overlay.opaque".utf8CString))
        if opaque == [UInt8(ascii: "y")] { break }
      }
      directories = below
    }
    guard !directories.isEmpty else { throw SyscallError("open", path, .noSuchFile) }
    return directories
  }
}

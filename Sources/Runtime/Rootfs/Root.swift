public import CLinux
public import Kernel

/// A directory tree that isn't trusted: the only way to a path inside a container's, an image's or a volume's files.
///
/// Paths are taken as a process sees them whose root directory is this one: absolute or not, `..` stops at the root, and
/// symbolic links are followed inside. `/proc`'s magic links are never followed (openat2(2), Linux 5.6).
/// What comes back is a descriptor: go on with that, never with the path.
public struct Root: ~Copyable, Sendable {
  /// O_PATH or a readable directory.
  public let directory: Descriptor

  public init(owning directory: consuming Descriptor) { self.directory = directory }

  public init(_ path: String) throws(SyscallError) {
    directory = try Sys.open(path, O_PATH | O_DIRECTORY)
  }

  /// Where a name is, or may come to be.
  public struct Place: ~Copyable, Sendable {
    /// O_PATH.
    public let directory: Descriptor
    /// One component; `nil` for the directory itself.
    public let name: String?

    init(directory: consuming Descriptor, name: String?) {
      self.directory = directory
      self.name = name
    }

    consuming func take() -> Descriptor { directory }
  }

  static let inRoot: Int32 = 0x10  // RESOLVE_IN_ROOT
  static let noMagicLinks: Int32 = 0x02
  static let noSymlinks: Int32 = 0x04
  static let noCrossing: Int32 = 0x01  // RESOLVE_NO_XDEV

  /// openat2(2) in the root. With O_NOFOLLOW a symbolic link as the last component is ELOOP (or opened, with O_PATH).
  public borrowing func open(_ path: String, _ flags: Int32 = O_PATH, mode: mode_t = 0) throws(SyscallError)
    -> Descriptor
  {
    try Sys.openat2(
      path.isEmpty ? "." : path, flags, mode: mode, resolve: Self.inRoot | Self.noMagicLinks, at: directory.raw)
  }

  /// As `open`, but a symbolic link anywhere in the path is ELOOP.
  public borrowing func openWithoutLinks(_ path: String, _ flags: Int32 = O_PATH) throws(SyscallError) -> Descriptor {
    try Sys.openat2(
      path.isEmpty ? "." : path, flags, resolve: Self.inRoot | Self.noMagicLinks | Self.noSymlinks, at: directory.raw)
  }

  /// The directory of that path, made with all that is missing above it; opened O_PATH.
  ///
  /// Links are followed inside the root, dangling ones too: what they point to is made, as Docker does. What exists and isn't
  /// a directory is ENOTDIR.
  public borrowing func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(SyscallError) -> Descriptor {
    do throws(SyscallError) {
      return try open(path, O_PATH | O_DIRECTORY)
    } catch  where error.errno == .noSuchFile {
      let place = try makeParent(path, mode: mode)
      guard let name = place.name else { return place.take() }
      return try Self.child(name, of: place.directory, mode: mode)
    }
  }

  /// The file of that path, made empty if it is missing, with the directories above it; opened O_PATH.
  /// What exists is taken as it is, a directory too.
  public borrowing func makeFile(_ path: String, mode: mode_t = 0o644) throws(SyscallError) -> Descriptor {
    do throws(SyscallError) {
      return try open(path, O_PATH)
    } catch  where error.errno == .noSuchFile {
      let place = try makeParent(path, mode: 0o755)
      guard let name = place.name else { return place.take() }
      do throws(SyscallError) {
        _ = try Sys.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, at: place.directory.raw)
      } catch  where error.errno == .fileExists {}
      return try Sys.open(name, O_PATH | O_NOFOLLOW, at: place.directory.raw)
    }
  }

  /// The directory that holds the last component of a path, made if missing, and that component, which is never a symbolic
  /// link and may or may not exist; `nil` when the path is the root itself.
  public borrowing func makeParent(_ path: String, mode: mode_t = 0o755) throws(SyscallError) -> Place {
    var walk = Walk(path)
    while let component = walk.next() {
      // Physical parents have no links: what appears as one now was put there while we looked, and ELOOP is right.
      let parent = try openWithoutLinks(walk.parent, O_PATH | O_DIRECTORY)
      let isLast = walk.isFinished
      do throws(SyscallError) {
        let target = try Sys.readlink(component, at: parent.raw)
        try walk.follow(target)
        continue
      } catch  where error.errno == .invalidArgument {
        // not a link
        if isLast { return Place(directory: parent, name: component) }
      } catch  where error.errno == .noSuchFile {
        if isLast { return Place(directory: parent, name: component) }
        _ = try Self.child(component, of: parent, mode: mode)
      }
      walk.enter(component)
    }
    return Place(directory: try openWithoutLinks(walk.parent, O_PATH | O_DIRECTORY), name: nil)
  }

  /// A name in a directory, which is made if it is missing; the name isn't looked at.
  borrowing func place(_ name: Substring, in directory: String) throws(SyscallError) -> Place {
    Place(directory: try makeDirectory(directory), name: String(name))
  }

  private static func child(_ name: String, of parent: borrowing Descriptor, mode: mode_t) throws(SyscallError)
    -> Descriptor
  {
    do throws(SyscallError) { try Sys.mkdir(name, mode: mode, at: parent.raw) } catch  where error.errno == .fileExists
    {}
    return try Sys.open(name, O_PATH | O_DIRECTORY | O_NOFOLLOW, at: parent.raw)
  }

  /// The components of a path, one after the other, with the links that are met put in front of what is left.
  private struct Walk {
    /// Real directories, without links.
    private var physical: [Substring] = []
    /// Reversed.
    private var rest: [Substring]
    private var links = 0

    init(_ path: String) { rest = path.split(separator: "/").reversed() }

    var parent: String { physical.isEmpty ? "." : physical.joined(separator: "/") }

    var isFinished: Bool { rest.allSatisfy { $0 == "." } }

    mutating func next() -> String? {
      while let component = rest.popLast() {
        switch component {
        case ".": continue
        case "..": _ = physical.popLast()
        default: return String(component)
        }
      }
      return nil
    }

    mutating func enter(_ component: String) { physical.append(Substring(component)) }

    mutating func follow(_ target: String) throws(SyscallError) {
      links += 1
      guard links <= 40 else { throw SyscallError("openat2", target, .symlinkLoop) }
      if target.hasPrefix("/") { physical = [] }
      rest += target.split(separator: "/").reversed()
    }
  }
}

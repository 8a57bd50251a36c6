public import CLinux
public import Kernel

/// A tree that isn't trusted, with other trees laid at places in it, nothing of which is mounted: a container's files as the container
/// would see them, for whoever copies them from outside.
///
/// As `Root`, paths are taken as a process sees them whose root directory this is. The walk is our own, one component after the other from
/// descriptor to descriptor: none is a link that the kernel follows, `..` goes back on the way that was come (never by the kernel, so a
/// directory that is moved meanwhile leads nowhere else), a link's text is resolved here, in the root, and `/proc`'s magic links are
/// text like any other. Mounts of the root's own mount namespace are crossed as the kernel has them. (CVE-2018-15664.)
public struct MountedTree: Sendable {
  /// O_PATH.
  public private(set) var root: SharedDescriptor
  private var mounts: [String: Mount] = [:]
  /// nil: the files' owners are what they are.
  public var owners: Owners?

  private struct Mount: Sendable {
    let root: SharedDescriptor
    let isDirectory: Bool
  }

  /// Something in the tree.
  public struct Found: Sendable {
    /// From the root, without links; empty for the root itself.
    public let path: [String]
    /// O_PATH; a link's is the link's own.
    public let object: SharedDescriptor
    public let status: stat
  }

  /// What is to be done about the last component and those before it when they aren't there.
  public enum Missing: Sendable {
    case refuse
    /// Makes directories with mode 0755, and a last component of that kind.
    case makeDirectory
    case makeFile
  }

  public init(root: consuming Descriptor) { self.root = SharedDescriptor(root) }

  /// Lays a tree, or a file, at a place, which is made when it is missing. `source`: O_PATH.
  public mutating func mount(_ source: SharedDescriptor, at destination: String) throws(SyscallError) {
    let isDirectory = try Sys.fstat(source.raw).fileType == .directory
    let place = try find(destination, followingLast: true, missing: isDirectory ? .makeDirectory : .makeFile)
    guard (place.status.fileType == .directory) == isDirectory else {
      throw SyscallError("mount", destination, isDirectory ? .notDirectory : .isDirectory)
    }
    mounts[Self.key(place.path)] = Mount(root: source, isDirectory: isDirectory)
  }

  /// What lies at that physical path instead of what the tree has there.
  public func mounted(at path: [String]) -> SharedDescriptor? {
    mounts.isEmpty ? nil : mounts[Self.key(path)]?.root
  }

  /// The tree below a directory as a root of its own, which nothing leads out of.
  public func subtree(_ directory: Found) -> MountedTree {
    var tree = self
    tree.root = directory.object
    let prefix = directory.path.isEmpty ? "" : Self.key(directory.path) + "/"
    tree.mounts = [:]
    for (path, mount) in mounts where path.hasPrefix(prefix) {
      tree.mounts[String(path.dropFirst(prefix.count))] = mount
    }
    return tree
  }

  private static func key(_ path: [String]) -> String { path.joined(separator: "/") }

  /// The object of a path. A path that ends in `/` or `/.` is a directory's, with a link at its end followed in any case.
  public func find(_ path: String, followingLast: Bool, missing: Missing = .refuse) throws(SyscallError) -> Found {
    var walk = Walk(tree: self, path)
    return try walk.run(followingLast: followingLast, missing: missing)
  }

  /// Where a path leads with all links on it followed, or as far as they lead: what is missing is taken by its words.
  public func evaluate(_ path: String) -> String {
    var walk = Walk(tree: self, path)
    do throws(SyscallError) { return "/" + Self.key(try walk.run(followingLast: true, missing: .refuse).path) } catch {
      return "/" + walk.words.joined(separator: "/")
    }
  }

  private struct Walk {
    let tree: MountedTree
    private let path: String
    private var way: [(name: String, directory: SharedDescriptor)] = []
    /// Reversed.
    private var rest: [Substring]
    private var links = 0

    init(tree: MountedTree, _ path: String) {
      self.tree = tree
      self.path = path
      rest = path.split(separator: "/").reversed()
      if path.hasSuffix("/") { rest.insert(".", at: 0) }
    }

    private var names: [String] { way.map(\.name) }
    private var directory: SharedDescriptor { way.last?.directory ?? tree.root }

    /// Of a walk that came to its end early.
    var words: [String] {
      var words = names
      for component in rest.reversed() where component != "." {
        if component == ".." { _ = words.popLast() } else { words.append(String(component)) }
      }
      return words
    }

    private func failure(_ errno: Errno) -> SyscallError { SyscallError("open", path, errno) }

    mutating func run(followingLast: Bool, missing: Missing) throws(SyscallError) -> Found {
      while let next = rest.popLast() {
        if next == "." { continue }
        if next == ".." {
          _ = way.popLast()
          continue
        }
        let name = String(next)
        let isLast = rest.isEmpty
        let here = names + [name]
        var object = tree.mounted(at: here)
        if object == nil {
          do throws(SyscallError) {
            object = SharedDescriptor(try Sys.open(name, O_PATH | O_NOFOLLOW, at: directory.raw))
          } catch {
            rest.append(next)
            guard error.errno == .noSuchFile else { throw failure(error.errno) }
          }
        }
        guard let object else {
          try make(name, missing, isLast: isLast)
          continue
        }
        let status = try Sys.fstat(object.raw)
        switch status.fileType {
        case .directory: way.append((name, object))
        case .symbolicLink:
          if isLast, !followingLast { return Found(path: here, object: object, status: status) }
          links += 1
          guard links <= 40 else { throw failure(.symlinkLoop) }
          let target = String(decoding: try Sys.readLink(at: object.raw, name: ""), as: UTF8.self)
          if target.hasPrefix("/") { way = [] }
          if target.hasSuffix("/") { rest.append(".") }
          rest += target.split(separator: "/").reversed()
        default:
          guard isLast else { throw failure(.notDirectory) }
          return Found(path: here, object: object, status: status)
        }
      }
      return Found(path: names, object: directory, status: try Sys.fstat(directory.raw))
    }

    /// Makes what `rest` has last, which is looked up again then.
    private func make(_ name: String, _ missing: Missing, isLast: Bool) throws(SyscallError) {
      do throws(SyscallError) {
        switch missing {
        case .refuse: throw failure(.noSuchFile)
        case .makeFile where isLast:
          _ = try Sys.open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o644, at: directory.raw)
        case .makeDirectory, .makeFile: try Sys.mkdir(name, mode: 0o755, at: directory.raw)
        }
      } catch {
        guard error.errno == .fileExists else { throw failure(error.errno) }
      }
    }
  }
}

/// The kernel's own file systems, whose files aren't files.
public enum KernelFileSystem {
  /// procfs, sysfs, cgroups, devpts, mqueue, debugfs, tracefs, securityfs, bpf, efivarfs, selinuxfs, smackfs, configfs, pstore (statfs(2)).
  private static let types: Set<UInt32> = [
    0x9fa0, 0x6265_6572, 0x27e0eb, 0x6367_7270, 0x1cd1, 0x1980_0202, 0x6462_6720, 0x7472_6163, 0x7363_6673, 0xcafe_4a11,
    0xde5e_81e4, 0xf97c_ff8c, 0x4341_5d53, 0x6265_6570, 0x6165_676c,
  ]

  public static func contains(_ descriptor: Int32) throws(SyscallError) -> Bool {
    types.contains(UInt32(truncatingIfNeeded: try Sys.fileSystem(descriptor).f_type))
  }
}

import Archive
import CLinux
import Kernel

/// What a container changed of its image.
public struct ContainerChange: Sendable, Equatable {
  public enum Kind: Int64, Sendable {
    case modified = 0
    case added = 1
    case deleted = 2
  }

  /// Absolute.
  public let path: String
  public let kind: Kind
}

/// Compares a snapshot's upper directory with the layers below: only what was written is walked, never the image.
///
/// A directory counts as modified when something directly in it came or went, or when it isn't what it was itself; overlayfs copies the
/// directories above a written file up too, and those don't count. The empty files and directories that a start makes as places for its
/// own mounts aren't the container's doing and are left out, as with Docker's init layer.
struct ChangeList {
  private(set) var changes: [ContainerChange] = []

  /// Made for every container.
  private static let places: Set<String> = [
    "/dev", "/dev/console", "/dev/pts", "/dev/shm", "/proc", "/sys", "/etc", "/etc/hosts", "/etc/hostname",
    "/etc/resolv.conf",
  ]
  private static let maximumDepth = 512

  /// `lower`: topmost first. Blocks.
  init(upper: String, lower: [String]) throws(SyscallError) {
    let top = try Sys.open(upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    var layers: [SharedDescriptor] = []
    for layer in lower { layers.append(SharedDescriptor(try Sys.open(layer, O_PATH | O_DIRECTORY))) }
    _ = try walk(top.raw, layers, path: "", depth: 0)
  }

  private struct Below {
    /// `nil`: the image has nothing of that name.
    var status: stat?
    /// Where the layers below have it as a directory.
    var directories: [SharedDescriptor] = []
  }

  private static func below(_ name: [CChar], in layers: [SharedDescriptor]) throws(SyscallError) -> Below {
    var below = Below()
    for layer in layers {
      let object: SharedDescriptor
      do throws(SyscallError) { object = SharedDescriptor(try Sys.open(at: layer.raw, name: name, O_PATH)) } catch {
        guard error.errno == .noSuchFile else { throw error }
        continue
      }
      let status = try Sys.fstat(object.raw)
      if status.fileType == .characterDevice, status.st_rdev == 0 { break }
      if below.status == nil { below.status = status }
      guard status.fileType == .directory else { break }
      below.directories.append(object)
      if try isOpaque(object.raw) { break }
    }
    return below
  }

  private static func isOpaque(_ descriptor: Int32) throws(SyscallError) -> Bool {
    try Sys.attribute(at: descriptor, of: nil, name: Array("trusted.overlay.opaque".utf8CString)) == [UInt8(ascii: "y")]
  }

  private struct Content {
    /// Something directly in it came or went.
    var changed = false
    /// It holds places of mounts, whose making changed its time.
    var holdsPlaces = false
    var isEmpty = true
  }

  /// Adds what is in a directory.
  private mutating func walk(
    _ directory: Int32, _ layers: [SharedDescriptor], path: String, depth: Int
  ) throws(SyscallError) -> Content {
    guard depth < Self.maximumDepth else { throw SyscallError("open", path, .nameTooLong) }
    var content = Content()
    for name in try Sys.sortedNames(directory) {
      let child: SharedDescriptor
      do throws(SyscallError) { child = SharedDescriptor(try Sys.open(at: directory, name: name, O_PATH)) } catch {
        // The container works on it meanwhile.
        guard error.errno == .noSuchFile else { throw error }
        continue
      }
      let status = try Sys.fstat(child.raw)
      let childPath = path + "/" + Self.text(name)
      if status.fileType == .characterDevice, status.st_rdev == 0 {
        changes.append(ContainerChange(path: childPath, kind: .deleted))
        content.changed = true
        continue
      }
      let below = try Self.below(name, in: layers)
      let isPlace = Self.places.contains(childPath) && below.status == nil
      let kind =
        status.fileType == .directory
        ? try addDirectory(child, status, below, childPath, depth, isPlace: isPlace)
        : isPlace && status.fileType == .regular && status.st_size == 0
          ? nil : below.status == nil ? .added : ContainerChange.Kind.modified
      if status.fileType != .directory, let kind { changes.append(ContainerChange(path: childPath, kind: kind)) }
      if kind == nil, isPlace { content.holdsPlaces = true } else { content.isEmpty = false }
      if kind == .added { content.changed = true }
    }
    return content
  }

  /// Adds a directory, then what is in it.
  private mutating func addDirectory(
    _ object: SharedDescriptor, _ status: stat, _ below: Below, _ path: String, _ depth: Int, isPlace: Bool
  ) throws(SyscallError) -> ContainerChange.Kind? {
    let index = changes.count
    let opened = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: object.raw)
    let isOpaque = below.directories.isEmpty ? false : try Self.isOpaque(object.raw)
    if isOpaque { try addHidden(opened.raw, below.directories, path) }
    let layers = isOpaque ? [] : below.directories
    let content = try walk(opened.raw, layers, path: path, depth: depth + 1)
    let kind: ContainerChange.Kind?
    if let old = below.status, old.fileType == .directory {
      let isSame = old.st_mode == status.st_mode && old.st_uid == status.st_uid && old.st_gid == status.st_gid
      let isTouched =
        !content.holdsPlaces
        && (old.st_mtim.tv_sec != status.st_mtim.tv_sec || old.st_mtim.tv_nsec != status.st_mtim.tv_nsec)
      kind = isOpaque || content.changed || !isSame || isTouched ? .modified : nil
    } else if isPlace, content.isEmpty {
      kind = nil
    } else {
      kind = below.status == nil ? .added : .modified
    }
    if let kind { changes.insert(ContainerChange(path: path, kind: kind), at: index) }
    return kind
  }

  /// What an opaque directory hides and has nothing for.
  private mutating func addHidden(_ directory: Int32, _ layers: [SharedDescriptor], _ path: String) throws(SyscallError)
  {
    let present = Set(try Sys.sortedNames(directory))
    var hidden: Set<[CChar]> = []
    for layer in layers {
      let opened = try Sys.open(".", O_RDONLY | O_DIRECTORY, at: layer.raw)
      hidden.formUnion(try Sys.sortedNames(opened.raw))
    }
    for name in Sys.sorted(hidden.subtracting(present)) {
      guard try Self.below(name, in: layers).status != nil else { continue }
      let text = Self.text(name)
      changes.append(ContainerChange(path: path + "/" + text, kind: .deleted))
    }
  }

  private static func text(_ name: [CChar]) -> String {
    String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

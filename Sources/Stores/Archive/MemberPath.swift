/// A member's path, taken apart: what remains of it can't leave the tree by itself.
public struct MemberPath {
  /// NUL-terminated, neither empty nor `.` nor `..`; no component at all is the tree's root.
  public let components: [[CChar]]

  /// `what` is the part of the member that is wrong, for the message: `path` or `link target`.
  public init(_ bytes: [UInt8], member: String, what: String = "path", maximumDepth: Int) throws {
    guard !bytes.isEmpty else { throw ArchiveError(member: member, "its \(what) is empty") }
    // PATH_MAX counts the NUL.
    guard bytes.count < 4096 else { throw ArchiveError(member: member, "its \(what) has more than 4095 bytes") }
    var components: [[CChar]] = []
    for part in bytes.split(separator: UInt8(ascii: "/")) where !part.elementsEqual(".".utf8) {
      guard !part.elementsEqual("..".utf8) else { throw ArchiveError(member: member, "its \(what) holds \"..\"") }
      guard part.count <= 255 else {
        throw ArchiveError(member: member, "its \(what) has a name of more than 255 bytes")
      }
      guard !part.contains(0) else { throw ArchiveError(member: member, "its \(what) holds NUL") }
      components.append(part.map { CChar(bitPattern: $0) } + [0])
    }
    // "/" alone is the root, as some builders write it.
    guard bytes[0] != UInt8(ascii: "/") || components.isEmpty else {
      throw ArchiveError(member: member, "its \(what) is absolute")
    }
    guard components.count <= maximumDepth else {
      throw ArchiveError(member: member, "its \(what) is deeper than \(maximumDepth)")
    }
    self.components = components
  }

  /// `a/b/c`, NUL-terminated, relative to the root; `.` for the root.
  static func join(_ components: some Collection<[CChar]>) -> [CChar] {
    var path: [CChar] = []
    for component in components {
      path += component.dropLast()
      path.append(0x2F)
    }
    guard !path.isEmpty else { return [0x2E, 0] }
    path[path.count - 1] = 0
    return path
  }

  /// A component for a message.
  public static func text(_ component: [CChar]) -> String {
    TarEntry.printable(component.dropLast().map { UInt8(bitPattern: $0) })
  }
}

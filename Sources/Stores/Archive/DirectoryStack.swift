import CLinux
import Kernel

/// The way from a tree's root to one directory in it, a descriptor a component: archives come in the order of their directories, so the
/// next member is mostly one step away and costs no walk.
///
/// A component that is a symbolic link of the tree's own is followed within the root (openat2, RESOLVE_IN_ROOT), as a chroot would;
/// nothing else is ever followed.
final class DirectoryStack {
  private let root: Int32
  private var names: [[CChar]] = []
  private var descriptors: [SharedDescriptor] = []

  init(root: Int32) { self.root = root }

  /// What has been cached may not be there any more.
  func forget() {
    names.removeAll()
    descriptors.removeAll()
  }

  /// A descriptor (O_PATH) of the directory, valid until the next call. `makeMissing` makes a directory that isn't there and answers
  /// whether it did; without it a missing one is an error of the member's.
  func descend(
    to path: ArraySlice<[CChar]>, member: String, makeMissing: ((_ parent: Int32, _ name: [CChar]) throws -> Bool)?
  ) throws -> Int32 {
    var common = 0
    while common < names.count, common < path.count, names[common] == path[path.startIndex + common] { common += 1 }
    names.removeSubrange(common...)
    descriptors.removeSubrange(common...)
    for index in common..<path.count {
      let name = path[path.startIndex + index]
      let parent = descriptors.last?.raw ?? root
      let child = try open(parent, name, prefix: path.prefix(index + 1), member, makeMissing)
      names.append(name)
      descriptors.append(child)
    }
    return descriptors.last?.raw ?? root
  }

  private func open(
    _ parent: Int32, _ name: [CChar], prefix: ArraySlice<[CChar]>, _ member: String,
    _ makeMissing: ((_ parent: Int32, _ name: [CChar]) throws -> Bool)?
  ) throws -> SharedDescriptor {
    let flags = O_PATH | O_DIRECTORY
    do throws(SyscallError) {
      return SharedDescriptor(try Sys.open(at: parent, name: name, flags))
    } catch {
      return try openAnother(parent, name, prefix: prefix, member, makeMissing, after: error)
    }
  }

  private func openAnother(
    _ parent: Int32, _ name: [CChar], prefix: ArraySlice<[CChar]>, _ member: String,
    _ makeMissing: ((_ parent: Int32, _ name: [CChar]) throws -> Bool)?, after failure: SyscallError
  ) throws -> SharedDescriptor {
    let flags = O_PATH | O_DIRECTORY
    guard failure.errno == .noSuchFile || failure.errno == .notDirectory || failure.errno == .symlinkLoop else {
      throw failure.on(member)
    }
    if failure.errno != .noSuchFile {
      let status = try Sys.status(at: parent, name: name)
      if status.fileType == .symbolicLink {
        do throws(SyscallError) {
          // RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS
          return SharedDescriptor(try Sys.openat2(at: root, name: MemberPath.join(prefix), flags, resolve: 0x10 | 0x02))
        } catch {
          throw ArchiveError(
            member: member,
            "its directory \"\(MemberPath.text(name))\" is a link that leads to no directory here (\(error.errno))")
        }
      }
    }
    if let makeMissing, try makeMissing(parent, name) {
      do throws(SyscallError) {
        return SharedDescriptor(try Sys.open(at: parent, name: name, flags))
      } catch { throw error.on(member) }
    }
    throw ArchiveError(
      member: member,
      "\"\(MemberPath.text(name))\" on its way \(failure.errno == .noSuchFile ? "is missing" : "isn't a directory")")
  }
}

public import Errdefs
import Kernel
public import OCI
import Rootfs

/// What ids of the host a container's users and groups are, in a user namespace of its own: `--userns-remap`, `--userns private`.
public struct UserMapping: Sendable, Equatable {
  /// By their first id in the container; 0 is among them.
  public var users: [RuntimeSpec.IDMapping]
  public var groups: [RuntimeSpec.IDMapping]

  public init(users: [RuntimeSpec.IDMapping], groups: [RuntimeSpec.IDMapping]) {
    self.users = users
    self.groups = groups
  }

  /// The host's ids of the container's root.
  var root: (user: UInt32, group: UInt32) {
    let root = owners.outside(0, 0)
    return (root?.uid ?? 0, root?.gid ?? 0)
  }

  /// For the files of a container that runs.
  var owners: MountedTree.Owners { MountedTree.Owners(users: users, groups: groups) }

  // MARK: where it comes from

  /// The files that it is read from; another root for tests.
  public struct Sources: Sendable {
    public var root: String
    public init(root: String = "") { self.root = root }

    func read(_ path: String) throws(EngineError) -> String {
      do throws(SyscallError) {
        return String(decoding: try Sys.readFile(root + path, limit: 4 << 20), as: UTF8.self)
      } catch  where error.errno == .noSuchFile { return "" } catch { throw .system("read \(path): \(error)") }
    }

    /// Of `/etc/passwd` or `/etc/group`: names and numbers stand in the same fields.
    func entry(_ name: String, in path: String) throws(EngineError) -> (name: String, id: UInt32, group: UInt32?)? {
      for line in try read(path).split(separator: "\n") {
        let fields = line.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count > 3, let id = UInt32(fields[2]), fields[0] == name || UInt32(name) == id else { continue }
        return (String(fields[0]), id, UInt32(fields[3]))
      }
      return nil
    }
  }

  /// dockerd's words: `default` (the user and group dockremap), `user[:group]`, by name or number. Nil: root stays root, which is no
  /// namespace of its own. Throws what to do (daemon/daemon_unix.go `parseRemappedRoot`).
  public init?(remap text: String, sources: Sources = Sources()) throws(EngineError) {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
      throw .invalidParameter("Invalid user/group specification in --userns-remap: \"\(text)\"")
    }
    let standard = "dockremap"
    let wanted = parts[0] == "default" ? standard : parts[0]
    guard let user = try sources.entry(wanted, in: "/etc/passwd") else {
      if wanted == standard { throw Self.advice(standard, "there is no user dockremap", makesUser: true) }
      throw .invalidParameter(
        UInt32(wanted) == nil
          ? "Error during uid lookup for \"\(wanted)\": no such user" : "Uid \(wanted) has no entry in /etc/passwd")
    }
    let group = parts.count > 1 ? (parts[1] == "default" ? standard : parts[1]) : user.name
    guard let found = try sources.entry(group, in: "/etc/group") else {
      throw .invalidParameter(
        UInt32(group) == nil
          ? "Error during gid lookup for \"\(group)\": no such group" : "Gid \(group) has no entry in /etc/group")
    }
    if user.id == 0 { return nil }
    try self.init(owner: user.name, id: user.id, group: found.name, groupID: found.id, sources)
  }

  /// For a container that asks for a user namespace where the daemon maps none: the ranges of `containers`, as podman has it, or of
  /// `dockremap`.
  static func ownRange(_ sources: Sources = Sources()) throws(EngineError) -> UserMapping {
    for owner in ["containers", "dockremap"] {
      let id = try sources.entry(owner, in: "/etc/passwd")?.id
      guard
        try !SubordinateIDs(try sources.read("/etc/subuid"), owner: owner, id: id, file: "/etc/subuid").ranges.isEmpty
      else { continue }
      return try UserMapping(owner: owner, id: id, group: owner, groupID: nil, sources)
    }
    throw advice("containers", "a user namespace of the container's own needs ids of the host that nobody else has")
  }

  private init(owner: String, id: UInt32?, group: String, groupID: UInt32?, _ sources: Sources) throws(EngineError) {
    let users = try SubordinateIDs(try sources.read("/etc/subuid"), owner: owner, id: id, file: "/etc/subuid")
    guard !users.ranges.isEmpty else { throw Self.advice(owner, "/etc/subuid has no range of \(owner)") }
    let groups = try SubordinateIDs(try sources.read("/etc/subgid"), owner: group, id: groupID, file: "/etc/subgid")
    guard !groups.ranges.isEmpty else { throw Self.advice(group, "/etc/subgid has no range of \(group)") }
    self.init(users: users.mappings, groups: groups.mappings)
  }

  private static func advice(_ owner: String, _ reason: String, makesUser: Bool = false) -> EngineError {
    let user = makesUser ? "run `useradd --system --user-group --no-create-home \(owner)`, and " : ""
    return .invalidParameter(
      "\(reason): \(user)add a line such as \"\(owner):100000:65536\" to /etc/subuid and to /etc/subgid")
  }
}

import CLinux
import Errdefs
import Kernel
import OCI

/// The namespaces of a container whose users aren't the host's, made before it.
struct UserNamespaces: Sendable {
  let user: SharedDescriptor
  /// Owned by the user namespace; nil when the container shares another's.
  let network: SharedDescriptor?
  var mapping = UserMapping(users: [], groups: [])

  /// For a shim, while this value lives.
  var path: String { "/proc/\(getpid())/fd/\(user.raw)" }
}

extension Containers {
  public var remapsUsers: Bool { configuration.remap != nil }

  /// What a container's ids are on the host: nil for the host's own. Throws what to do when there are none to give.
  func mapping(for host: HostConfig) throws -> UserMapping? {
    switch host.usernsMode {
    case "host": nil
    case "": configuration.remap
    default: try configuration.remap ?? UserMapping.ownRange()
    }
  }

  /// Makes them. Who joins a namespace of another container that has its own users is in that one's user namespace, since that owns it.
  func userNamespaces(for snapshot: ContainerSnapshot, _ joined: Joined) async throws -> UserNamespaces? {
    let host = snapshot.hostConfig
    guard var mapping = try mapping(for: host) else { return nil }
    var donors = joined.donors
    if host.networkMode.hasPrefix("container:") {
      donors.append(try networkDonor(String(host.networkMode.dropFirst("container:".count)), for: snapshot.id))
    }
    var namespace: SharedDescriptor?
    for donor in donors {
      let own = SharedDescriptor(try Sys.open("/proc/\(donor.state.pid)/ns/user"))
      let isOther = try namespace.map { try !Self.isSame(own, $0) } ?? Sys.isOwnNamespace(own.raw, "user")
      guard !isOther else {
        throw EngineError.invalidParameter(
          namespace == nil
            ? "cannot share namespaces with container \(donor.snapshot.name), which has the host's users: use --userns=host"
            : "cannot share namespaces with containers of different user namespaces")
      }
      namespace = own
      mapping = UserMapping(
        users: try Self.mappings("/proc/\(donor.state.pid)/uid_map"),
        groups: try Self.mappings("/proc/\(donor.state.pid)/gid_map"))
    }
    let network = !host.networkMode.hasPrefix("container:") && host.networkMode != "host"
    let (wanted, joining) = (mapping, namespace)
    var made = try await blocking { [shims] in try shims.namespaces(wanted, joining: joining, network: network) }
    made.mapping = mapping
    return made
  }

  /// What a process's ids are on this host (user_namespaces(7)); `nil`: themselves.
  static func mapping(ofProcess pid: Int32) throws -> UserMapping? {
    let mapping = UserMapping(
      users: try mappings("/proc/\(pid)/uid_map"), groups: try mappings("/proc/\(pid)/gid_map"))
    let own = UserMapping(users: try mappings("/proc/self/uid_map"), groups: try mappings("/proc/self/gid_map"))
    return mapping == own ? nil : mapping
  }

  private static func mappings(_ path: String) throws -> [RuntimeSpec.IDMapping] {
    String(decoding: try Sys.readFile(path), as: UTF8.self).split(separator: "\n").compactMap { line in
      let numbers = line.split(separator: " ").compactMap { UInt32($0) }
      guard numbers.count == 3 else { return nil }
      return RuntimeSpec.IDMapping(containerID: numbers[0], hostID: numbers[1], size: numbers[2])
    }
  }

  private static func isSame(_ one: SharedDescriptor, _ other: SharedDescriptor) throws(SyscallError) -> Bool {
    let (a, b) = (try Sys.fstat(one.raw), try Sys.fstat(other.raw))
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino
  }
}

import CLinux
import Kernel
import OCI

/// Which namespaces are new and which are others', opened by the parent, who may.
struct NamespaceSetup {
  /// For clone3. Not cgroup and time, which the child unshares: their content is set first.
  private(set) var cloneFlags: UInt64 = 0
  private(set) var hasUser = false
  private(set) var newCgroup = false
  private(set) var newTime = false
  /// Others' namespaces, to be joined by the child, or by the parent before the clone when the child is to be in a user namespace,
  /// where it has no rights over them; pid always by the parent, since it holds for children only.
  private(set) var joined: [(kind: RuntimeSpec.NamespaceKind, file: SharedDescriptor)] = []
  let offsets: [String: RuntimeSpec.TimeOffset]
  let linux: RuntimeSpec.Linux

  init(_ linux: RuntimeSpec.Linux) throws(LaunchFailure) {
    self.linux = linux
    offsets = linux.timeOffsets
    var seen: Set<RuntimeSpec.NamespaceKind> = []
    for namespace in linux.namespaces {
      let kind = namespace.kind
      guard seen.insert(kind).inserted else {
        throw Self.failure(kind, EINVAL, "namespace \(kind.rawValue) is named twice")
      }
      if let path = namespace.path, !path.isEmpty {
        guard kind != .mount && kind != .user else {
          throw Self.failure(kind, ENOTSUP, "joining a \(kind.rawValue) namespace by path is not supported")
        }
        do throws(SyscallError) {
          joined.append((kind, SharedDescriptor(try Sys.open(path, O_RDONLY))))
        } catch {
          throw Self.failure(kind, error.errno.rawValue, "open \(kind.rawValue) namespace \"\(path)\": \(error.errno)")
        }
        continue
      }
      switch kind {
      case .cgroup: newCgroup = true
      case .time: newTime = true
      case .user:
        hasUser = true
        cloneFlags |= kind.cloneFlag
      default: cloneFlags |= kind.cloneFlag
      }
    }
    guard cloneFlags & RuntimeSpec.NamespaceKind.mount.cloneFlag != 0 else {
      throw Self.failure(.mount, EINVAL, "a container needs a mount namespace of its own")
    }
    guard !hasUser || !linux.uidMappings.isEmpty && !linux.gidMappings.isEmpty else {
      throw Self.failure(.user, EINVAL, "a user namespace needs uidMappings and gidMappings")
    }
    guard newTime || offsets.isEmpty else {
      throw Self.failure(.time, EINVAL, "time offsets need a time namespace of the container's own")
    }
  }

  /// Those that the parent enters around the clone.
  var joinedByParent: [(kind: RuntimeSpec.NamespaceKind, file: SharedDescriptor)] {
    joined.filter { $0.kind == .pid || hasUser }
  }

  /// The child's part, after it has joined its cgroup.
  func enter(_ stage: Stage) throws(LaunchFailure) {
    for (kind, file) in joined where kind != .pid && !hasUser {
      try stage.attempt("join \(kind.rawValue) namespace") { () throws(SyscallError) in
        try Sys.setns(file.raw, Int32(truncatingIfNeeded: kind.cloneFlag))
      }
    }
    if newCgroup {
      try stage.attempt("make a cgroup namespace") { () throws(SyscallError) in
        try Sys.unshare(Int32(truncatingIfNeeded: RuntimeSpec.NamespaceKind.cgroup.cloneFlag))
      }
    }
    if newTime { try enterTime(stage) }
  }

  /// Offsets can be set until somebody lives in the namespace (time_namespaces(7)).
  private func enterTime(_ stage: Stage) throws(LaunchFailure) {
    let flag = Int32(truncatingIfNeeded: RuntimeSpec.NamespaceKind.time.cloneFlag)
    try stage.attempt("make a time namespace") { () throws(SyscallError) in
      try Sys.unshare(flag)
      let text = offsets.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.secs) \($0.value.nanosecs)\n" }.joined()
      if !text.isEmpty { try Sys.writeFile("/proc/self/timens_offsets", text) }
      let namespace = try Sys.open("/proc/self/ns/time_for_children")
      try Sys.setns(namespace.raw, flag)
    }
  }

  /// The parent's part for a user namespace.
  func writeMaps(of pid: Int32) throws(LaunchFailure) {
    do throws(SyscallError) {
      try Sys.writeFile("/proc/\(pid)/uid_map", Self.text(linux.uidMappings))
      try Sys.writeFile("/proc/\(pid)/gid_map", Self.text(linux.gidMappings))
    } catch {
      throw Self.failure(.user, error.errno.rawValue, "write id maps: \(error)")
    }
  }

  private static func text(_ mappings: [RuntimeSpec.IDMapping]) -> String {
    mappings.map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined()
  }

  private static func failure(_ kind: RuntimeSpec.NamespaceKind, _ errno: Int32, _ message: String) -> LaunchFailure {
    LaunchFailure(step: "namespaces", errno: errno, object: kind.rawValue, message: message)
  }
}

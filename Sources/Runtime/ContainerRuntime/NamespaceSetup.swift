import CLinux
import Kernel
import OCI

/// Which namespaces are new and which are others', opened by the parent, who may.
struct NamespaceSetup {
  /// For clone3. Not cgroup and time, which the child unshares: their content is set first.
  private(set) var cloneFlags: UInt64 = 0
  /// The container is in a user namespace that isn't ours, a new one or another's.
  private(set) var hasUser = false
  private(set) var newUser = false
  /// Another's user namespace: entered by a process in between, which can't come back, before the container's own are made.
  private(set) var joinedUser: SharedDescriptor?
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
    for (index, namespace) in linux.namespaces.enumerated() {
      let kind = namespace.kind
      let field = "linux.namespaces[\(index)]"
      guard seen.insert(kind).inserted else {
        throw Self.failure(kind, EINVAL, "\(field): namespace \(kind.rawValue) is named twice")
      }
      if let path = namespace.path, !path.isEmpty {
        do throws(SyscallError) {
          let file = SharedDescriptor(try Sys.open(path, O_RDONLY | O_NONBLOCK))
          // NS_GET_NSTYPE (ioctl_ns(2), Linux 4.11)
          guard cl_ioctl_int(file.raw, 0xb703, 0) == Int32(truncatingIfNeeded: kind.cloneFlag) else {
            throw SyscallError("ioctl NS_GET_NSTYPE", path, .invalidArgument)
          }
          if kind != .user {
            joined.append((kind, file))
          } else if try !Sys.isOwnNamespace(file.raw, "user") {
            // Entering the user namespace that one is in is an error (setns(2)).
            joinedUser = file
            hasUser = true
          }
        } catch {
          throw Self.failure(
            kind, error.errno.rawValue,
            "\(field).path: open \(kind.rawValue) namespace \"\(path)\": \(error.errno)")
        }
        continue
      }
      switch kind {
      case .cgroup: newCgroup = true
      case .time: newTime = true
      case .user:
        hasUser = true
        newUser = true
        cloneFlags |= kind.cloneFlag
      default: cloneFlags |= kind.cloneFlag
      }
    }
    guard linux.namespace(.mount) != nil else {
      throw Self.failure(.mount, EINVAL, "linux.namespaces: a container needs a mount namespace of its own")
    }
    guard !newUser || !linux.uidMappings.isEmpty && !linux.gidMappings.isEmpty else {
      throw Self.failure(
        .user, EINVAL,
        "linux.\(linux.uidMappings.isEmpty ? "uidMappings" : "gidMappings"): a user namespace needs uidMappings and gidMappings"
      )
    }
    guard newTime || offsets.isEmpty else {
      throw Self.failure(.time, EINVAL, "linux.timeOffsets: time offsets need a time namespace of the container's own")
    }
  }

  /// The container's network namespace: its own, of a child that has been born in it, or the one that it joins.
  func network(of launch: borrowing Launch) throws(LaunchFailure) -> Descriptor {
    do throws(SyscallError) {
      if let file = joined.first(where: { $0.kind == .network })?.file {
        return Descriptor(owning: try Sys.fcntl(file.raw, F_DUPFD_CLOEXEC, 0))
      }
      return try launch.namespace(.network)
    } catch { throw Self.failure(.network, error.errno.rawValue, "open network namespace: \(error)") }
  }

  /// Those that the parent enters around the clone.
  var joinedByParent: [(kind: RuntimeSpec.NamespaceKind, file: SharedDescriptor)] {
    joinedUser == nil ? joined.filter { $0.kind == .pid || hasUser } : []
  }

  /// For the process in between: the others while we have our rights over them, as far as we do, then the user namespace, then those
  /// that only its owner may enter.
  func enterBeforeBirth() throws(SyscallError) {
    guard let joinedUser else { return }
    var late: [(kind: RuntimeSpec.NamespaceKind, file: SharedDescriptor)] = []
    for (kind, file) in joined {
      do throws(SyscallError) { try Sys.setns(file.raw, Int32(truncatingIfNeeded: kind.cloneFlag)) } catch {
        guard error.errno == .notPermitted else { throw error }
        late.append((kind, file))
      }
    }
    try Sys.setns(joinedUser.raw, Int32(truncatingIfNeeded: RuntimeSpec.NamespaceKind.user.cloneFlag))
    for (kind, file) in late { try Sys.setns(file.raw, Int32(truncatingIfNeeded: kind.cloneFlag)) }
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
      if !text.isEmpty {
        // Born in another's user namespace we own our files in /proc only for so long as we may be looked into.
        if joinedUser != nil { try Sys.prctl(4, 1) }
        try Sys.writeFile("/proc/self/timens_offsets", text)
        if joinedUser != nil { try Sys.prctl(4, 0) }
      }
      let namespace = try Sys.open("/proc/self/ns/time_for_children")
      try Sys.setns(namespace.raw, flag)
    }
  }

  /// The parent's part for a user namespace.
  ///
  /// Who isn't root may map its own id alone (user_namespaces(7)); newuidmap and newgidmap map those that /etc/subuid and
  /// /etc/subgid give it, too.
  func writeMaps(of pid: Int32) throws(LaunchFailure) {
    try map(pid, "uid_map", linux.uidMappings, "newuidmap")
    try map(pid, "gid_map", linux.gidMappings, "newgidmap")
  }

  private func map(_ pid: Int32, _ file: String, _ mappings: [RuntimeSpec.IDMapping], _ program: String)
    throws(LaunchFailure)
  {
    do throws(SyscallError) {
      do throws(SyscallError) {
        try Sys.writeFile("/proc/\(pid)/\(file)", Self.text(mappings))
        return
      } catch  where error.errno == .notPermitted && geteuid() != 0 {}
      if program == "newgidmap", mappings.count == 1, mappings[0].size == 1, mappings[0].hostID == getegid() {
        // Without setgroups nobody drops a group that denies something.
        try Sys.writeFile("/proc/\(pid)/setgroups", "deny")
        try Sys.writeFile("/proc/\(pid)/gid_map", Self.text(mappings))
        return
      }
    } catch { throw Self.failure(.user, error.errno.rawValue, "write \(file): \(error)") }
    let path = ["/usr/bin/", "/bin/", "/usr/sbin/", "/usr/local/bin/"].map { $0 + program }.first { Sys.exists($0) }
    guard let path else {
      throw Self.failure(
        .user, EPERM, "write \(file): these ids need the program \(program), which is not installed (package uidmap)")
    }
    let numbers = mappings.flatMap { ["\($0.containerID)", "\($0.hostID)", "\($0.size)"] }
    let outcome: Subprocess.Outcome
    do throws(SyscallError) {
      outcome = try Subprocess.run(
        path, [program, "\(pid)"] + numbers, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
    } catch { throw Self.failure(.user, error.errno.rawValue, "\(program): \(error)") }
    guard case .ended(.exited(0)) = outcome.end else {
      throw Self.failure(.user, EPERM, "\(program): \(outcome.error.split(separator: "\n").first ?? "failed")")
    }
  }

  private static func text(_ mappings: [RuntimeSpec.IDMapping]) -> String {
    mappings.map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined()
  }

  private static func failure(_ kind: RuntimeSpec.NamespaceKind, _ errno: Int32, _ message: String) -> LaunchFailure {
    LaunchFailure(step: "namespaces", errno: errno, object: kind.rawValue, message: message)
  }
}

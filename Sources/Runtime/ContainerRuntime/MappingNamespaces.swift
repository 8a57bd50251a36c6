import CLinux
public import Kernel
public import OCI
import Rootfs

/// User namespaces that nobody is in, which tell the kernel how a mount's ids are mapped (mount_setattr(2)). Each is made when a mount
/// needs it, by a child that does nothing else; for a single-threaded process.
final class MappingNamespaces {
  private let linux: RuntimeSpec.Linux
  private let joined: SharedDescriptor?
  private var made: [(users: [RuntimeSpec.IDMapping], groups: [RuntimeSpec.IDMapping], namespace: SharedDescriptor)] =
    []

  /// `joined`: the container's user namespace, if it is another's.
  init(linux: RuntimeSpec.Linux, joined: SharedDescriptor?) {
    self.linux = linux
    self.joined = joined
  }

  /// That of a mount's own mappings, or of the container. EINVAL: neither has any.
  func of(_ mount: RuntimeSpec.Mount) throws(SyscallError) -> SharedDescriptor {
    guard mount.uidMappings.isEmpty || mount.gidMappings.isEmpty else {
      return try namespace(mount.uidMappings, mount.gidMappings)
    }
    guard mount.uidMappings.isEmpty, mount.gidMappings.isEmpty else {
      throw SyscallError("mount", "uidMappings and gidMappings (both are needed)", .invalidArgument)
    }
    return try container()
  }

  /// That of the container.
  func container() throws(SyscallError) -> SharedDescriptor {
    if let joined { return joined }
    guard !linux.uidMappings.isEmpty, !linux.gidMappings.isEmpty else {
      throw SyscallError("mount", "idmap (neither the mount nor the container has a mapping)", .invalidArgument)
    }
    return try namespace(linux.uidMappings, linux.gidMappings)
  }

  private func namespace(_ users: [RuntimeSpec.IDMapping], _ groups: [RuntimeSpec.IDMapping]) throws(SyscallError)
    -> SharedDescriptor
  {
    if let known = made.first(where: { $0.users == users && $0.groups == groups }) { return known.namespace }
    let new = try Self.make(users, groups)
    made.append((users, groups, new))
    return new
  }

  private static func make(_ users: [RuntimeSpec.IDMapping], _ groups: [RuntimeSpec.IDMapping]) throws(SyscallError)
    -> SharedDescriptor
  { try ContainerRuntime.makeNamespaces(users, groups, network: false).user }
}

extension ContainerRuntime {
  /// A user namespace with these mappings, or another one given, and with `network` a network namespace that is its own: nobody is in
  /// them, and they end with their descriptors. For a single-threaded process.
  public static func makeNamespaces(
    _ users: [RuntimeSpec.IDMapping], _ groups: [RuntimeSpec.IDMapping], joining: SharedDescriptor? = nil, network: Bool
  ) throws(SyscallError) -> (user: SharedDescriptor, network: SharedDescriptor?) {
    let (user, net) = (RuntimeSpec.NamespaceKind.user.cloneFlag, RuntimeSpec.NamespaceKind.network.cloneFlag)
    let ends = try Sys.socketPair(Sys.sockSequencedPacket)
    let ours = Descriptor(owning: ends.0)
    let theirs = Descriptor(owning: ends.1)
    // With both, the user namespace is made first and owns the other (clone(2)).
    let child = try Sys.clone3(flags: joining == nil ? user | (network ? net : 0) : 0)
    if child.pid == 0 {
      _ = CLinux.close(ours.raw)
      do throws(SyscallError) {
        if let joining {
          try Sys.setns(joining.raw, Int32(truncatingIfNeeded: user))
          if network { try Sys.unshare(Int32(truncatingIfNeeded: net)) }
        }
        try Message.ready.send(on: theirs.raw)
        // Until the parent has gone, or kills us.
        _ = try Sys.poll(theirs.raw, Int16(POLLIN), timeout: -1)
      } catch { _exit(1) }
      _exit(0)
    }
    let pidfd = Descriptor(owning: child.pidfd)
    defer {
      try? Sys.sendSignal(pidfd: pidfd.raw, SIGKILL)
      _ = try? Sys.wait(pidfd: pidfd.raw)
    }
    _ = CLinux.close(theirs.take())
    guard try Sys.poll(ours.raw, Int16(POLLIN), timeout: Launch.deadline) != 0,
      case .ready? = try Message.receive(from: ours.raw)?.message
    else { throw SyscallError("clone3", "user namespace", .notPermitted) }
    let network = network ? SharedDescriptor(try Sys.namespace(pidfd: pidfd.raw, pid: child.pid, net)) : nil
    if let joining { return (joining, network) }
    func text(_ mappings: [RuntimeSpec.IDMapping]) -> String {
      mappings.map { "\($0.containerID) \($0.hostID) \($0.size)\n" }.joined()
    }
    try Sys.writeFile("/proc/\(child.pid)/uid_map", text(users))
    try Sys.writeFile("/proc/\(child.pid)/gid_map", text(groups))
    return (SharedDescriptor(try Sys.namespace(pidfd: pidfd.raw, pid: child.pid, user)), network)
  }
}

extension LaunchPlan {
  /// Its root as a detached mount.
  func mountRoot(_ mappings: MappingNamespaces) throws(RootfsError) -> SharedDescriptor {
    guard mapsRoot else { return SharedDescriptor(try rootfs.mount()) }
    let namespace: SharedDescriptor
    do throws(SyscallError) { namespace = try mappings.container() } catch {
      throw RootfsError(step: "rootfs", "/", error, doing: "map the root's ids")
    }
    let owners = MountedTree.Owners(users: spec.linux.uidMappings, groups: spec.linux.gidMappings)
    guard let root = owners.outside(0, 0) else {
      throw RootfsError(step: "rootfs", errno: EINVAL, object: "/", "the user namespace maps no root")
    }
    return SharedDescriptor(try rootfs.mount(mappedBy: namespace, root))
  }
}

extension LaunchPlan.Rootfs {
  /// As `mount`, with the files' owners shown through a user namespace.
  fileprivate func mount(mappedBy namespace: SharedDescriptor, _ root: (uid: UInt32, gid: UInt32)) throws(RootfsError)
    -> Descriptor
  {
    guard case .overlay(let lower, let upper, let work, let volatile) = self else { return try mount() }
    return try Rootfs.overlay(
      lower: lower, upper: upper, work: work, volatile: volatile, mappedBy: namespace, root: root)
  }
}

import CLinux
import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

extension Plumber {
  /// A namespace with `lo` up, bound under the exec root; of the kind `bridge` plugged in, addressed and routed too.
  /// `namespace`: to be used instead of a new one.
  mutating func make(_ kind: Sandbox.Kind, of namespace: SharedDescriptor? = nil) throws -> Sandbox {
    guard !lost else { throw EngineError.system("the network thread has lost the host's network namespace") }
    let slot = String(nextSlot, radix: 36)
    nextSlot += 1
    let path = "\(core.names.netnsDirectory)/\(slot)"
    try Self.createMountPoint(path, in: core.names.netnsDirectory)
    do {
      return try make(kind, slot, path, namespace)
    } catch {
      // the namespace goes with its last reference, and a veth with it
      unbind(path)
      throw error
    }
  }

  private static func createMountPoint(_ path: String, in directory: String) throws(SyscallError) {
    if !Sys.exists(directory) { try Sys.mkdirAll(directory, mode: 0o711) }
    try Sys.open(path, O_RDONLY | O_CREAT | O_EXCL, mode: 0).close()
  }

  private mutating func make(
    _ kind: Sandbox.Kind, _ slot: String, _ path: String, _ namespace: SharedDescriptor?
  ) throws -> Sandbox {
    if let namespace { try Sys.setns(namespace.raw, CLONE_NEWNET) } else { try Sys.unshare(CLONE_NEWNET) }
    let result = Result { try core.prepareOwnNamespace(path) }
    try comeHome()
    let inside = try result.get()
    guard kind == .bridge else { return Sandbox(kind: kind, path: path, plug: nil, resolver: inside.resolver) }
    guard let id = core.state.withLock({ $0.defaultSegment?.id }) else {
      throw EngineError.system("the bridge is not there yet")
    }
    let hasV6 = core.state.withLock { $0.defaultSegment?.subnet6 != nil }
    let plug = try plug(Outlet(network: id, name: "eth0", slot: slot), inside, path: hasV6 ? path : nil)
    return Sandbox(kind: kind, path: path, plug: plug, resolver: inside.resolver)
  }

  private mutating func comeHome() throws(SyscallError) {
    do throws(SyscallError) { try Sys.setns(home.raw, CLONE_NEWNET) } catch {
      lost = true
      throw error
    }
  }

  /// Runs `body` on this thread within a namespace.
  mutating func within<T>(_ path: String, _ body: (SharedDescriptor) throws -> T) throws -> T {
    guard !lost else { throw EngineError.system("the network thread has lost the host's network namespace") }
    let namespace = SharedDescriptor(try Sys.open(path))
    try Sys.setns(namespace.raw, CLONE_NEWNET)
    let result = Result { try body(namespace) }
    try comeHome()
    return try result.get()
  }

  /// Another hardware address for a sandbox that was made with the default one.
  mutating func setHardwareAddress(_ address: HardwareAddress, of sandbox: Sandbox) throws {
    try within(sandbox.path) { _ in
      var socket = try NetlinkSocket(.route)
      guard let link = try socket.link(named: "eth0") else { throw NetlinkError("get link", "eth0", .noSuchDevice) }
      var batch = NetlinkBatch()
      batch.setLink(link.index, address: address, name: "eth0")
      try socket.execute(batch)
    }
  }

  /// Lets a sandbox go: the last reference to the namespace takes the veth along, some milliseconds later.
  mutating func release(_ drop: State.Drop) {
    let veths = drop.plugs.filter { $0.hostIndex != 0 }
    core.state.withLock { state in
      for plug in veths { state.leaving[plug.hostIndex] = plug }
      for plug in drop.plugs where plug.hostIndex == 0 { state.free(plug) }
    }
    unbind(drop.sandbox.path)
    if drop.deleteLink { delete(veths.map(\.hostIndex)) }
    do {
      if !drop.forget.isEmpty { try forgetConnections(drop.forget) }
      // it may have gone before we waited for its notice
      for plug in veths where try links.link(named: plug.hostInterface)?.index != plug.hostIndex {
        gone([plug.hostIndex])
      }
    } catch {
      core.logger.error("release the network of sandbox \(drop.sandbox.path): \(error)")
    }
  }

  /// Deletes veths by hand: 20 ms each, under the RTNL lock. One that has gone is no error.
  mutating func delete(_ indexes: [Int32]) {
    for index in indexes {
      var batch = NetlinkBatch()
      batch.deleteLink(index)
      do throws(NetlinkError) { try links.execute(batch) } catch {
        if error.errno != .noSuchDevice { core.logger.error("\(error)") }
      }
    }
  }

  /// Takes the mount away wherever it was propagated to, and the file.
  func unbind(_ path: String) {
    do throws(SyscallError) {
      try Sys.umount(path, flags: Int32(MNT_DETACH) | 8)  // UMOUNT_NOFOLLOW
    } catch {
      // EINVAL: not a mount, ENOENT: not there
      if error.errno != .invalidArgument && error.errno != .noSuchFile { core.logger.error("\(error)") }
    }
    do throws(SyscallError) { try Sys.unlink(path) } catch {
      if error.errno != .noSuchFile { core.logger.error("\(error)") }
    }
  }
}

extension Core {
  /// In a namespace that the thread has just made: bound at `path`, loopback up, the resolver's sockets in it.
  func prepareOwnNamespace(_ path: String) throws -> Inside {
    let namespace = SharedDescriptor(try Sys.open("/proc/thread-self/ns/net"))
    var socket = try NetlinkSocket(.route)
    try Sys.mount("/proc/thread-self/ns/net", path, flags: UInt(MS_BIND))
    // before an interface is there, so that none gets an address of its own; networks with IPv6 switch it on for theirs
    try Sysctl.write("net/ipv6/conf/default/disable_ipv6", "1", optional: true)
    var batch = NetlinkBatch()
    batch.setLink(1, up: true, name: "lo")
    try socket.execute(batch)
    return Inside(namespace: namespace, socket: socket, resolver: try ResolverSockets())
  }
}

/// A namespace that the thread has left again, and a socket in it.
final class Inside {
  let namespace: SharedDescriptor
  var socket: NetlinkSocket
  let resolver: ResolverSockets?

  init(namespace: SharedDescriptor, socket: consuming NetlinkSocket, resolver: ResolverSockets? = nil) {
    self.namespace = namespace
    self.socket = socket
    self.resolver = resolver
  }
}

/// Kernel parameters of the calling thread's network namespace (proc_sys_net(5)).
enum Sysctl {
  /// `optional`: a kernel without that parameter (IPv6 turned off) is fine.
  static func write(_ name: String, _ value: String, optional: Bool = false) throws(SyscallError) {
    do throws(SyscallError) {
      try Sys.writeFile("/proc/sys/\(name)", value)
    } catch  where optional && error.errno == .noSuchFile {}
  }

  static func read(_ name: String) throws(SyscallError) -> String {
    let bytes = try Sys.readFile("/proc/sys/\(name)", limit: 4096)
    return String(decoding: bytes, as: UTF8.self).filter { $0 != "\n" }
  }
}

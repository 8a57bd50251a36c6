import CLinux
import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

extension Plumber {
  /// A namespace with `lo` up, bound under the exec root; of the kind `bridge` plugged in, addressed and routed too.
  mutating func make(_ kind: Sandbox.Kind) throws -> Sandbox {
    guard !lost else { throw EngineError.system("the network thread has lost the host's network namespace") }
    let slot = String(nextSlot, radix: 36)
    nextSlot += 1
    let path = "\(core.names.netnsDirectory)/\(slot)"
    try Self.createMountPoint(path, in: core.names.netnsDirectory)
    do {
      return try make(kind, slot, path)
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

  private mutating func make(_ kind: Sandbox.Kind, _ slot: String, _ path: String) throws -> Sandbox {
    var inside = try enter(path, disableIPv6: kind == .bridge)
    guard kind == .bridge else { return Sandbox(kind: kind, path: path, plug: nil) }
    return Sandbox(kind: kind, path: path, plug: try plug(slot, &inside))
  }

  /// A new namespace, as a descriptor and as a mount on `path`, and a socket in it. The thread is home again afterwards.
  private mutating func enter(_ path: String, disableIPv6: Bool) throws -> Inside {
    try Sys.unshare(CLONE_NEWNET)
    let result: Result<Inside, any Error>
    do { result = .success(try Self.bindOwnNamespace(path, disableIPv6: disableIPv6)) } catch {
      result = .failure(error)
    }
    try comeHome()
    var inside = try result.get()
    var batch = NetlinkBatch()
    batch.setLink(1, up: true, name: "lo")
    try inside.socket.execute(batch)
    return inside
  }

  /// In a namespace that the thread has just entered.
  private static func bindOwnNamespace(_ path: String, disableIPv6: Bool) throws -> Inside {
    let namespace = try Sys.open("/proc/thread-self/ns/net")
    let socket = try NetlinkSocket(.route)
    try Sys.mount("/proc/thread-self/ns/net", path, flags: UInt(MS_BIND))
    // before eth0 is there, so that it never gets an address of its own
    if disableIPv6 { try Sysctl.write("net/ipv6/conf/default/disable_ipv6", "1", optional: true) }
    return Inside(namespace: namespace, socket: socket)
  }

  private mutating func comeHome() throws(SyscallError) {
    do throws(SyscallError) { try Sys.setns(home.raw, CLONE_NEWNET) } catch {
      lost = true
      throw error
    }
  }

  /// A veth between bridge and namespace, with an address of the pool.
  private mutating func plug(_ slot: String, _ inside: inout Inside) throws -> Sandbox.Plug {
    let (address, subnet, bridge) = try core.state.withLock { state in
      guard let subnet = state.subnet else { throw EngineError.system("the bridge is not there yet") }
      guard let address = state.addresses?.take() else {
        throw EngineError.system(
          "no available IPv4 addresses on this network's address pools: bridge (\(state.identities.bridge.id))")
      }
      return (address, subnet, state.bridgeIndex)
    }
    do {
      let hardware = HardwareAddress(for: address)
      let name = core.names.vethPrefix + slot
      var batch = NetlinkBatch()
      batch.addVeth(
        name, master: bridge, mtu: core.configuration.effectiveMTU, peer: "eth0", peerAddress: hardware,
        peerNamespace: inside.namespace.raw)
      try links.execute(batch)
      guard let outer = try links.link(named: name) else {
        throw NetlinkError("get link", name, .noSuchDevice)
      }
      batch = NetlinkBatch()
      batch.setHairpin(outer.index, name: name)
      try links.execute(batch)
      guard let inner = try inside.socket.link(named: "eth0"), let own = IPv4Subnet(address, prefix: subnet.prefix)
      else {
        throw NetlinkError("get link", "eth0", .noSuchDevice)
      }
      batch = NetlinkBatch()
      batch.addAddress(own, link: inner.index)
      batch.setLink(inner.index, up: true, name: "eth0")
      batch.addRoute(gateway: subnet.address, link: inner.index)
      try inside.socket.execute(batch)
      return Sandbox.Plug(hostInterface: name, hostIndex: outer.index, address: address, hardwareAddress: hardware)
    } catch {
      core.state.withLock { $0.addresses?.give(back: address) }
      throw error
    }
  }

  /// Another hardware address for a sandbox that was made with the default one.
  mutating func setHardwareAddress(_ address: HardwareAddress, of sandbox: Sandbox) throws {
    guard !lost else { throw EngineError.system("the network thread has lost the host's network namespace") }
    let namespace = try Sys.open(sandbox.path)
    try Sys.setns(namespace.raw, CLONE_NEWNET)
    let result: Result<Void, any Error>
    do { result = .success(try Self.setOwnHardwareAddress(address)) } catch { result = .failure(error) }
    try comeHome()
    try result.get()
  }

  private static func setOwnHardwareAddress(_ address: HardwareAddress) throws {
    var socket = try NetlinkSocket(.route)
    guard let link = try socket.link(named: "eth0") else { throw NetlinkError("get link", "eth0", .noSuchDevice) }
    var batch = NetlinkBatch()
    batch.setLink(link.index, address: address, name: "eth0")
    try socket.execute(batch)
  }

  /// Lets a sandbox go: the last reference to the namespace takes the veth along, some milliseconds later.
  mutating func release(_ drop: State.Drop) {
    let plug = drop.sandbox.plug
    if let plug { core.state.withLock { $0.leaving[plug.hostIndex] = plug.address } }
    unbind(drop.sandbox.path)
    guard let plug else { return }
    if drop.deleteLink { delete([plug.hostIndex]) }
    do {
      if drop.forgetConnections { try forgetConnections(to: plug.address) }
      // it may have gone before we waited for its notice
      let present = try links.link(named: plug.hostInterface)
      if present?.index != plug.hostIndex { gone([plug.hostIndex]) }
    } catch {
      core.logger.error("release network of \(plug.address): \(error)")
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

/// A namespace that the thread has left again, and a socket in it.
private struct Inside: ~Copyable {
  let namespace: Descriptor
  var socket: NetlinkSocket
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

import CLinux
import Kernel
import Netlink
import OCI

/// `linux.netDevices`: interfaces of the host that move into the container's network namespace (config-linux.md, specification 1.3).
///
/// The kernel takes an interface down and its addresses away when it moves. They are given back there, the permanent ones of global scope;
/// MTU and hardware address go along by themselves.
struct NetDevices {
  private let names: [(host: String, container: String)]

  /// Checked before anything is made.
  init(_ linux: RuntimeSpec.Linux) throws(LaunchFailure) {
    var names: [(host: String, container: String)] = []
    for (host, container) in linux.netDevices.sorted(by: { $0.key < $1.key }) {
      let path = "linux.netDevices[\"\(host)\"]"
      guard linux.namespace(.network) != nil else {
        throw ConfigurationCheck.refusal(path, "the container needs a network namespace of its own")
      }
      for name in [host, container] where !Self.isName(name) {
        throw ConfigurationCheck.refusal(path, "\"\(name)\" is no interface's name")
      }
      guard !names.contains(where: { $0.container == container }) else {
        throw ConfigurationCheck.refusal(path + ".name", "\"\(container)\" is given twice")
      }
      names.append((host, container))
    }
    self.names = names
  }

  var isEmpty: Bool { names.isEmpty }

  /// dev_valid_name of the kernel: 1 to 15 bytes, no slash, colon or space, neither `.` nor `..`.
  static func isName(_ name: String) -> Bool {
    (1..<16).contains(name.utf8.count) && name != "." && name != ".."
      && name.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
  }

  /// Moves them all, in the parent: only who is in the host's namespace may.
  func move(into namespace: borrowing Descriptor) throws(LaunchFailure) {
    for (host, container) in names {
      do throws(NetlinkError) { try Self.move(host, to: container, namespace.raw) } catch {
        throw LaunchFailure(
          step: "namespaces", errno: error.errno.rawValue, object: host,
          message: "linux.netDevices[\"\(host)\"]: \(error)")
      }
    }
  }

  private static func move(_ name: String, to newName: String, _ namespace: Int32) throws(NetlinkError) {
    var here = try NetlinkSocket(.route)
    guard let link = try here.link(named: name) else { throw NetlinkError("find link", name, .noSuchDevice) }
    let addresses = try here.addresses().filter { $0.link == link.index && $0.isGlobal }.map(\.subnet)
    let addresses6 = try here.addresses6().filter { $0.link == link.index && !$0.subnet.address.isLinkLocal }.map(
      \.subnet)
    var batch = NetlinkBatch()
    batch.moveLink(link.index, to: newName, namespace: namespace, from: name)
    try here.execute(batch)

    var there = try Self.socket(in: namespace)
    // Its number may be another there.
    guard let moved = try there.link(named: newName) else { throw NetlinkError("find link", newName, .noSuchDevice) }
    batch = NetlinkBatch()
    for subnet in addresses { batch.addAddress(subnet, link: moved.index) }
    for subnet in addresses6 { batch.addAddress(subnet, link: moved.index) }
    batch.setLink(moved.index, up: true, name: newName)
    try there.execute(batch)
  }

  /// A socket belongs to the namespace that it was opened in: entered for that moment by this process, which has one thread.
  private static func socket(in namespace: Int32) throws(NetlinkError) -> NetlinkSocket {
    let flag = Int32(truncatingIfNeeded: RuntimeSpec.NamespaceKind.network.cloneFlag)
    let own = try attempt { () throws(SyscallError) in try Sys.open("/proc/self/ns/net") }
    try attempt { () throws(SyscallError) in try Sys.setns(namespace, flag) }
    let result: Result<NetlinkSocket, NetlinkError>
    do throws(NetlinkError) { result = .success(try NetlinkSocket(.route)) } catch { result = .failure(error) }
    try attempt { () throws(SyscallError) in try Sys.setns(own.raw, flag) }
    return try result.get()
  }

  private static func attempt<T: ~Copyable>(_ body: () throws(SyscallError) -> T) throws(NetlinkError) -> T {
    do throws(SyscallError) { return try body() } catch { throw NetlinkError(error.call, error.object, error.errno) }
  }
}

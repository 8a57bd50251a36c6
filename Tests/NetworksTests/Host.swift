import CLinux
import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization
import Testing

@testable import Networks

/// A host of the test's own: a network namespace, a scratch folder, the networks in it. Goes without a trace, or the test fails.
final class Host: Sendable {
  let folder: String
  let networks: Networks
  let namespace: SharedDescriptor
  let store = TransientNetworkStore()

  private init(folder: String, configure: (inout Networks.Configuration) -> Void) throws {
    self.folder = folder
    namespace = SharedDescriptor(try Sys.open("/proc/thread-self/ns/net"))
    networks = try Self.networks(folder, store, configure)
  }

  private static func networks(
    _ folder: String, _ store: TransientNetworkStore, _ configure: (inout Networks.Configuration) -> Void
  ) throws -> Networks {
    var configuration = Networks.Configuration(dataRoot: "\(folder)/data", execRoot: "\(folder)/run")
    configure(&configuration)
    return try Networks(configuration: configuration, logger: Logger(label: "test"), store: store)
  }

  /// Runs `body` on a new host's thread, with the networks reconciled.
  static func run(
    _ configure: @escaping @Sendable (inout Networks.Configuration) -> Void = { _ in },
    prepare: @escaping @Sendable () throws -> Void = {}, _ body: @escaping @Sendable (Host) async throws -> Void
  ) async throws {
    try await NamespaceExecutor.run {
      var template = Array("/tmp/berth-networks-XXXXXX".utf8CString)
      guard let made = mkdtemp(&template) else { throw SyscallError("mkdtemp", "/tmp", .current) }
      let folder = String(cString: made)
      var links = try NetlinkSocket(.route)
      var batch = NetlinkBatch()
      batch.setLink(1, up: true)
      try links.execute(batch)

      try prepare()
      let host = try Host(folder: folder, configure: configure)
      var failure: (any Error)?
      do {
        try await host.networks.reconcile(live: [])
        try await body(host)
      } catch { failure = error }
      for id in host.networks.core.state.withLock({ Array($0.attachments.keys) }) {
        host.networks.release(containerID: id)
      }
      await host.networks.close()
      let mounts = String(decoding: try Sys.readFile("/proc/self/mounts"), as: UTF8.self)
      #expect(!mounts.contains(folder), "mounts are left")
      try Sys.removeTree(folder)
      if let failure { throw failure }
    }
  }

  /// What the next daemon would be, on the same folders.
  /// Made with the host's: it outlives a daemon as the database does.
  func successor(_ configure: (inout Networks.Configuration) -> Void = { _ in }) throws -> Networks {
    try Self.networks(folder, store, configure)
  }

  /// 64 digits, from a small number.
  static func id(_ number: Int) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 64 - digits.count) + digits
  }

  func attach(
    _ number: Int, mode: NetworkMode = .bridge, _ bindings: [PortBinding] = [], exposed: [ContainerPort] = [],
    publishAll: Bool = false, macAddress: String? = nil
  ) async throws -> Endpoint {
    try await networks.attach(
      AttachRequest(
        containerID: Self.id(number), containerName: "c\(number)", mode: mode, bindings: bindings, exposed: exposed,
        publishAll: publishAll, macAddress: macAddress))
  }

  /// On networks of the user's, with what is asked of each.
  func attach(
    _ number: Int, on networks: [EndpointRequest], _ bindings: [PortBinding] = [], name: String? = nil
  ) async throws -> Endpoint {
    var request = AttachRequest(
      containerID: Self.id(number), containerName: name ?? "c\(number)", mode: .named(networks[0].network),
      bindings: bindings)
    request.endpoints = networks
    request.hostname = "host\(number)"
    return try await self.networks.attach(request)
  }

  @discardableResult
  func create(_ name: String, _ change: (inout NetworkDraft) -> Void = { _ in }) async throws -> NetworkDetails {
    var draft = NetworkDraft()
    draft.name = name
    change(&draft)
    return try networks.inspect(try await networks.create(draft).id)
  }

  func release(_ number: Int) { networks.release(containerID: Self.id(number)) }

  /// A server for one connection in a container: its `value` is the address that the connection came from.
  func serve(_ endpoint: Endpoint, _ port: UInt16, _ name: String) throws -> Background<String> {
    let namespace = try open(endpoint)
    let listener = try within(namespace) { try Peer.listen(port) }
    return try Background(namespace) { try Peer.serve(listener, name) }
  }

  /// A container's namespace.
  func open(_ endpoint: Endpoint) throws -> SharedDescriptor {
    SharedDescriptor(try Sys.open(try #require(endpoint.namespacePath)))
  }

  /// Runs in a container's namespace.
  func inside<T: Sendable>(_ endpoint: Endpoint, _ body: @escaping @Sendable () throws -> T) throws -> T {
    try within(try open(endpoint), body)
  }

  /// What a server tells somebody in that namespace.
  func ask(from namespace: SharedDescriptor, _ address: String, _ port: UInt16) throws -> String {
    try within(namespace) { try Peer.ask(address, port) }
  }

  /// What a server tells a container.
  func ask(from endpoint: Endpoint, _ address: String, _ port: UInt16) throws -> String {
    try inside(endpoint) { try Peer.ask(address, port) }
  }

  /// Another host, 198.51.100.2, on a wire to this one, 198.51.100.1, which it sends everything else to.
  func neighbour() throws -> SharedDescriptor {
    let neighbour = try within(namespace) {
      try Sys.unshare(CLONE_NEWNET)
      return SharedDescriptor(try Sys.open("/proc/thread-self/ns/net"))
    }
    var links = try NetlinkSocket(.route)
    var batch = NetlinkBatch()
    let hardware = try #require(HardwareAddress("02:42:c6:33:64:02"))
    batch.addVeth(
      "wire0", master: 0, mtu: 1500, peer: "eth0", peerAddress: hardware, peerNamespace: neighbour.raw)
    try links.execute(batch)
    let wire = try #require(try links.link(named: "wire0")).index
    let own = try #require(IPv4Subnet("198.51.100.1/24"))
    batch = NetlinkBatch()
    batch.addAddress(own, link: wire)
    try links.execute(batch)
    try within(neighbour) {
      var links = try NetlinkSocket(.route)
      let eth0 = try #require(try links.link(named: "eth0")).index
      var batch = NetlinkBatch()
      batch.addAddress(try #require(IPv4Subnet("198.51.100.2/24")), link: eth0)
      batch.setLink(eth0, up: true)
      batch.addRoute(gateway: own.address, link: eth0)
      try links.execute(batch)
    }
    return neighbour
  }

  /// Names of the veths of containers and pool.
  func veths() throws -> [String] {
    var links = try NetlinkSocket(.route)
    return try links.links().map(\.name).filter { $0.hasPrefix(networks.core.names.vethPrefix) }
  }

  /// Waits for the kernel's notices until the pool is full and nothing is being taken away any more.
  func settle() async throws {
    var notices = try NetlinkSocket(.route)
    try notices.join(1)
    let deadline = Sys.monotonicNanoseconds() + 60_000_000_000
    while Sys.monotonicNanoseconds() < deadline {
      let quiet = networks.core.state.withLock { state in
        state.leaving.isEmpty && state.drops.isEmpty && state.ready[.bridge]?.count == networks.configuration.poolSize
          && state.ready[Sandbox.Kind.none]?.count == min(2, networks.configuration.poolSize)
      }
      if quiet { return }
      var polled = pollfd(fd: notices.raw, events: Int16(POLLIN), revents: 0)
      _ = poll(&polled, 1, 100)
      _ = try notices.notices()
    }
    Issue.record("the pool is not quiet after a minute")
  }
}

extension PortBinding {
  init(_ port: UInt16, on hostPort: String, _ hostIP: String = "", _ transport: ContainerPort.Transport = .tcp) {
    self.init(port: ContainerPort(port, transport), hostIP: hostIP, hostPort: hostPort)
  }
}

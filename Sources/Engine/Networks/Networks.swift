import Errdefs
import Kernel
public import Logging
import Netlink
import Synchronization

/// The networks `bridge`, `host`, `none` and those that users make: network namespaces, addresses, published ports and the files that name hosts.
///
/// Owns
/// - the bridges (`berth0`, and `br-…` for each network of a user's), their subnets and the addresses given out of them;
/// - names: a resolver (`Resolver`) that answers in every namespace at 127.0.0.11;
/// - a small pool of network namespaces made ahead, each with a veth on the bridge, its address, its default route and `lo` up, so that
///   attaching a container touches no RTNL lock, which the kernel holds for 20 ms and more while it takes dead namespaces apart;
/// - the nftables table `berth` (family inet): masquerading, published ports as map elements, isolation of what isn't published;
/// - a socket bound for each published port, so that a process of the host gets EADDRINUSE instead of being shadowed.
///
/// States of a sandbox: being made → pooled → attached to a container → released (its mount goes; the kernel takes veth and
/// namespace away on its own). An address is free again when the kernel tells that the veth is gone.
///
/// On disk
/// ```
/// <data-root>/networks.json         ids, times of creation and the subnet of the bridge: made once, durable
/// <exec-root>/netns/<slot>          a bound network namespace (nsfs); the slot is also the end of the veth's name
/// ```
/// The users' networks are in the store (`NetworkStore`, the engine's database). Which container has which slot, address and ports is in the containers' own records (`Endpoint`); `reconcile(live:)` takes them
/// in at start, and sweeps what nobody has.
///
/// Threads: one of its own (`Plumber`), since unshare(2) and setns(2) act on a thread: it makes and drops namespaces and listens
/// to the kernel's notices (a table flushed by others is asserted again). Callers come from anywhere; what they do under the lock
/// `state` is memory only. nftables batches (6 to 60 µs) run in the caller, in order, under the lock of their socket, `firewall`.
/// Lock order: `firewall` before `state`.
///
/// Must not: run `ip`, `nft` or `iptables`, touch the FORWARD policy or anybody else's table, or block a caller on RTNL.
public final class Networks: Sendable {
  /// What the daemon's flags and configuration file say about networks.
  public struct Configuration: Sendable {
    public static let defaultExecRoot = "/run/berth"

    public var dataRoot: String
    public var execRoot: String
    /// `--bridge`: a bridge of that name, made when missing and never deleted. nil: `berth0`, or a name made from the exec root when that
    /// isn't the default one, so that two daemons on a host keep apart.
    public var bridgeName: String?
    /// `--bip`: address and prefix of the bridge, `172.17.0.1/16`; nil: chosen away from the host's routes.
    public var bridgeAddress: String?
    /// `--fixed-cidr`: the part of the bridge's subnet that addresses are given out of.
    public var addressRange: String?
    /// `--ipv6`: the default bridge has IPv6, of `--bip6` or `--fixed-cidr-v6`, else of a /64 of fd00::/8 that is kept.
    public var enablesV6 = false
    public var bridgeAddress6: String?
    public var addressRange6: String?
    /// `--default-address-pool`: where networks without a subnet have theirs from; empty: Docker's.
    public var addressPools: [AddressPoolBase] = []
    /// `--icc`, `--ip-masq` of the default bridge; `--ip-forward`: switch forwarding on.
    public var reachesPeers = true
    public var masquerades = true
    public var setsForwarding = true
    /// `--userland-proxy`: carry by the daemon what the kernel can't lead (`Forwarder`).
    public var carries = true
    /// `--host-firewall respect`: published ports obey the host's own input rules. What comes from elsewhere is carried by the daemon
    /// then, as what a program of the host listens on; the client's address isn't kept, and SCTP is for the host alone.
    public var respectsHostFirewall = false
    /// `--mtu`; nil: 1500.
    public var mtu: Int?
    /// `--ip`: where ports without an address are published.
    public var defaultBinding = "0.0.0.0"
    /// `--host-gateway-ip`: what `host-gateway` in `--add-host` means; nil: the bridge's own address.
    public var hostGateway: String?
    /// `--dns`, `--dns-search`, `--dns-opt` of the daemon.
    public var dns: [String] = []
    public var dnsSearch: [String] = []
    public var dnsOptions: [String] = []
    /// Sandboxes made ahead on the bridge.
    public var poolSize = 4

    public init(dataRoot: String, execRoot: String = Configuration.defaultExecRoot) {
      self.dataRoot = dataRoot
      self.execRoot = execRoot
    }

    var effectiveMTU: UInt32 { UInt32(clamping: mtu ?? 1500) }
  }

  public var configuration: Configuration { core.configuration }
  let core: Core
  let tell: @Sendable (NetworkEvent) -> Void
  private let thread: Mutex<Thread?>

  /// Reads or makes `networks.json` and starts the thread, in the caller's network namespace; nothing is configured until `reconcile`.
  /// Whoever makes one closes it.
  /// - Throws: 400 for configuration that can't be, else what the kernel refused.
  public init(
    configuration: Configuration, logger: Logger, store: any NetworkStore = TransientNetworkStore(),
    tell: @escaping @Sendable (NetworkEvent) -> Void = { _ in }
  ) throws {
    if let name = configuration.bridgeName, !(1...Netlink.nameLimit).contains(name.utf8.count) || name.contains("/") {
      throw EngineError.invalidParameter("invalid bridge name \"\(name)\"")
    }
    if configuration.bridgeName == "none" {
      throw EngineError.notImplemented("a daemon without a default bridge (--bridge none) is not built yet")
    }
    if let mtu = configuration.mtu, !(68...65535).contains(mtu) {
      throw EngineError.invalidParameter("invalid MTU \(mtu)")
    }
    _ = try configuration.bridgeAddress.map { try SubnetChoice.parse($0) }
    try Sys.mkdirAll(configuration.dataRoot, mode: 0o711)
    let (identities, damaged) = try NetworkIdentities.load(Core.Names(configuration).identities)
    if let damaged { logger.error("networks.json could not be read: kept as \(damaged), the networks have new ids") }
    let core = try Core(configuration: configuration, logger: logger, identities: identities, store: store)
    self.core = core
    self.tell = tell
    let thread = try Thread(name: "networks") {
      do {
        var plumber = try Plumber(core)
        plumber.run()
        core.refuse(EngineError.unavailable)
      } catch {
        core.logger.error("network thread: \(error)")
        core.refuse(error)
      }
    }
    self.thread = Mutex(consume thread)
    try core.resolver.start(core)
  }

  /// Once at daemon start, before anything else: makes bridge, table and pool, adopts the sandboxes of live containers, sweeps the rest.
  public func reconcile(live: [Endpoint]) async throws {
    try await core.onThread { plumber in try plumber.reconcile(live: live) }
    core.signal()
  }

  /// The container has another name now: what inspect of its network shows.
  public func rename(containerID: String, to name: String) {
    core.state.withLock { state in
      guard var attachment = state.attachments[containerID] else { return }
      state.names.remove(attachment.endpoint)
      attachment.endpoint.rename(to: name)
      state.attachments[containerID] = attachment
      state.names.insert(attachment.endpoint)
    }
  }

  /// What an administrator should know (`docker info`'s Warnings): forwarding denied by others, missing kernel features.
  public var warnings: [String] { core.state.withLock { $0.warnings } }

  /// The contents of `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` for a container. Not for `container:ID`: it shares the other's.
  /// - Throws: 400 for an extra host or a DNS option that can't be.
  public func files(for request: NameFiles.Request, endpoint: Endpoint) throws -> NameFiles {
    var host = (try? Sys.readFile("/etc/resolv.conf", limit: 1 << 20)) ?? []
    // systemd-resolved's stub listens on the host's loopback only; what it asks is in the other file
    if endpoint.mode != .host, ResolvConf(file: host).nameservers == ["127.0.0.53"],
      let real = try? Sys.readFile("/run/systemd/resolve/resolv.conf", limit: 1 << 20)
    {
      host = real
    }
    let gateway = configuration.hostGateway ?? core.state.withLock { $0.subnet?.address.description } ?? "127.0.0.1"
    return try NameFiles(
      request, endpoint: endpoint,
      defaults: NameFiles.Defaults(
        dns: configuration.dns, dnsSearch: configuration.dnsSearch, dnsOptions: configuration.dnsOptions,
        hostGateway: gateway,
        hostResolvConf: host))
  }

  /// The line of `/etc/hosts` that a container has for one of its networks; nil without an address.
  public static func hostsLine(_ request: NameFiles.Request, _ interface: Endpoint.Interface) -> String? {
    NameFiles.ownLines(request, interface)
  }

  /// Ends the thread. The pool goes, and with no container attached the bridge and the table too; containers' sandboxes stay.
  public func close() async { await end { $0.close() } }

  /// Ends the thread as a crash would: everything stays as it is. For tests of what the next daemon finds.
  func abandon() async {
    await end { $0.stop() }
    // sockets hold ports, and the namespaces that they are in; a process that ends has none
    core.state.withLock { state in
      state.ready = [:]
      for id in state.attachments.keys {
        state.attachments[id]?.sandbox = nil
        state.attachments[id]?.reservations = []
      }
    }
  }

  private func end(_ last: @escaping @Sendable (inout Plumber) -> Void) async {
    try? await core.onThread { last(&$0) }
    core.resolver.close()
    core.forwarder.close()
    // the thread's last job is done: it ends without waiting for anything
    thread.withLock { thread in
      guard let running = thread.take() else { return }
      running.join()
    }
  }
}

public import Logging
import Errdefs
import Kernel
import Netlink
import OCI

/// The networks `bridge`, `host` and `none`: network namespaces, addresses, published ports and the files that name hosts.
///
/// Owns
/// - the bridge (`berth0`), its subnet and the addresses given out of it;
/// - a small pool of network namespaces made ahead, each with a veth on the bridge, its address, its default route and `lo` up, so that
///   attaching a container touches no RTNL lock, which the kernel holds for 20 ms and more while it takes dead namespaces apart;
/// - the nftables table `berth` (family ip): masquerading, published ports as map elements, isolation of what isn't published;
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
/// Which container has which slot, address and ports is in the containers' own records (`Endpoint`); `reconcile(live:)` takes them
/// in at start, and sweeps what nobody has.
///
/// Threads: one of its own (`Plumber`), since unshare(2) and setns(2) act on a thread: it makes and drops namespaces and listens
/// to the kernel's notices (a table flushed by others is asserted again). Callers come from anywhere; what they do under the lock
/// `state` is memory only. nftables batches (6 to 60 µs) run in the caller, in order, under the lock of their socket.
/// Lock order: `state` before nothing; `tables` before `state`.
///
/// Must not: run `ip`, `nft` or `iptables`, touch the FORWARD policy or anybody else's table, or block a caller on RTNL.
public final class Networks: Sendable {
  /// What the daemon's flags and configuration file say about networks.
  public struct Configuration: Sendable {
    public var dataRoot: String
    public var execRoot: String
    /// `--bridge`: the name of the bridge that `bridge` stands for; made when missing.
    public var bridgeName = "berth0"
    /// `--bip`: address and prefix of the bridge, `172.17.0.1/16`; nil: chosen away from the host's routes.
    public var bridgeAddress: String?
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
    /// Sandboxes made ahead, of each kind (bridge, none).
    public var poolSize = 4

    public init(dataRoot: String, execRoot: String) {
      self.dataRoot = dataRoot
      self.execRoot = execRoot
    }
  }

  public let configuration: Configuration
  let logger: Logger

  /// Reads or makes `networks.json`; the kernel is untouched until `reconcile`.
  public init(configuration: Configuration, logger: Logger) throws {
    self.configuration = configuration
    self.logger = logger
  }

  /// Once at daemon start, before anything else: makes bridge, table and pool, adopts the sandboxes of live containers, sweeps the rest.
  public func reconcile(live: [Endpoint]) async throws {
    throw EngineError.notImplemented("networks are not built yet")
  }

  /// Gives a container its sandbox: a namespace from the pool, its address, its ports published.
  /// - Throws: Docker's texts; 409 when a container to join doesn't run, 500 when a port is taken.
  public func attach(_ request: AttachRequest) async throws -> Endpoint {
    throw EngineError.notImplemented("networks are not built yet")
  }

  /// Takes ports down at once and the sandbox behind the caller's back. Unknown ids are no error.
  public func release(containerID: String) {}

  /// The container has another name now: what inspect of its network shows.
  public func rename(containerID: String, to name: String) {}

  /// `bridge`, `host`, `none`.
  public func list() -> [NetworkDetails] { [] }

  /// By name, id or a prefix of the id that is unique. - Throws: 404 `network NAME not found`.
  public func inspect(_ nameOrID: String) throws -> NetworkDetails {
    throw EngineError.notFound("network \(nameOrID) not found")
  }

  /// Counters of a container's interfaces as the container sees them, by interface name; empty without a sandbox of its own.
  public func statistics(containerID: String) throws -> [(interface: String, counters: InterfaceCounters)] { [] }

  /// What an administrator should know (`docker info`'s Warnings): forwarding denied by others, missing kernel features.
  public var warnings: [String] { [] }

  /// The contents of `/etc/hostname`, `/etc/hosts` and `/etc/resolv.conf` for a container. Not for `container:ID`: it shares the other's.
  public func files(for request: NameFiles.Request, endpoint: Endpoint) throws -> NameFiles {
    throw EngineError.notImplemented("networks are not built yet")
  }

  /// Ends the thread, and drops the sandboxes of the pool; those of containers stay.
  public func close() async {}
}

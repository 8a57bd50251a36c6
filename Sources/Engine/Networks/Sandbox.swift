import Netlink

/// A network namespace made ahead, bound at `path`.
struct Sandbox: Sendable {
  enum Kind: Sendable, Hashable {
    /// With `eth0` on the bridge, addressed and routed.
    case bridge
    /// With `lo` alone.
    case none
  }

  let kind: Kind
  let path: String
  /// Of the kind `bridge`.
  let plug: Plug?
  /// nil where the kernel has no nf_tables, and until the next daemon has opened them again.
  let resolver: ResolverSockets?

  /// An interface in a namespace, on one network.
  struct Plug: Sendable, Equatable {
    /// The network's id.
    let network: String
    /// In the container: `eth0`.
    let name: String
    /// The veth's end on the host, and its index there; empty and 0 for a macvlan.
    let hostInterface: String
    let hostIndex: Int32
    let address: IPv4Address?
    let address6: IPv6Address?
    let hardwareAddress: HardwareAddress
  }
}

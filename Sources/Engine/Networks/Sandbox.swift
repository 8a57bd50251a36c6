import Netlink

/// A network namespace made ahead, bound at `path`.
struct Sandbox: Sendable, Equatable {
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

  struct Plug: Sendable, Equatable {
    /// The veth's end on the host, and its index there.
    let hostInterface: String
    let hostIndex: Int32
    let address: IPv4Address
    let hardwareAddress: HardwareAddress
  }
}

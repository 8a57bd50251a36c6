public import Errdefs
import Netlink

/// A range of addresses to cut networks' subnets out of: `--default-address-pool base=10.10.0.0/16,size=24`.
public struct AddressPoolBase: Sendable, Equatable {
  enum Base: Sendable, Equatable {
    case v4(IPv4Subnet)
    case v6(IPv6Subnet)
  }
  let base: Base
  /// The prefix of the subnets.
  let size: Int

  /// `base`: a network with its prefix. - Throws: 400 for one that is none, and for a size that isn't in it.
  public init(base: String, size: Int) throws(EngineError) {
    if let v4 = IPv4Subnet(base), v4.canonical == base {
      self.base = .v4(v4)
      guard (v4.prefix...30).contains(size) else {
        throw .invalidParameter("invalid default address pool: subnets of /\(size) aren't in \(base)")
      }
    } else if let v6 = IPv6Subnet(base), v6.canonical == base {
      self.base = .v6(v6)
      guard (v6.prefix...120).contains(size) else {
        throw .invalidParameter("invalid default address pool: subnets of /\(size) aren't in \(base)")
      }
    } else {
      throw .invalidParameter("invalid default address pool: base \"\(base)\" is no network as 10.10.0.0/16")
    }
    self.size = size
  }

  /// The subnets in order, with the first address of each; of huge ranges the first million.
  var subnets4: some Sequence<IPv4Subnet> {
    let (base, size) = (v4, size)
    let count = base.map { UInt32(1) << UInt32(size - $0.prefix) } ?? 0
    return (0..<count).lazy.compactMap { index in
      guard let base else { return nil }
      return IPv4Subnet(IPv4Address(bits: base.network.bits + index << UInt32(32 - size) + 1), prefix: size)
    }
  }

  var subnets6: some Sequence<IPv6Subnet> {
    let (base, size) = (v6, size)
    let count = base.map { UInt64(1) << UInt64(min(size - $0.prefix, 20)) } ?? 0
    return (UInt64(0)..<count).lazy.compactMap { index in
      guard let base else { return nil }
      let shift = UInt64(128 - size)
      let network = base.network
      // a subnet's number may be in either half of an address
      let high =
        shift >= 64 ? network.high | index << (shift - 64) : network.high | (shift > 44 ? index >> (64 - shift) : 0)
      let low = shift >= 64 ? network.low : network.low | index << shift
      return IPv6Subnet(IPv6Address(high: high, low: low), prefix: size)
    }
  }

  var isV4: Bool { v4 != nil }
  func contains(_ subnet: IPv4Subnet) -> Bool { subnet.prefix == size && v4?.contains(subnet.network) == true }

  private var v4: IPv4Subnet? { if case .v4(let base) = base { base } else { nil } }
  private var v6: IPv6Subnet? { if case .v6(let base) = base { base } else { nil } }
}

import Errdefs
import Netlink

/// Which port of the host belongs to which container, and the choice of free ones. What else on the host listens is found out by
/// binding (`PortReservation`).
struct PortTable: Sendable {
  private struct Key: Hashable {
    let transport: ContainerPort.Transport
    let port: UInt16
  }

  /// Addresses on which a port is taken; 0.0.0.0 conflicts with all of its family, [::] likewise.
  private var taken: [Key: Set<IPAddress>] = [:]
  /// Where the search for any free port goes on, as Docker's does.
  private var cursor: UInt16 = 0

  func isFree(_ port: UInt16, _ transport: ContainerPort.Transport, on address: IPAddress) -> Bool {
    guard let addresses = taken[Key(transport: transport, port: port)] else { return true }
    return !addresses.contains { other in
      other.isV6 == address.isV6 && (other == address || other.isUnspecified || address.isUnspecified)
    }
  }

  /// On all of these addresses, or on none: then the first on which it's taken.
  mutating func take(_ port: UInt16, _ transport: ContainerPort.Transport, on addresses: [IPAddress]) -> IPAddress? {
    if let address = addresses.first(where: { !isFree(port, transport, on: $0) }) { return address }
    taken[Key(transport: transport, port: port), default: []].formUnion(addresses)
    return nil
  }

  mutating func give(back port: UInt16, _ transport: ContainerPort.Transport, on address: IPAddress) {
    let key = Key(transport: transport, port: port)
    taken[key]?.remove(address)
    if taken[key]?.isEmpty == true { taken[key] = nil }
  }

  /// The next port of the range after the last choice that is free here; nil when all are taken.
  mutating func takeAny(
    of range: ClosedRange<UInt16>, _ transport: ContainerPort.Transport, on addresses: [IPAddress],
    excluding tried: Set<UInt16>
  ) -> UInt16? {
    var candidate = range.contains(cursor) ? cursor : range.upperBound
    for _ in range {
      candidate = candidate >= range.upperBound ? range.lowerBound : candidate + 1
      if !tried.contains(candidate), take(candidate, transport, on: addresses) == nil {
        cursor = candidate
        return candidate
      }
    }
    return nil
  }
}

/// Where a container's port shall be published, read from the user's text.
struct PortDemand: Sendable, Equatable {
  enum Choice: Sendable, Equatable {
    case exactly(UInt16)
    case oneOf(ClosedRange<UInt16>)
    case any
  }
  let port: ContainerPort
  /// One, or `0.0.0.0` and `[::]`: a port is the same on both.
  let addresses: [IPAddress]
  let choice: Choice

  /// `dual`: a port without an address is published on `[::]` too, when the default address is `0.0.0.0`.
  /// - Throws: 400 for what is no address or no port
  init(_ binding: PortBinding, defaultAddress: String, dual: Bool = false) throws(EngineError) {
    port = binding.port
    let text = binding.hostIP.isEmpty ? defaultAddress : binding.hostIP
    guard let address = IPAddress(text) else {
      throw .invalidParameter("invalid IP address in port mapping: \(text)")
    }
    addresses =
      binding.hostIP.isEmpty && dual && address == .v4(IPv4Address(bits: 0))
      ? [address, .v6(IPv6Address(high: 0, low: 0))] : [address]
    func number(_ text: Substring) throws(EngineError) -> UInt16 {
      guard let value = UInt16(text), text.utf8.allSatisfy({ (48...57).contains($0) }) else {
        throw .invalidParameter("invalid port specification: \"\(binding.hostPort)\"")
      }
      return value
    }
    let parts = binding.hostPort.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
    switch parts.count {
    case 2:
      let first = try number(parts[0])
      let last = try number(parts[1])
      guard first > 0, first <= last else {
        throw .invalidParameter("invalid port specification: \"\(binding.hostPort)\"")
      }
      choice = first == last ? .exactly(first) : .oneOf(first...last)
    default:
      let value = binding.hostPort.isEmpty ? 0 : try number(Substring(binding.hostPort))
      choice = value == 0 ? .any : .exactly(value)
    }
  }

  /// Exact ports are taken before ranges, ranges before any: none takes what another insists on.
  var rank: Int {
    switch choice {
    case .exactly: 0
    case .oneOf: 1
    case .any: 2
    }
  }
}

import Errdefs
import Kernel
import Logging
import Netlink
import OCI
import Synchronization

/// What a user asks of a new network: `POST /networks/create`.
public struct NetworkDraft: Sendable {
  public var name = ""
  /// Empty: `bridge`.
  public var driver = ""
  public var isInternal = false
  public var isAttachable = false
  public var enableIPv4 = true
  public var enableIPv6 = false
  /// Empty, or `default`.
  public var ipamDriver = ""
  public var ipamOptions: [String: String] = [:]
  public var pools: [Network.Pool] = []
  public var options: [String: String] = [:]
  public var labels: [String: String] = [:]

  public init() {}
}

extension Networks {
  static let predefined: Set<String> = ["bridge", "host", "none", "default"]

  /// Makes a network: durable in the store first, then its bridge. Answers its id and warnings.
  /// - Throws: 400 for what can't be, 403 for subnets that meet others and names that are ours, 409 for a taken name.
  public func create(_ draft: NetworkDraft) async throws -> (id: String, warning: String) {
    guard !draft.name.isEmpty, draft.name.utf8.first.map({ $0 != UInt8(ascii: " ") }) == true else {
      throw EngineError.invalidParameter("invalid name: ")
    }
    if Self.predefined.contains(draft.name) {
      throw EngineError(.forbidden, "operation is not permitted on predefined \(draft.name) network ")
    }
    guard Self.isName(draft.name) else {
      throw EngineError.invalidParameter("invalid name: \(draft.name)")
    }
    let driver = draft.driver.isEmpty || draft.driver == "default" ? "bridge" : draft.driver
    switch driver {
    case "bridge", "macvlan": break
    case "host", "null": throw EngineError(.forbidden, "only one instance of \"\(driver)\" network is allowed")
    case "overlay":
      throw EngineError(
        .forbidden,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."
      )
    case "ipvlan": throw EngineError.notImplemented("ipvlan networks are not built yet: macvlan is")
    default: throw EngineError.notFound("could not find plugin \(driver) in v1 plugin registry: plugin not found")
    }
    if !["", "default", "null"].contains(draft.ipamDriver) {
      throw EngineError.notImplemented("the IPAM driver \(draft.ipamDriver) is not built: default is")
    }
    if !draft.enableIPv4, !draft.enableIPv6 {
      throw EngineError.invalidParameter("IPv4 or IPv6 must be enabled")
    }
    try Self.check(draft)
    guard core.state.withLock({ $0.phase == .running }) else { throw EngineError.unavailable }

    // one network at a time chooses its subnets, on the thread, where the host's routes are read
    let network = try await core.onThread { plumber in try plumber.createNetwork(draft, driver: driver) }
    tell(NetworkEvent(action: "create", networkID: network.id, name: network.name, type: network.driver))
    return (network.id, "")
  }

  /// What `\w[\w.-]*` would say; Docker takes nearly anything, but a name is a host name's part here.
  private static func isName(_ name: String) -> Bool {
    name.utf8.count <= 255
      && name.utf8.allSatisfy { byte in
        byte > 0x20 && byte != 0x7f && byte != UInt8(ascii: "/") && byte != UInt8(ascii: "\\")
      }
  }

  /// api/types/network `ValidateIPAM`
  private static func check(_ draft: NetworkDraft) throws(EngineError) {
    var errors: [String] = []
    for pool in draft.pools {
      let v4 = IPv4Subnet(pool.subnet)
      let v6 = IPv6Subnet(pool.subnet)
      guard v4 != nil || v6 != nil else {
        errors.append("invalid subnet \(pool.subnet): invalid CIDR block notation")
        continue
      }
      if v6 != nil, !draft.enableIPv6 { continue }
      let canonical = v4?.canonical ?? v6?.canonical ?? ""
      if canonical != pool.subnet { errors.append("invalid subnet \(pool.subnet): it should be \(canonical)") }
      let family = v4 != nil ? "IPv4" : "IPv6"
      if !pool.ipRange.isEmpty {
        if let range = IPv4Subnet(pool.ipRange), let v4 {
          if range.prefix < v4.prefix {
            errors.append(
              "invalid ip-range \(pool.ipRange): CIDR block is bigger than its parent subnet \(pool.subnet)")
          }
          if range.canonical != pool.ipRange {
            errors.append("invalid ip-range \(pool.ipRange): it should be \(range.canonical)")
          }
          if !v4.overlaps(range) {
            errors.append(
              "invalid ip-range \(pool.ipRange): parent subnet \(pool.subnet) doesn't contain ip-range")
          }
        } else if let range = IPv6Subnet(pool.ipRange), let v6 {
          if range.prefix < v6.prefix {
            errors.append(
              "invalid ip-range \(pool.ipRange): CIDR block is bigger than its parent subnet \(pool.subnet)")
          }
          if !v6.overlaps(range) {
            errors.append(
              "invalid ip-range \(pool.ipRange): parent subnet \(pool.subnet) doesn't contain ip-range")
          }
        } else if IPv4Subnet(pool.ipRange) == nil, IPv6Subnet(pool.ipRange) == nil {
          errors.append("invalid ip-range \(pool.ipRange): invalid CIDR block notation")
        } else {
          errors.append("invalid ip-range \(pool.ipRange): parent subnet is an \(family) block")
        }
      }
      func problem(_ text: String) -> String? {
        switch IPAddress(text) {
        case nil: return "invalid address"
        case .v4(let address)?:
          guard let v4 else { return "parent subnet is an IPv6 block" }
          return v4.contains(address) ? nil : "parent subnet \(pool.subnet) doesn't contain this address"
        case .v6(let address)?:
          guard let v6 else { return "parent subnet is an IPv4 block" }
          return v6.contains(address) ? nil : "parent subnet \(pool.subnet) doesn't contain this address"
        }
      }
      if !pool.gateway.isEmpty, let problem = problem(pool.gateway) {
        errors.append("invalid gateway \(pool.gateway): \(problem)")
      }
      for (name, address) in pool.auxiliary.sorted(by: { $0.key < $1.key }) {
        if let problem = problem(address) { errors.append("invalid auxiliary address \(name): \(problem)") }
      }
    }
    guard errors.isEmpty else {
      throw .invalidParameter("invalid network config:\n\(errors.joined(separator: "\n"))")
    }
    for v6 in [false, true] where draft.pools.filter({ $0.isV6 == v6 }).count > 1 {
      throw .invalidParameter(
        "bridge driver doesn't support multiple subnets")
    }
  }

  /// Takes a network away. - Throws: 403 for one that is always there or that containers are on, 404.
  public func remove(_ reference: String) async throws {
    let network = try inspect(reference)
    if Self.predefined.contains(network.name) {
      throw EngineError(.forbidden, "\(network.name) is a pre-defined network and cannot be removed")
    }
    if let member = network.members.first {
      throw EngineError(
        .forbidden,
        "error while removing network: network \(network.name) has active endpoints (name:\"\(member.name)\" id:\"\(member.endpointID.prefix(12))\")"
      )
    }
    try await core.onThread { plumber in try plumber.removeNetwork(network.id) }
    tell(NetworkEvent(action: "destroy", networkID: network.id, name: network.name, type: network.driver))
  }

  /// Takes away the users' networks that no running container is on and that `matches` names. Answers their names.
  public func prune(_ matches: @Sendable (NetworkDetails) -> Bool) async throws -> [String] {
    var pruned: [String] = []
    for network in list() where !Self.predefined.contains(network.name) && network.members.isEmpty && matches(network) {
      do {
        try await remove(network.id)
        pruned.append(network.name)
      } catch { core.logger.warning("prune network \(network.name): \(error)") }
    }
    return pruned
  }
}

extension Plumber {
  /// Chooses subnets, writes the record, raises the bridge, then the rules.
  mutating func createNetwork(_ draft: NetworkDraft, driver: String) throws -> Network {
    let taken = core.state.withLock { state in state.segments.values.contains { $0.network.name == draft.name } }
    guard !taken else { throw EngineError.conflict("network with name \(draft.name) already exists") }
    var network = Network(id: randomID(), name: draft.name, created: Sys.realtimeNanoseconds(), driver: driver)
    network.isInternal = draft.isInternal
    network.isAttachable = draft.isAttachable
    network.enableIPv4 = draft.enableIPv4
    network.enableIPv6 = draft.enableIPv6
    network.options = draft.options
    network.labels = draft.labels
    network.ipamOptions = draft.ipamOptions
    network.pools = try choosePools(draft, &network)
    var segment = try Segment(network, isDefault: false, defaultMTU: core.configuration.effectiveMTU)
    if !segment.isBridge, segment.bridge.isEmpty {
      throw EngineError.invalidParameter("a macvlan network needs a parent interface: --opt parent=eth0")
    }
    _ = try segment.isBridge ? 0 : segment.macvlanMode
    if segment.hasShim, segment.shimAddress == nil { segment = try shimmed(&network, segment) }
    let clash = core.state.withLock { state in
      state.segments.values.first { $0.isBridge && segment.isBridge && $0.bridge == segment.bridge }
    }
    if let clash {
      throw EngineError(
        .forbidden,
        "cannot create network \(network.id) (\(segment.bridge)): conflicts with network \(clash.id) (\(clash.bridge)): networks have same bridge name"
      )
    }
    try core.store.put(id: network.id, name: network.name, record: network.json.text)
    do {
      segment.index = try raise(segment)
      let raised = segment
      core.state.withLock { $0.segments[raised.id] = raised }
      try core.assertFirewall()
    } catch {
      core.state.withLock { $0.segments[network.id] = nil }
      do {
        try lower(segment)
        try core.store.delete(id: network.id)
      } catch { core.logger.error("take the unfinished network \(network.name) back: \(error)") }
      throw error
    }
    return network
  }

  private mutating func choosePools(_ draft: NetworkDraft, _ network: inout Network) throws -> [Network.Pool] {
    var result: [Network.Pool] = []
    let others = core.state.withLock { Array($0.segments.values) }
    let overlap = EngineError(
      .forbidden, "invalid pool request: Pool overlaps with other one on this address space")
    if draft.enableIPv4 {
      if var pool = draft.pools.first(where: { !$0.isV6 }), let subnet = IPv4Subnet(pool.subnet) {
        guard !others.compactMap(\.subnet).contains(where: { $0.overlaps(subnet) }) else { throw overlap }
        network.configuredV4 = true
        if pool.gateway.isEmpty {
          let range = IPv4Subnet(pool.ipRange) ?? subnet
          let first = range.network == subnet.network ? range.network.bits &+ 1 : range.network.bits
          let auxiliary = Set(pool.auxiliary.values.compactMap { IPv4Address($0)?.bits })
          pool.gateway =
            (first...max(first, range.broadcast.bits)).first { !auxiliary.contains($0) }.map {
              IPv4Address(bits: $0).description
            } ?? ""
        }
        result.append(pool)
      } else {
        var occupied = try links.routes().filter { $0.table != 255 && $0.destination.prefix > 0 }.map(\.destination)
        occupied += try links.addresses().map(\.subnet)
        occupied += ResolvConf.addresses.compactMap { IPv4Subnet($0, prefix: 32) }
        occupied += others.compactMap(\.subnet)
        let subnet = try SubnetChoice.small(core.configuration.addressPools, occupied: occupied)
        result.append(Network.Pool(subnet: subnet.canonical, gateway: subnet.address.description))
      }
    }
    if draft.enableIPv6 {
      if var pool = draft.pools.first(where: { $0.isV6 }), let subnet = IPv6Subnet(pool.subnet) {
        guard !others.compactMap(\.subnet6).contains(where: { $0.overlaps(subnet) }) else { throw overlap }
        network.configuredV6 = true
        if pool.gateway.isEmpty { pool.gateway = subnet.network.advanced(by: 1)?.description ?? "" }
        result.append(pool)
      } else {
        let occupied = try links.routes6().map(\.destination) + others.compactMap(\.subnet6)
        let subnet = try SubnetChoice.unique(core.configuration.addressPools, occupied: occupied)
        result.append(
          Network.Pool(subnet: subnet.canonical, gateway: subnet.network.advanced(by: 1)?.description ?? ""))
      }
    }
    return result
  }

  /// The record goes, then the rules, then the bridge.
  mutating func removeNetwork(_ id: String) throws {
    let segment = core.state.withLock { state -> Segment? in
      let used = state.attachments.values.contains { $0.endpoint.interfaces.contains { $0.networkID == id } }
      return used ? nil : state.segments[id]
    }
    guard let segment else {
      throw EngineError(.forbidden, "error while removing network: network \(id) has active endpoints")
    }
    try core.store.delete(id: id)
    core.state.withLock { $0.segments[id] = nil }
    try core.assertFirewall()
    try lower(segment)
  }

  /// With an address for the host's own interface, which the record keeps.
  private func shimmed(_ network: inout Network, _ segment: Segment) throws -> Segment {
    var segment = segment
    guard !segment.isBridge, let index = network.pools.firstIndex(where: { !$0.isV6 }),
      let address = segment.addresses?.take()
    else { throw EngineError.invalidParameter("host_shim is for macvlan networks with an IPv4 subnet") }
    network.pools[index].auxiliary["host"] = address.description
    return try Segment(network, isDefault: false, defaultMTU: core.configuration.effectiveMTU)
  }
}

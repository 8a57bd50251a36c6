import Errdefs
import Kernel
import Netlink
import Synchronization

extension Networks {
  /// All networks: those that are always there, and the users'.
  public func list() -> [NetworkDetails] {
    let (identities, segments, endpoints) = core.state.withLock { state in
      (state.identities, state.segments, state.attachments.values.map(\.endpoint))
    }
    var members: [String: [NetworkDetails.Member]] = [:]
    for endpoint in endpoints.sorted(by: { $0.containerID < $1.containerID }) {
      for interface in endpoint.interfaces {
        members[interface.networkID, default: []].append(
          NetworkDetails.Member(
            containerID: endpoint.containerID, name: endpoint.containerName, endpointID: interface.endpointID,
            macAddress: interface.macAddress,
            ipv4Address: interface.ipAddress.isEmpty ? "" : "\(interface.ipAddress)/\(interface.prefixLength)",
            ipv6Address: interface.ipv6Address.isEmpty ? "" : "\(interface.ipv6Address)/\(interface.ipv6PrefixLength)"))
      }
    }
    var result = segments.values.map { segment in
      NetworkDetails(segment, members: members[segment.id] ?? [])
    }
    for (name, identity, driver) in [("host", identities.host, "host"), ("none", identities.none, "null")] {
      result.append(
        NetworkDetails(
          name: name, id: identity.id, created: identity.created, driver: driver, members: members[identity.id] ?? []))
    }
    return result.sorted { ($0.name, $0.id) < ($1.name, $1.id) }
  }

  /// By name, id or a prefix of the id that is unique. - Throws: 404 `network NAME not found`, 400 for an ambiguous prefix.
  public func inspect(_ nameOrID: String) throws -> NetworkDetails {
    let all = list()
    if let named = all.first(where: { $0.name == nameOrID || $0.id == nameOrID }) { return named }
    let matching = nameOrID.isEmpty ? [] : all.filter { $0.id.hasPrefix(nameOrID) }
    guard matching.count <= 1 else {
      throw EngineError.invalidParameter(
        "network \(nameOrID) is ambiguous (\(matching.count) matches found based on ID prefix)")
    }
    guard let found = matching.first else { throw EngineError.notFound("network \(nameOrID) not found") }
    return found
  }

  /// Counters of a container's interfaces as the container sees them, by interface name; empty without a sandbox of its own.
  ///
  /// Read from `/proc/net/dev` at the veth's end on the host, where nothing waits for the RTNL lock.
  public func statistics(containerID: String) throws -> [(interface: String, counters: InterfaceCounters)] {
    let (interfaces, file) = core.state.withLock { state in
      (state.attachments[containerID]?.endpoint.interfaces ?? [], state.counters)
    }
    guard interfaces.contains(where: { $0.hostInterface != nil }), let file else { return [] }
    let text = try Self.readCounters(file.raw)
    return interfaces.compactMap { interface in
      guard let host = interface.hostInterface, let counters = Self.counters(of: host, in: text) else { return nil }
      return (interface.name, counters)
    }
  }

  /// The whole of a file that the kernel writes anew for each read from its start.
  private static func readCounters(_ file: Int32) throws(SyscallError) -> [UInt8] {
    var size = 16 << 10
    while true {
      var failure: SyscallError?
      let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
        count = 0
        do throws(SyscallError) {
          while count < size {
            let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...])
            let read = try Sys.pread(file, rest, at: Int64(count))
            if read == 0 { break }
            count += read
          }
        } catch { failure = error }
      }
      if let failure { throw failure.on("/proc/net/dev") }
      if bytes.count < size { return bytes }
      size *= 2
    }
  }

  /// A line is `name: ` and 16 numbers: received bytes, packets, errors, dropped, four more, then the same sent.
  static func counters(of interface: String, in file: [UInt8]) -> InterfaceCounters? {
    let name = Array(interface.utf8) + [UInt8(ascii: ":")]
    for line in file.split(separator: UInt8(ascii: "\n")) {
      let text = line.drop { $0 == UInt8(ascii: " ") }
      guard text.starts(with: name) else { continue }
      let numbers = text.dropFirst(name.count).split(separator: UInt8(ascii: " ")).compactMap {
        UInt64(String(decoding: $0, as: UTF8.self))
      }
      guard numbers.count >= 12 else { return nil }
      // what the host's end sent is what the container received
      return InterfaceCounters(
        receivedBytes: numbers[8], receivedPackets: numbers[9], receiveErrors: numbers[10], receiveDropped: numbers[11],
        sentBytes: numbers[0], sentPackets: numbers[1], sendErrors: numbers[2], sendDropped: numbers[3])
    }
    return nil
  }
}

extension NetworkDetails {
  init(_ segment: Segment, members: [Member]) {
    let network = segment.network
    self.init(
      name: network.name, id: network.id, created: network.created, driver: network.driver,
      enableIPv4: network.enableIPv4, enableIPv6: network.enableIPv6,
      pools: network.pools.map { pool in
        AddressPool(
          subnet: pool.subnet, gateway: pool.gateway, ipRange: pool.ipRange, auxiliary: pool.auxiliary)
      }, options: network.options, labels: network.labels, members: members)
    isInternal = network.isInternal
    isAttachable = network.isAttachable
    ipamOptions = segment.isDefault ? nil : network.ipamOptions
  }
}

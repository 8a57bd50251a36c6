import Errdefs
import Kernel
import Netlink
import Synchronization

extension Networks {
  /// `bridge`, `host`, `none`.
  public func list() -> [NetworkDetails] {
    let (identities, subnet, endpoints) = core.state.withLock { state in
      (state.identities, state.subnet, state.attachments.values.map(\.endpoint))
    }
    func members(_ network: String) -> [NetworkDetails.Member] {
      endpoints.filter { $0.networkName == network }.sorted { $0.containerID < $1.containerID }.map { endpoint in
        NetworkDetails.Member(
          containerID: endpoint.containerID, name: endpoint.containerName, endpointID: endpoint.endpointID,
          macAddress: endpoint.macAddress,
          ipv4Address: endpoint.ipAddress.isEmpty ? "" : "\(endpoint.ipAddress)/\(endpoint.prefixLength)")
      }
    }
    return [
      NetworkDetails(
        name: "bridge", id: identities.bridge.id, created: identities.bridge.created, driver: "bridge",
        pools: subnet.map { [.init(subnet: $0.canonical, gateway: $0.address.description)] } ?? [],
        options: [
          "com.docker.network.bridge.default_bridge": "true",
          "com.docker.network.bridge.enable_icc": "true",
          "com.docker.network.bridge.enable_ip_masquerade": "true",
          "com.docker.network.bridge.host_binding_ipv4": configuration.defaultBinding,
          "com.docker.network.bridge.name": core.names.bridge,
          "com.docker.network.driver.mtu": String(configuration.effectiveMTU),
        ], members: members("bridge")),
      NetworkDetails(
        name: "host", id: identities.host.id, created: identities.host.created, driver: "host", members: members("host")
      ),
      NetworkDetails(
        name: "none", id: identities.none.id, created: identities.none.created, driver: "null", members: members("none")
      ),
    ]
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
    let (interface, file) = core.state.withLock { state in
      (state.attachments[containerID]?.endpoint.hostInterface, state.counters)
    }
    guard let interface, let file else { return [] }
    guard let counters = Self.counters(of: interface, in: try Self.readCounters(file.raw)) else { return [] }
    return [("eth0", counters)]
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

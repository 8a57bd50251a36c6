import Containers
import Errdefs
import Networks
import NIOHTTP1
import OCI

/// `/networks/…`
struct NetworkRoutes: Sendable {
  let nouns: EngineNouns

  func add(to router: inout Router) {
    router.add(.GET, "/networks") { request in
      let shapes = NetworkShapes(version: request.version)
      let filters = try request.filters()
      let known: Set<String> = ["dangling", "driver", "id", "label", "name", "scope", "type"]
      for name in filters.keys where !known.contains(name) {
        throw EngineError.invalidParameter("invalid filter '\(name)'")
      }
      let list = try nouns.networks.list().filter { try Self.matches($0, filters) }
      return .json(.array(list.map(shapes.summary)))
    }
    router.add(.GET, "/networks/{id}") { request in
      .json(NetworkShapes(version: request.version).details(try nouns.networks.inspect(request.parameter("id"))))
    }
    router.add(.DELETE, "/networks/{id}") { request in
      try await nouns.networks.remove(request.parameter("id"))
      return .empty()
    }
    router.add(.POST, "/networks/create") { try await create($0) }
    router.add(.POST, "/networks/prune") { try await prune($0) }
    // of Berth's own
    router.add(.GET, "/berth/networks/audit") { _ in
      let audit = nouns.networks.audit()
      return .json([
        "Reaches": .array(
          audit.reaches.map { reach in
            [
              "From": JSON(reach.from), "To": JSON(reach.to), "At": JSON(reach.at), "Ports": JSON(reach.ports),
              "By": JSON(reach.by),
            ]
          }), "Apart": JSON(audit.apart),
      ])
    }
    router.add(.POST, "/networks/{id}/connect") { request in
      let fields = try body(request)
      try await nouns.containers.connect(
        try request.decode { () throws(JSONError) in try fields.string("Container") ?? "" },
        network: request.parameter("id"),
        settings: try request.decode { () throws(JSONError) in
          try fields.object("EndpointConfig") { fields throws(JSONError) in
            try NetworkingConfig.EndpointSettings(fields)
          } ?? NetworkingConfig.EndpointSettings()
        })
      return .empty(.ok)
    }
    router.add(.POST, "/networks/{id}/disconnect") { request in
      let fields = try body(request)
      try await nouns.containers.disconnect(
        try request.decode { () throws(JSONError) in try fields.string("Container") ?? "" },
        network: request.parameter("id"),
        force: try request.decode { () throws(JSONError) in try fields.bool("Force") ?? false })
      return .empty(.ok)
    }
  }

  private func body(_ request: Request) throws -> JSONFields {
    guard let body = try request.json() else {
      throw EngineError.invalidParameter("invalid JSON: got EOF while reading request body")
    }
    return try request.decode { () throws(JSONError) in try JSONFields(body, anyCase: true) }
  }

  private func create(_ request: Request) async throws -> Response {
    let fields = try body(request)
    let draft = try request.decode { () throws(JSONError) in try NetworkDraft(fields) }
    if try request.decode({ () throws(JSONError) in try fields.bool("ConfigOnly") ?? false }) {
      throw EngineError.notImplemented("configuration-only networks are not built: name the options at creation")
    }
    let (id, warning) = try await nouns.networks.create(draft)
    return .json(["Id": JSON(id), "Warning": JSON(warning)], status: .created)
  }

  private func prune(_ request: Request) async throws -> Response {
    let filters = try request.filters()
    for name in filters.keys where !["label", "label!", "until"].contains(name) {
      throw EngineError.invalidParameter("invalid filter '\(name)'")
    }
    let until = try filters["until"].map { values in
      guard values.count == 1, let time = TimeFilter.parse(values[0], now: Clock.now()) else {
        throw EngineError.invalidParameter("more than one until filter specified")
      }
      return time
    }
    let names = try await nouns.networks.prune { network in
      until.map { network.created < $0 } ?? true
        && (filters["label"] ?? []).allSatisfy { Self.holds($0, network.labels) }
        && !(filters["label!"] ?? []).contains { Self.holds($0, network.labels) }
    }
    return .json(["NetworksDeleted": names.isEmpty ? .null : JSON(names)])
  }

  private static func dangling(_ values: [String]) throws(EngineError) -> Bool {
    guard values.count == 1 else {
      throw .invalidParameter("got more than one value for filter key \"dangling\"")
    }
    switch values[0] {
    case "true", "1": return true
    case "false", "0": return false
    default:
      throw .invalidParameter(
        "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")")
    }
  }

  private static func holds(_ label: String, _ labels: [String: String]) -> Bool {
    let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard let value = labels[String(parts[0])] else { return false }
    return parts.count == 1 || value == parts[1]
  }

  private static func matches(_ network: NetworkDetails, _ filters: [String: [String]]) throws -> Bool {
    let isBuiltIn = ["bridge", "host", "none"].contains(network.name)
    for (name, values) in filters where !values.isEmpty {
      let holds =
        switch name {
        case "driver": values.contains(network.driver)
        case "id": values.contains { network.id.hasPrefix($0) }
        case "name": values.contains { network.name.contains($0) }
        case "scope": values.contains(network.scope)
        case "type":
          try values.contains { value in
            guard value == "builtin" || value == "custom" else {
              throw EngineError.invalidParameter("invalid filter: 'type'='\(value)'")
            }
            return (value == "builtin") == isBuiltIn
          }
        case "dangling":
          try Self.dangling(values) == (network.members.isEmpty && !isBuiltIn)
        case "label":
          values.allSatisfy { Self.holds($0, network.labels) }
        default: true
        }
      if !holds { return false }
    }
    return true
  }
}

extension NetworkDraft {
  /// The body of `POST /networks/create`.
  init(_ fields: JSONFields) throws(JSONError) {
    self.init()
    name = try fields.string("Name") ?? ""
    driver = try fields.string("Driver") ?? ""
    isInternal = try fields.bool("Internal") ?? false
    isAttachable = try fields.bool("Attachable") ?? false
    enableIPv4 = try fields.bool("EnableIPv4") ?? true
    enableIPv6 = try fields.bool("EnableIPv6") ?? false
    options = try fields.map("Options") ?? [:]
    labels = try fields.map("Labels") ?? [:]
    guard let ipam = try fields.fields("IPAM") else { return }
    ipamDriver = try ipam.string("Driver") ?? ""
    ipamOptions = try ipam.map("Options") ?? [:]
    pools =
      try ipam.list("Config") { entry throws(JSONError) in
        Network.Pool(
          subnet: try entry.string("Subnet") ?? "", ipRange: try entry.string("IPRange") ?? "",
          gateway: try entry.string("Gateway") ?? "",
          auxiliary: try entry.map("AuxiliaryAddresses") ?? [:])
      } ?? []
    // a pool with nothing in it is none
    pools.removeAll { $0.subnet.isEmpty && $0.ipRange.isEmpty && $0.gateway.isEmpty && $0.auxiliary.isEmpty }
  }
}

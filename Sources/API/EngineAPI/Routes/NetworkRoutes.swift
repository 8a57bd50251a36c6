import Errdefs
import Networks
import NIOHTTP1
import OCI

/// `/networks/…`: the three that are always there.
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
      let network = try nouns.networks.inspect(request.parameter("id"))
      throw EngineError(.forbidden, "\(network.name) is a pre-defined network and cannot be removed")
    }
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
          values.contains { ["true", "1"].contains($0) } == (network.members.isEmpty && !isBuiltIn)
        case "label":
          values.allSatisfy { label in
            let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let value = network.labels[String(parts[0])] else { return false }
            return parts.count == 1 || value == parts[1]
          }
        default: true
        }
      if !holds { return false }
    }
    return true
  }
}

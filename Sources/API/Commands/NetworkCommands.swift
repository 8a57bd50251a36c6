import EngineClient
import OCI

extension Command {
  static let networkLs = Command(
    name: "ls", usage: "[OPTIONS]", summary: "List networks", aliases: ["network ls", "network list"], arguments: .none,
    flags: [
      Flag(.filter, "filter", short: "f", "Provide filter values (e.g. \"driver=bridge\")"),
      Flag(.string, "format", Flag.formatHelp),
      Flag(.bool, "no-trunc", "Do not truncate the output"),
      Flag(.bool, "quiet", short: "q", "Only display network IDs"),
    ]
  ) { invocation in
    let format = invocation.values.string("format")
    let source =
      ["", "table"].contains(format)
      ? (invocation.values.bool("quiet") ? "{{.ID}}" : "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}") : format
    let table = try TableFormat(source)
    var query = Query()
    Filters.add(invocation.values, to: &query)
    let networks = (try invocation.client.get("/networks", query: query).json().arrayValue ?? [])
      .sorted { NaturalOrder.precedes($0["Name"]?.stringValue ?? "", $1["Name"]?.stringValue ?? "") }
    let titles = [
      "ID": "NETWORK ID", "Name": "NAME", "Driver": "DRIVER", "Scope": "SCOPE", "IPv6": "IPV6", "IPv4": "IPV4",
      "Internal": "INTERNAL",
      "Labels": "LABELS", "CreatedAt": "CREATED AT",
    ]
    let rows = networks.map { networkRow($0, truncates: !invocation.values.bool("no-trunc")) }
    invocation.output.print(try table.render(titles: titles, rows: rows))
  }

  private static func networkRow(_ network: JSON, truncates: Bool) -> TemplateRecord {
    let labels = network["Labels"]?.objectValue?.members ?? []
    func field(_ name: String) -> String? {
      switch name {
      case "ID":
        return truncates ? String((network["Id"]?.stringValue ?? "").prefix(12)) : network["Id"]?.stringValue ?? ""
      case "Name", "Driver", "Scope": return network[name]?.stringValue ?? ""
      case "IPv4": return network["EnableIPv4"]?.boolValue == true ? "true" : "false"
      case "IPv6": return network["EnableIPv6"]?.boolValue == true ? "true" : "false"
      case "Internal": return network["Internal"]?.boolValue == true ? "true" : "false"
      case "Labels": return labels.map { "\($0.key)=\($0.value.stringValue ?? "")" }.joined(separator: ",")
      case "CreatedAt":
        guard let created = Timestamps.parse(network["Created"]?.stringValue ?? "") else { return "" }
        return Timestamps.text(created)
      default: return nil
      }
    }
    return TemplateRecord(
      typeName: "*network.networkContext",
      names: ["CreatedAt", "Driver", "ID", "IPv4", "IPv6", "Internal", "Labels", "Name", "Scope"]
    ) {
      field($0).map { .string($0) }
    } method: { name, arguments in
      guard name == "Label", case .string(let label)? = arguments.first else { return nil }
      return .string(network["Labels"]?[label]?.stringValue ?? "")
    }
  }

  static let networkCreate = Command(
    name: "create", usage: "[OPTIONS] NETWORK", summary: "Create a network", arguments: .exactly(1),
    flags: [
      Flag(.bool, "attachable", "Enable manual container attachment"),
      Flag(.map, "aux-address", default: "map[]", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
      Flag(.string, "config-from", "The network from which to copy the configuration"),
      Flag(.bool, "config-only", "Create a configuration only network"),
      Flag(.string, "driver", short: "d", default: "bridge", "Driver to manage the Network"),
      Flag(.strings, "gateway", "IPv4 or IPv6 Gateway for the master subnet"),
      Flag(.bool, "ingress", "Create swarm routing-mesh network"),
      Flag(.bool, "internal", "Restrict external access to the network"),
      Flag(.strings, "ip-range", "Allocate container ip from a sub-range"),
      Flag(.string, "ipam-driver", default: "default", "IP Address Management Driver"),
      Flag(.map, "ipam-opt", default: "map[]", "Set IPAM driver specific options"),
      Flag(.bool, "ipv4", default: "true", "Enable or disable IPv4 address assignment"),
      Flag(.bool, "ipv6", "Enable or disable IPv6 address assignment"),
      Flag(.list, "label", "Set metadata on a network"),
      Flag(.map, "opt", short: "o", default: "map[]", "Set driver specific options"),
      Flag(.string, "scope", "Control the network's scope"),
      Flag(.strings, "subnet", "Subnet in CIDR format that represents a network segment"),
    ]
  ) { invocation in
    let values = invocation.values
    var body = JSONBuilder()
    body.set("Name", invocation.arguments[0])
    body.set("Driver", values.string("driver"))
    for (key, flag) in [
      ("Internal", "internal"), ("Attachable", "attachable"), ("Ingress", "ingress"), ("ConfigOnly", "config-only"),
    ] {
      body.set(key, values.bool(flag))
    }
    if values.isSet("ipv4") { body.set("EnableIPv4", values.bool("ipv4")) }
    if values.isSet("ipv6") { body.set("EnableIPv6", values.bool("ipv6")) }
    ContainerOptions.set(&body, "Scope", values.string("scope"))
    if values.isSet("config-from") { body.set("ConfigFrom", ["Network": .string(values.string("config-from"))]) }
    body.set("Options", values.map("opt"))
    body.set("Labels", values.map("label"))
    let subnets = values.list("subnet")
    var pools = subnets.map { subnet -> JSONObject in JSONObject([("Subnet", .string(subnet))]) }
    func attach(_ key: String, _ texts: [String]) throws {
      for text in texts {
        // With one subnet it's clear; with several, the one of the same family that has none yet.
        guard
          let index = pools.firstIndex(where: { pool in
            pool[key] == nil && (pool["Subnet"]?.stringValue?.contains(":") == text.contains(":"))
          })
        else {
          throw CommandFailure(
            subnets.isEmpty
              ? "every \(key.lowercased()) must have a corresponding subnet"
              : "no matching subnet for \(key.lowercased()) \(text)")
        }
        pools[index][key] = .string(text)
      }
    }
    try attach("IPRange", values.list("ip-range"))
    try attach("Gateway", values.list("gateway"))
    let auxiliary = values.map("aux-address")
    if !auxiliary.isEmpty, !pools.isEmpty { pools[0]["AuxiliaryAddresses"] = JSON(auxiliary) }
    body.set(
      "IPAM",
      [
        "Driver": .string(values.string("ipam-driver")), "Options": JSON(values.map("ipam-opt")),
        "Config": .array(pools.map { .object($0) }),
      ])
    let answer = try invocation.client.post("/networks/create", body: body.json).json()
    if let warning = answer["Warning"]?.stringValue, !warning.isEmpty {
      invocation.context.printError("WARNING: \(warning)")
    }
    invocation.output.line(answer["Id"]?.stringValue ?? "")
  }

  static let networkConnect = Command(
    name: "connect", usage: "[OPTIONS] NETWORK CONTAINER", summary: "Connect a container to a network",
    arguments: .exactly(2),
    flags: [
      Flag(.strings, "alias", "Add network-scoped alias for the container"),
      Flag(.strings, "driver-opt", "driver options for the network"),
      Flag(
        .int, "gw-priority", "Highest gw-priority provides the default gateway. Accepts positive and negative values."),
      Flag(.string, "ip", "IPv4 address (e.g., \"172.30.100.104\")"),
      Flag(.string, "ip6", "IPv6 address (e.g., \"2001:db8::33\")"),
      Flag(.list, "link", "Add link to another container"),
      Flag(.strings, "link-local-ip", "Add a link-local address for the container"),
    ]
  ) { invocation in
    let values = invocation.values
    var option = NetworkOption(target: invocation.arguments[0])
    option.aliases = values.list("alias")
    option.links = values.list("link")
    option.address4 = values.string("ip")
    option.address6 = values.string("ip6")
    option.linkLocal = values.list("link-local-ip")
    option.gatewayPriority = values.int("gw-priority")
    for text in values.list("driver-opt") {
      let (key, value) = text.cut("=")
      guard let value else { throw CommandFailure("invalid key/value pair format in driver options") }
      option.driverOptions[key] = value
    }
    let endpoint = try option.endpoint() ?? .object(JSONObject())
    _ = try invocation.client.post(
      "/networks/\(PercentEncoding.encode(invocation.arguments[0]))/connect",
      body: ["Container": .string(invocation.arguments[1]), "EndpointConfig": endpoint])
  }

  static let networkDisconnect = Command(
    name: "disconnect", usage: "[OPTIONS] NETWORK CONTAINER", summary: "Disconnect a container from a network",
    arguments: .exactly(2),
    flags: [Flag(.bool, "force", short: "f", "Force the container to disconnect from a network")]
  ) { invocation in
    _ = try invocation.client.post(
      "/networks/\(PercentEncoding.encode(invocation.arguments[0]))/disconnect",
      body: ["Container": .string(invocation.arguments[1]), "Force": .bool(invocation.values.bool("force"))])
  }

  static let networkRm = Command(
    name: "rm", usage: "NETWORK [NETWORK...]", summary: "Remove one or more networks",
    aliases: ["network rm", "network remove"],
    arguments: .atLeast(1), flags: [Flag(.bool, "force", short: "f", "Do not error if the network does not exist")]
  ) { invocation in
    let client = try invocation.client
    var failed = false
    for name in invocation.arguments {
      do {
        _ = try client.delete("/networks/\(PercentEncoding.encode(name))")
        invocation.output.line(name)
      } catch let error as ClientError {
        if invocation.values.bool("force") && error.status == 404 { continue }
        invocation.output.flush()
        invocation.context.printError(error.description)
        failed = true
      }
    }
    if failed { throw CommandFailure("exit status 1") }
  }
}

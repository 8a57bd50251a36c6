import Networks
import OCI

/// Networks as the API shows them.
struct NetworkShapes {
  let version: APIVersion

  func inspect(_ network: NetworkDetails) -> JSON {
    var json = JSONBuilder()
    json.set("Name", network.name)
    json.set("Id", network.id)
    json.set("Created", ContainerShapes.time(network.created))
    json.set("Scope", network.scope)
    json.set("Driver", network.driver)
    if version.hasDescriptors { json.set("EnableIPv4", network.enableIPv4) }
    json.set("EnableIPv6", network.enableIPv6)
    let pools: [JSON] = network.pools.map { pool in
      var json = JSONBuilder()
      json.set("Subnet", pool.subnet)
      if !pool.ipRange.isEmpty { json.set("IPRange", pool.ipRange) }
      if !pool.gateway.isEmpty { json.set("Gateway", pool.gateway) }
      if !pool.auxiliary.isEmpty { json.set("AuxiliaryAddresses", pool.auxiliary) }
      return json.json
    }
    json.set(
      "IPAM",
      [
        "Driver": "default", "Options": network.ipamOptions.map { JSON($0) } ?? .null,
        "Config": pools.isEmpty ? .null : .array(pools),
      ])
    json.set("Internal", network.isInternal)
    json.set("Attachable", network.isAttachable)
    json.set("Ingress", false)
    json.set("ConfigFrom", ["Network": ""])
    json.set("ConfigOnly", false)
    return json.json
  }

  /// The list says nothing of members since 1.28.
  func summary(_ network: NetworkDetails) -> JSON {
    var json = inspect(network)
    if version < APIVersion(1, 52) { json["Containers"] = version.isAtLeast(28) ? [:] : Self.members(network) }
    json["Options"] = JSON(network.options)
    json["Labels"] = JSON(network.labels)
    return json
  }

  func details(_ network: NetworkDetails) -> JSON {
    var json = inspect(network)
    json["Containers"] = Self.members(network)
    json["Options"] = JSON(network.options)
    json["Labels"] = JSON(network.labels)
    return json
  }

  private static func members(_ network: NetworkDetails) -> JSON {
    .object(
      JSONObject(
        network.members.map { member in
          (
            member.containerID,
            [
              "Name": JSON(member.name), "EndpointID": JSON(member.endpointID), "MacAddress": JSON(member.macAddress),
              "IPv4Address": JSON(member.ipv4Address), "IPv6Address": JSON(member.ipv6Address),
            ]
          )
        }))
  }
}

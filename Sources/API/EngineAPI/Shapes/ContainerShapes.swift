import CLinux
import Containers
import OCI

/// A container as `GET /containers/json` and `GET /containers/{id}/json` show it.
///
/// Source: moby's `api/types/container` of API 1.55; what versions before 1.52 had comes in the order of Docker 26.
struct ContainerShapes {
  let version: APIVersion
  let defaultRuntime: String

  // MARK: the list

  /// `image` is the name that still stands for the container's image, else its id.
  func summary(_ container: ContainerSnapshot, image: String, now: Int64, size: (written: Int64, total: Int64)?) -> JSON
  {
    var json = JSONBuilder()
    json.set("Id", container.id)
    json.set("Names", ["/\(container.name)"])
    json.set("Image", image)
    json.set("ImageID", container.imageID)
    json.set("Command", Self.command(container))
    json.set("Created", container.created / 1_000_000_000)
    json.set("Ports", .array(Self.ports(container.ports)))
    if let size {
      if size.written != 0 { json.set("SizeRw", size.written) }
      if size.total != 0 { json.set("SizeRootFs", size.total) }
    }
    json.set("Labels", container.config.labels)
    json.set("State", container.state.status.rawValue)
    json.set("Status", Self.status(container.state, now: now))
    var host = JSONBuilder()
    let mode = container.hostConfig.networkMode
    if !mode.isEmpty { host.set("NetworkMode", mode) }
    if version.listHasAnnotations, !container.hostConfig.annotations.isEmpty {
      host.set("Annotations", container.hostConfig.annotations)
    }
    json.set("HostConfig", host.json)
    if version.listHasHealth {
      let health = container.state.health
      json.set(
        "Health",
        ["Status": JSON(health?.status ?? "none"), "FailingStreak": JSON(health?.failingStreak ?? 0)])
    }
    json.set("NetworkSettings", ["Networks": networks(container)])
    json.set("Mounts", .array(container.mounts.map(Self.mount)))
    return json.json
  }

  /// The program and its arguments, those with a space in quotes.
  static func command(_ container: ContainerSnapshot) -> String {
    ([container.path] + container.args.map { $0.contains(" ") ? "'\($0)'" : $0 }).joined(separator: " ")
  }

  static func ports(_ map: PortMap) -> [JSON] {
    map.ports.flatMap { port, bindings -> [JSON] in
      let parts = port.split(separator: "/")
      let number = parts.first.flatMap { Int($0) } ?? 0
      let type = parts.count > 1 ? String(parts[1]) : "tcp"
      guard let bindings, !bindings.isEmpty else { return [["PrivatePort": JSON(number), "Type": JSON(type)]] }
      return bindings.map { binding in
        var json = JSONBuilder()
        if !binding.hostIP.isEmpty { json.set("IP", binding.hostIP) }
        json.set("PrivatePort", JSON(number))
        if let published = Int64(binding.hostPort), published != 0 { json.set("PublicPort", published) }
        json.set("Type", type)
        return json.json
      }
    }
  }

  /// `Up 3 minutes (healthy)`, `Exited (1) 5 seconds ago`.
  static func status(_ state: ContainerState, now: Int64) -> String {
    func since(_ time: Int64) -> String { HumanDuration.text(nanoseconds: now - time) }
    switch state.status {
    case .paused: return "Up \(since(state.startedAt)) (Paused)"
    case .restarting: return "Restarting (\(state.exitCode)) \(since(state.finishedAt)) ago"
    case .running:
      guard let health = state.health, health.status != "none" else { return "Up \(since(state.startedAt))" }
      return "Up \(since(state.startedAt)) (\(health.status == "starting" ? "health: starting" : health.status))"
    case .removing: return "Removal In Progress"
    case .dead: return "Dead"
    case .created: return "Created"
    case .exited: return "Exited (\(state.exitCode)) \(since(state.finishedAt)) ago"
    }
  }

  static func mount(_ mount: ContainerSnapshot.MountPoint) -> JSON {
    var json = JSONBuilder()
    if !mount.type.isEmpty { json.set("Type", mount.type) }
    if !mount.name.isEmpty { json.set("Name", mount.name) }
    json.set("Source", mount.source)
    json.set("Destination", mount.destination)
    if !mount.driver.isEmpty { json.set("Driver", mount.driver) }
    json.set("Mode", mount.mode)
    json.set("RW", mount.rw)
    json.set("Propagation", mount.propagation)
    return json.json
  }

  // MARK: inspect

  func inspect(_ container: ContainerSnapshot, size: (written: Int64, total: Int64)?) -> JSON {
    var json = JSONBuilder()
    json.set("Id", container.id)
    json.set("Created", Self.time(container.created))
    json.set("Path", container.path)
    json.set("Args", container.args)
    json.set("State", Self.state(container.state))
    json.set("Image", container.imageID)
    json.set("ResolvConfPath", container.resolvConfPath)
    json.set("HostnamePath", container.hostnamePath)
    json.set("HostsPath", container.hostsPath)
    json.set("LogPath", container.logPath)
    json.set("Name", "/\(container.name)")
    json.set("RestartCount", JSON(container.restartCount))
    json.set("Driver", container.driver)
    json.set("Platform", container.platform)
    json.set("MountLabel", "")
    json.set("ProcessLabel", "")
    json.set("AppArmorProfile", container.appArmorProfile)
    json.set("ExecIDs", container.execIDs.isEmpty ? .null : JSON(container.execIDs))
    json.set("HostConfig", hostConfig(container.hostConfig))
    if version.hasGraphDriver {
      json.set("GraphDriver", ["Data": JSON(container.driverData), "Name": JSON(container.driver)])
    } else {
      json.set("Storage", ["RootFS": ["Snapshot": ["Name": JSON(container.driver)]]])
    }
    if let size {
      json.set("SizeRw", size.written)
      json.set("SizeRootFs", size.total)
    }
    json.set("Mounts", .array(container.mounts.map(Self.mount)))
    json.set("Config", config(container.config))
    json.set("NetworkSettings", networkSettings(container))
    return json.json
  }

  /// RFC 3339 with nanoseconds; 0 is Go's zero time.
  static func time(_ nanoseconds: Int64) -> String {
    nanoseconds == 0 ? Timestamp.zero.description : Timestamp(nanosecondsSinceEpoch: nanoseconds).description
  }

  static func state(_ state: ContainerState) -> JSON {
    var json = JSONBuilder()
    json.set("Status", state.status.rawValue)
    json.set("Running", state.running)
    json.set("Paused", state.paused)
    json.set("Restarting", state.restarting)
    json.set("OOMKilled", state.oomKilled)
    json.set("Dead", state.dead)
    json.set("Pid", integer: state.pid)
    json.set("ExitCode", integer: state.exitCode)
    json.set("Error", state.error)
    json.set("StartedAt", time(state.startedAt))
    json.set("FinishedAt", time(state.finishedAt))
    // Docker tells of it from the first start on.
    if let health = state.health, state.startedAt != 0 {
      json.set(
        "Health",
        [
          "Status": JSON(health.status), "FailingStreak": JSON(health.failingStreak),
          "Log": .array(
            health.log.map { probe in
              [
                "Start": JSON(time(probe.start)), "End": JSON(time(probe.end)), "ExitCode": JSON(Int(probe.exitCode)),
                "Output": JSON(probe.output),
              ]
            }),
        ])
    }
    return json.json
  }

  private func hostConfig(_ config: HostConfig) -> JSON {
    var json = config.json
    if config.runtime.isEmpty { json["Runtime"] = JSON(defaultRuntime) }
    return json
  }

  private func config(_ config: ContainerConfig) -> JSON {
    var json = config.json
    guard version.omitsEmptyOnBuild else { return json }
    if config.onBuild == nil { json["OnBuild"] = nil }
    json["MacAddress"] = nil
    return json
  }

  private func networkSettings(_ container: ContainerSnapshot) -> JSON {
    var json = JSONBuilder()
    let bridge = container.endpoints.first { $0.network == "bridge" }
    let sandboxID = String(container.sandboxKey.split(separator: "/").last ?? "")
    if version.hasLegacyNetworkSettings { json.set("Bridge", "") }
    json.set("SandboxID", sandboxID)
    json.set("SandboxKey", container.sandboxKey)
    json.set("Ports", container.ports.json)
    if version.hasLegacyNetworkSettings {
      json.set("HairpinMode", false)
      json.set("LinkLocalIPv6Address", "")
      json.set("LinkLocalIPv6PrefixLen", 0 as Int64)
      json.set("SecondaryIPAddresses", .null)
      json.set("SecondaryIPv6Addresses", .null)
      json.set("EndpointID", bridge?.endpointID ?? "")
      json.set("Gateway", bridge?.gateway ?? "")
      json.set("GlobalIPv6Address", bridge?.globalIPv6Address ?? "")
      json.set("GlobalIPv6PrefixLen", JSON(bridge?.globalIPv6PrefixLength ?? 0))
      json.set("IPAddress", bridge?.ipAddress ?? "")
      json.set("IPPrefixLen", JSON(bridge?.ipPrefixLength ?? 0))
      json.set("IPv6Gateway", bridge?.ipv6Gateway ?? "")
      json.set("MacAddress", bridge?.macAddress ?? "")
    }
    json.set("Networks", networks(container))
    return json.json
  }

  // MARK: networks

  /// The networks that the container is on, or will be once it runs.
  private func networks(_ container: ContainerSnapshot) -> JSON {
    var members: [(String, JSON)] = []
    let settings = container.networkingConfig.endpoints
    func user(_ name: String) -> NetworkingConfig.EndpointSettings? {
      settings.first { $0.network == name || ($0.network == "default" && name == "bridge") }?.settings
    }
    for endpoint in container.endpoints {
      members.append((endpoint.network, self.endpoint(endpoint, user(endpoint.network), container)))
    }
    if members.isEmpty {
      var names = settings.map { $0.network == "default" ? "bridge" : $0.network }
      let mode = container.hostConfig.networkMode
      if names.isEmpty, !mode.hasPrefix("container:") { names = [mode.isEmpty || mode == "default" ? "bridge" : mode] }
      for name in names {
        members.append((name, endpoint(NetworkEndpoint(network: name, networkID: ""), user(name), container)))
      }
    }
    return .object(JSONObject(members.sorted { $0.0 < $1.0 }))
  }

  private func endpoint(
    _ endpoint: NetworkEndpoint, _ user: NetworkingConfig.EndpointSettings?, _ container: ContainerSnapshot
  ) -> JSON {
    var json = JSONBuilder()
    let newOrder = version.hasDescriptors
    json.set("IPAMConfig", user?.ipam ?? .null)
    json.set("Links", JSON(orNull: user?.links))
    var aliases = user?.aliases
    if version.aliasesHaveShortID, !["bridge", "host", "none"].contains(endpoint.network) {
      aliases = (aliases ?? []) + [String(container.id.prefix(12))]
    }
    json.set("Aliases", JSON(orNull: aliases))
    json.set("MacAddress", endpoint.macAddress.isEmpty ? user?.macAddress ?? "" : endpoint.macAddress)
    if newOrder {
      json.set("DriverOpts", user?.driverOpts.map { JSON($0) } ?? .null)
      json.set("GwPriority", user?.gatewayPriority ?? 0)
    }
    json.set("NetworkID", endpoint.networkID)
    json.set("EndpointID", endpoint.endpointID)
    json.set("Gateway", endpoint.gateway)
    json.set("IPAddress", endpoint.ipAddress)
    json.set("IPPrefixLen", JSON(endpoint.ipPrefixLength))
    json.set("IPv6Gateway", endpoint.ipv6Gateway)
    json.set("GlobalIPv6Address", endpoint.globalIPv6Address)
    json.set("GlobalIPv6PrefixLen", JSON(endpoint.globalIPv6PrefixLength))
    if !newOrder { json.set("DriverOpts", user?.driverOpts.map { JSON($0) } ?? .null) }
    json.set("DNSNames", JSON(orNull: endpoint.dnsNames))
    return json.json
  }
}

import CLinux
import Errdefs
import Kernel
import Logging
import OCI
import Synchronization

extension Containers {
  /// Puts a container on a network, now if it runs, else from its next start on. - Throws: Docker's texts.
  public func connect(
    _ reference: String, network: String, settings: NetworkingConfig.EndpointSettings
  ) async throws {
    let container = try find(reference)
    try await container.operations.run {
      try changeable(container)
      let mode = container.snapshot.hostConfig.networkMode
      let name = (try? networks.name(ofNetwork: network)) ?? network
      if name == "host" || mode == "host" {
        throw EngineError.invalidParameter(
          "container cannot be disconnected from host network or connected to host network")
      }
      if mode.hasPrefix("container:") {
        throw EngineError.invalidParameter(
          "container sharing network namespace with another container or host cannot be connected to any other network")
      }
      if mode == "none" || name == "none" {
        throw EngineError.invalidParameter(
          "container cannot be connected to multiple networks with one of the networks in private (none) mode")
      }
      if container.state.alive {
        let attachment = try await networks.plug(containerID: container.id, network: name, settings)
        take(attachment, into: container)
        try await changeHosts(container) { $0 + (attachment.hostsLines[name] ?? "") }
      }
      container.update { snapshot in
        // the first network is there by the mode alone
        if snapshot.networkingConfig.endpoints.isEmpty, !snapshot.disconnected {
          snapshot.networkingConfig.endpoints = [(snapshot.mainNetwork, .init())]
        }
        snapshot.networkingConfig.endpoints.removeAll { $0.network == name || $0.network == network }
        snapshot.networkingConfig.endpoints.append((name, settings))
        snapshot.disconnected = false
      }
      try await saveAll(container)
    }
  }

  /// Takes a container off a network. - Throws: Docker's texts.
  public func disconnect(_ reference: String, network: String, force: Bool) async throws {
    let container: Container
    do { container = try find(reference) } catch {
      // whoever forces wants it gone, and it is
      if force { return }
      throw error
    }
    try await container.operations.run {
      try changeable(container)
      let snapshot = container.snapshot
      let name: String
      do { name = try networks.name(ofNetwork: network) } catch {
        guard force || !snapshot.state.alive else { throw error }
        name = network
      }
      if snapshot.hostConfig.networkMode == "host", name == "host" {
        throw EngineError.invalidParameter(
          "container cannot be disconnected from host network or connected to host network")
      }
      let isMain = snapshot.networkingConfig.endpoints.isEmpty && snapshot.mainNetwork == name
      if snapshot.state.alive {
        let gone = snapshot.endpoints.first { $0.network == name }
        let attachment = try await networks.unplug(containerID: container.id, network: name)
        take(attachment, into: container)
        let addresses = [gone?.ipAddress, gone?.globalIPv6Address].compactMap { $0 }.filter { !$0.isEmpty }
        try await changeHosts(container) { text in
          text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { line in !addresses.contains { line.hasPrefix($0 + "\t") } }.joined(separator: "\n")
        }
      } else if !isMain, !snapshot.networkingConfig.endpoints.contains(where: { $0.network == name }) {
        throw EngineError.system("container \(container.id) is not connected to the network \(name)")
      }
      container.update { snapshot in
        snapshot.networkingConfig.endpoints.removeAll { $0.network == name }
        // a container without any network starts without one, until it is connected to another
        if snapshot.networkingConfig.endpoints.isEmpty, snapshot.mainNetwork == name { snapshot.disconnected = true }
      }
      try await saveAll(container)
    }
  }

  /// Publishes ports of a container and takes published ones down, while it runs too. What the user asked is kept for its next starts.
  public func publish(_ reference: String, add: PortMap, remove: PortMap) async throws {
    let container = try find(reference)
    try await container.operations.run {
      try changeable(container)
      if container.state.alive {
        take(
          try await networks.publish(containerID: container.id, add: add, remove: remove), into: container)
      }
      container.update { snapshot in
        var ports = snapshot.hostConfig.portBindings?.ports ?? []
        for (port, bindings) in remove.ports {
          guard let index = ports.firstIndex(where: { $0.port == port }) else { continue }
          let wanted = bindings ?? []
          var left = ports[index].bindings ?? []
          left.removeAll { binding in
            wanted.isEmpty
              || wanted.contains {
                $0.hostPort == binding.hostPort && ($0.hostIP.isEmpty || $0.hostIP == binding.hostIP)
              }
          }
          if left.isEmpty { ports.remove(at: index) } else { ports[index].bindings = left }
        }
        for (port, bindings) in add.ports {
          if let index = ports.firstIndex(where: { $0.port == port }) {
            ports[index].bindings = (ports[index].bindings ?? []) + (bindings ?? [])
          } else {
            ports.append((port, bindings))
          }
          if !snapshot.config.exposedPorts.contains(port) { snapshot.config.exposedPorts.append(port) }
        }
        snapshot.hostConfig.portBindings = PortMap(ports.sorted { $0.port < $1.port })
      }
      try await saveAll(container)
    }
  }

  private func changeable(_ container: Container) throws {
    if container.live.withLock({ $0.removing }) || container.state.dead {
      throw EngineError.system(
        "Container \(container.id) is marked for removal and cannot be connected or disconnected to the network")
    }
  }

  private func take(_ attachment: NetworkAttachment, into container: Container) {
    container.update { snapshot in
      snapshot.endpoints = attachment.endpoints
      snapshot.ports = attachment.ports
      snapshot.network = attachment.record
    }
  }

  /// Rewrites the container's `/etc/hosts` where it is: the file is mounted, so it must stay the same one.
  private func changeHosts(_ container: Container, _ change: @escaping @Sendable (String) -> String) async throws {
    let path = runDirectory(container.id) + "/hosts"
    try await blocking {
      guard Sys.exists(path) else { return }
      let text = String(decoding: try Sys.readFile(path, limit: 1 << 20), as: UTF8.self)
      let file = try Sys.open(path, O_WRONLY | O_TRUNC | O_NOFOLLOW)
      try Sys.writeAll(file.raw, change(text))
    }
  }
}

extension ContainerSnapshot {
  /// The network of its mode.
  var mainNetwork: String {
    let mode = hostConfig.networkMode
    return mode.isEmpty || mode == "default" ? "bridge" : mode
  }
}

import Containers
import Errdefs
import OCI

/// The body of `POST /containers/create`, brought from the client's version of the API to the newest.
struct ContainerDraft {
  var config: ContainerConfig
  var hostConfig: HostConfig
  var networking: NetworkingConfig
  var warnings: [String] = []

  mutating func adapt(from version: APIVersion) throws(EngineError) {
    nameDefaultNetwork()
    // The client itself removed containers then.
    if !version.isAtLeast(25) { hostConfig.autoRemove = false }
    if !version.isAtLeast(40), hostConfig.ipcMode.isEmpty { hostConfig.ipcMode = "shareable" }
    if !version.isAtLeast(42) { hostConfig.consoleSize = (0, 0) }
    if !version.isAtLeast(43) { hostConfig.annotations = [:] }
    if !version.isAtLeast(44) {
      config.healthcheck?.startInterval = 0
      if networking.endpoints.count > 1 {
        let names = networking.endpoints.map(\.network).joined(separator: ", ")
        throw .invalidParameter("Container cannot be created with multiple network endpoints: \(names)")
      }
    }
    try adaptMounts(from: version)
    try adaptMacAddress(from: version)
    if let limit = hostConfig.resources.pidsLimit, limit <= 0 { hostConfig.resources.pidsLimit = nil }
  }

  /// `default` is the bridge, as mode and as a key of the endpoints.
  private mutating func nameDefaultNetwork() {
    guard hostConfig.networkMode.isEmpty || hostConfig.networkMode == "default" else { return }
    hostConfig.networkMode = "bridge"
    for index in networking.endpoints.indices where networking.endpoints[index].network == "default" {
      networking.endpoints[index].network = "bridge"
    }
  }

  private mutating func adaptMounts(from version: APIVersion) throws(EngineError) {
    guard var mounts = hostConfig.mounts else { return }
    for index in mounts.indices {
      let type = mounts[index].type
      if !version.isAtLeast(42) {
        mounts[index].bind?.createMountpoint = false
        if type != "volume" { mounts[index].volume = nil }
        if type != "tmpfs" { mounts[index].tmpfs = nil }
      } else {
        if mounts[index].volume != nil, type != "volume" {
          throw .invalidParameter("VolumeOptions must not be specified on mount type \"\(type)\"")
        }
        if mounts[index].bind != nil, type != "bind" {
          throw .invalidParameter("BindOptions must not be specified on mount type \"\(type)\"")
        }
        if mounts[index].tmpfs != nil, type != "tmpfs" {
          throw .invalidParameter("TmpfsOptions must not be specified on mount type \"\(type)\"")
        }
      }
      if !version.isAtLeast(40) { mounts[index].bind?.nonRecursive = false }
      if !version.isAtLeast(44), type == "bind", mounts[index].readOnly {
        // Read-only mounts weren't recursive before.
        if mounts[index].bind?.readOnlyForceRecursive == true {
          throw .invalidParameter("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer")
        }
        var bind = mounts[index].bind ?? MountSpec.BindOptions()
        bind.readOnlyNonRecursive = true
        mounts[index].bind = bind
      }
      if !version.isAtLeast(45), mounts[index].volume?.subpath.isEmpty == false {
        throw .invalidParameter("VolumeOptions.Subpath needs API v1.45 or newer")
      }
    }
    hostConfig.mounts = mounts
  }

  /// The container's own MAC address became its endpoint's with 1.44.
  private mutating func adaptMacAddress(from version: APIVersion) throws(EngineError) {
    let address = config.macAddress
    let mode = hostConfig.networkMode
    let takesAddress = mode != "host" && mode != "none" && !mode.hasPrefix("container:")
    guard version.isAtLeast(44) else {
      if address.isEmpty {
        for index in networking.endpoints.indices { networking.endpoints[index].settings.macAddress = "" }
        return
      }
      guard takesAddress else {
        throw .invalidParameter("conflicting options: mac-address and the network mode")
      }
      if networking.endpoints.isEmpty { networking.endpoints.append((mode, .init())) }
      for index in networking.endpoints.indices { networking.endpoints[index].settings.macAddress = address }
      return
    }
    guard !address.isEmpty else { return }
    if takesAddress {
      if networking.endpoints.isEmpty { networking.endpoints.append((mode, .init())) }
      guard let index = networking.endpoints.firstIndex(where: { $0.network == mode }) else {
        throw .invalidParameter(
          "if a container-wide MAC address is supplied, HostConfig.NetworkMode must match the identity of a network in "
            + "NetworkSettings.Networks")
      }
      let own = networking.endpoints[index].settings.macAddress
      guard own.isEmpty || own == address else {
        throw .invalidParameter(
          "the container-wide MAC address must match the endpoint-specific MAC address for the main network, or be left empty"
        )
      }
      networking.endpoints[index].settings.macAddress = address
    }
    config.macAddress = ""
    warnings.append(
      "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.")
  }
}

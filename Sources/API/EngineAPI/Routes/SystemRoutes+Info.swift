import Containers
import Events
import Images
import Networks
import OCI

extension SystemRoutes {
  func info(_ request: Request) throws -> JSON {
    let facts = nouns.facts
    let host = HostFacts.read()
    let version = request.version
    let containers = try nouns.containers.list(ListOptions(all: true))
    let running = containers.count { $0.state.status == .running || $0.state.status == .restarting }
    let paused = containers.count { $0.state.status == .paused }
    let isV1 = facts.cgroupVersion == 1
    var json = JSONBuilder()
    json.set("ID", facts.id)
    json.set("Containers", JSON(containers.count))
    json.set("ContainersRunning", JSON(running))
    json.set("ContainersPaused", JSON(paused))
    json.set("ContainersStopped", JSON(containers.count - running - paused))
    json.set("Images", JSON(try nouns.images.list().count))
    json.set("Driver", facts.storageDriver)
    json.set("DriverStatus", [["Supports d_type", "true"]])
    json.set(
      "Plugins",
      [
        "Volume": ["local"], "Network": ["bridge", "host", "null"], "Authorization": nil, "Log": ["json-file", "none"],
      ])
    json.set("MemoryLimit", true)
    json.set("SwapLimit", true)
    if !version.isAtLeast(42) { json.set("KernelMemory", false) }
    if !version.isAtLeast(52) { json.set("KernelMemoryTCP", false) }
    json.set("CpuCfsPeriod", true)
    json.set("CpuCfsQuota", true)
    json.set("CPUShares", true)
    json.set("CPUSet", true)
    json.set("PidsLimit", true)
    json.set("IPv4Forwarding", host.forwards)
    if version.infoHasBridgeNetfilter {
      json.set("BridgeNfIptables", false)
      json.set("BridgeNfIp6tables", false)
    }
    json.set("Debug", facts.debug)
    json.set("NFd", JSON(host.openFiles))
    json.set("OomKillDisable", isV1)
    json.set("NGoroutines", JSON(host.threads))
    json.set("SystemTime", ContainerShapes.time(Clock.now()))
    json.set("LoggingDriver", facts.loggingDriver)
    json.set("CgroupDriver", "cgroupfs")
    json.set("CgroupVersion", "\(facts.cgroupVersion)")
    json.set("NEventsListener", JSON(nouns.events.subscriberCount))
    json.set("KernelVersion", host.kernel)
    json.set("OperatingSystem", host.operatingSystem)
    json.set("OSVersion", host.operatingSystemVersion)
    json.set("OSType", "linux")
    json.set("Architecture", host.machine)
    json.set("IndexServerAddress", "https://index.docker.io/v1/")
    json.set("RegistryConfig", registry(version))
    json.set("NCPU", JSON(host.processors))
    json.set("MemTotal", host.memory)
    json.set("GenericResources", .null)
    json.set("DockerRootDir", facts.dataRoot)
    for name in ["HttpProxy", "HttpsProxy", "NoProxy"] { json.set(name, "") }
    json.set("Name", host.hostName)
    json.set("Labels", facts.labels)
    json.set("ExperimentalBuild", false)
    json.set("ServerVersion", facts.version)
    json.set("Runtimes", .object(JSONObject([(facts.defaultRuntime, ["path": "berth-shim"])])))
    json.set("DefaultRuntime", facts.defaultRuntime)
    json.set(
      "Swarm",
      [
        "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
        "RemoteManagers": nil,
      ])
    // Containers outlive the daemon, always.
    json.set("LiveRestoreEnabled", true)
    json.set("Isolation", "")
    json.set("InitBinary", "berth-shim")
    let commit: JSON = version.commitsHaveExpected ? ["ID": "", "Expected": ""] : ["ID": ""]
    for name in ["ContainerdCommit", "RuncCommit", "InitCommit"] { json.set(name, commit) }
    json.set(
      "SecurityOptions",
      ["name=seccomp,profile=builtin"] + (facts.remapsUsers ? ["name=userns"] : [])
        + (isV1 ? [] : ["name=cgroupns"]))
    if version.infoHasFirewallBackend { json.set("FirewallBackend", ["Driver": "nftables"]) }
    json.set("CDISpecDirs", version.isAtLeast(44) ? [] : .null)
    let warnings = facts.warnings + nouns.networks.warnings
    json.set("Warnings", warnings.isEmpty ? .null : JSON(warnings))
    return json.json
  }

  private func registry(_ version: APIVersion) -> JSON {
    var json = JSONBuilder()
    if !version.isAtLeast(47) {
      json.set("AllowNondistributableArtifactsCIDRs", .null)
      json.set("AllowNondistributableArtifactsHostnames", .null)
    }
    json.set("InsecureRegistryCIDRs", ["127.0.0.0/8", "::1/128"])
    json.set(
      "IndexConfigs",
      ["docker.io": ["Name": "docker.io", "Mirrors": [], "Secure": true, "Official": true]])
    json.set("Mirrors", .null)
    return json.json
  }
}

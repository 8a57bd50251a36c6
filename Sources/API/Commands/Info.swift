import EngineClient
import OCI

extension Command {
  static let info = Command(
    name: "info", usage: "[OPTIONS]", summary: "Display system-wide information", aliases: ["system info", "info"],
    arguments: .none,
    flags: [Flag(.string, "format", short: "f", Flag.inspectFormatHelp)]
  ) { invocation in
    let format = invocation.values.string("format")
    var client = JSONBuilder()
    client.set("Debug", invocation.context.debug)
    client.set("Version", Commands.version)
    client.set("Context", "default")
    client.set("Plugins", .array([]))
    client.set("Warnings", JSON.null)
    if format.isEmpty {
      invocation.output.print("Client:\n Version:    \(Commands.version)\n Context:    default\n")
      invocation.output.print(" Debug Mode: \(invocation.context.debug)\n\nServer:\n")
      let info: JSON
      do { info = try invocation.client.get("/info").json() } catch {
        invocation.output.flush()
        invocation.context.printError("\(error)")
        throw CommandFailure("errors pretty printing info")
      }
      invocation.output.print(ServerInfo(info).text + "\n")
      invocation.output.flush()
      for warning in info["Warnings"]?.arrayValue ?? [] { invocation.context.printError(warning.stringValue ?? "") }
      return
    }
    let template: Template
    do { template = try Template(format == "json" ? "{{json .}}" : format) } catch {
      throw CommandFailure("template parsing error: \(error)", status: 64)
    }
    var info = try invocation.client.get("/info").json()
    info["ClientInfo"] = client.json
    do { invocation.output.line(try template.execute(TemplateValue(info), missingKey: .error)) } catch let error
      as TemplateError
    {
      throw CommandFailure(error.description)
    }
  }
}

/// `info`'s account of the daemon, a line a fact.
private struct ServerInfo {
  private let info: JSON
  private(set) var text = ""

  init(_ info: JSON) {
    self.info = info
    counts()
    plugins()
    runtime()
    host()
    registry()
  }

  private mutating func line(_ title: String, _ value: String) { text += " \(title): \(value)\n" }
  private mutating func number(_ title: String, _ key: String) { line(title, "\(info[key]?.intValue ?? 0)") }
  private mutating func flag(_ title: String, _ key: String) {
    line(title, info[key]?.boolValue == true ? "true" : "false")
  }
  private mutating func ifAny(_ title: String, _ key: String) {
    if let value = info[key]?.stringValue, !value.isEmpty { line(title, value) }
  }
  private func strings(_ json: JSON?) -> [String] { (json?.arrayValue ?? []).compactMap(\.stringValue) }

  private mutating func counts() {
    number("Containers", "Containers")
    number(" Running", "ContainersRunning")
    number(" Paused", "ContainersPaused")
    number(" Stopped", "ContainersStopped")
    number("Images", "Images")
    ifAny("Server Version", "ServerVersion")
    ifAny("Storage Driver", "Driver")
    for pair in info["DriverStatus"]?.arrayValue ?? [] {
      let parts = strings(pair)
      if parts.count == 2 { line(" \(parts[0])", parts[1]) }
    }
    ifAny("Logging Driver", "LoggingDriver")
    ifAny("Cgroup Driver", "CgroupDriver")
    ifAny("Cgroup Version", "CgroupVersion")
  }

  private mutating func plugins() {
    text += " Plugins:\n"
    let plugins = info["Plugins"]
    line(" Volume", strings(plugins?["Volume"]).joined(separator: " "))
    line(" Network", strings(plugins?["Network"]).joined(separator: " "))
    let authorization = strings(plugins?["Authorization"])
    if !authorization.isEmpty { line(" Authorization", authorization.joined(separator: " ")) }
    line(" Log", strings(plugins?["Log"]).joined(separator: " "))
    let directories = strings(info["CDISpecDirs"])
    if !directories.isEmpty { text += " CDI spec directories:\n" + directories.map { "  \($0)\n" }.joined() }
    line("Swarm", info["Swarm"]?["LocalNodeState"]?.stringValue ?? "")
  }

  private mutating func runtime() {
    if let runtimes = info["Runtimes"]?.objectValue, !runtimes.isEmpty {
      line("Runtimes", runtimes.members.map(\.key).sorted().joined(separator: " "))
      line("Default Runtime", info["DefaultRuntime"]?.stringValue ?? "")
    }
    guard info["OSType"]?.stringValue == "linux" else { return }
    line("Init Binary", info["InitBinary"]?.stringValue ?? "")
    for (title, key) in [("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")] {
      let id = info[key]?["ID"]?.stringValue ?? ""
      let expected = info[key]?["Expected"]?.stringValue ?? id
      line("\(title) version", id + (id == expected || expected.isEmpty ? "" : " (expected: \(expected))"))
    }
    let options = strings(info["SecurityOptions"])
    guard !options.isEmpty else { return }
    text += " Security Options:\n"
    for option in options {
      let pairs = option.split(separator: ",").map { $0.cut("=") }
      for (key, value) in pairs where key == "name" { text += "  \(value ?? "")\n" }
      for (key, value) in pairs where key == "profile" { text += "   Profile: \(value ?? "")\n" }
    }
  }

  private mutating func host() {
    ifAny("Kernel Version", "KernelVersion")
    ifAny("Operating System", "OperatingSystem")
    ifAny("OSType", "OSType")
    ifAny("Architecture", "Architecture")
    number("CPUs", "NCPU")
    line("Total Memory", HumanUnits.binarySize(info["MemTotal"]?.doubleValue ?? 0))
    ifAny("Name", "Name")
    ifAny("ID", "ID")
    line("Docker Root Dir", info["DockerRootDir"]?.stringValue ?? "")
    flag("Debug Mode", "Debug")
    if info["Debug"]?.boolValue == true {
      number(" File Descriptors", "NFd")
      number(" Goroutines", "NGoroutines")
      line(" System Time", info["SystemTime"]?.stringValue ?? "")
      number(" EventsListeners", "NEventsListener")
    }
    ifAny("HTTP Proxy", "HttpProxy")
    ifAny("HTTPS Proxy", "HttpsProxy")
    ifAny("No Proxy", "NoProxy")
    let labels = strings(info["Labels"])
    if !labels.isEmpty { text += " Labels:\n" + labels.map { "  \($0)\n" }.joined() }
    flag("Experimental", "ExperimentalBuild")
  }

  private mutating func registry() {
    let config = info["RegistryConfig"]
    let insecure = strings(config?["InsecureRegistryCIDRs"])
    let indexes = config?["IndexConfigs"]?.objectValue ?? JSONObject()
    if !insecure.isEmpty || !indexes.isEmpty {
      text += " Insecure Registries:\n"
      for (_, index) in indexes.members where index["Secure"]?.boolValue != true {
        text += "  \(index["Name"]?.stringValue ?? "")\n"
      }
      for range in insecure { text += "  \(range)\n" }
    }
    let mirrors = strings(config?["Mirrors"])
    if !mirrors.isEmpty { text += " Registry Mirrors:\n" + mirrors.map { "  \($0)\n" }.joined() }
    flag("Live Restore Enabled", "LiveRestoreEnabled")
    ifAny("Product License", "ProductLicense")
    let pools = info["DefaultAddressPools"]?.arrayValue ?? []
    if !pools.isEmpty {
      text += " Default Address Pools:\n"
      for pool in pools {
        text += "   Base: \(pool["Base"]?.stringValue ?? ""), Size: \(pool["Size"]?.intValue ?? 0)\n"
      }
    }
  }
}

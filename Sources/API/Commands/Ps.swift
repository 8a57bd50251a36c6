import EngineClient
import OCI

extension Command {
  static let ps = Command(
    name: "ps", usage: "[OPTIONS]", summary: "List containers",
    aliases: ["container ls", "container list", "container ps", "ps"], arguments: .none,
    flags: [
      Flag(.bool, "all", short: "a", "Show all containers (default shows just running)"),
      Flag(.filter, "filter", short: "f", "Filter output based on conditions provided"),
      Flag(.string, "format", Flag.formatHelp),
      Flag(.int, "last", short: "n", default: "-1", "Show n last created containers (includes all states)"),
      Flag(.bool, "latest", short: "l", "Show the latest created container (includes all states)"),
      Flag(.bool, "no-trunc", "Don't truncate output"),
      Flag(.bool, "quiet", short: "q", "Only display container IDs"),
      Flag(.bool, "size", short: "s", "Display total file sizes"),
    ]
  ) { invocation in
    let values = invocation.values
    let format = values.string("format")
    let quiet = values.bool("quiet")
    if !format.isEmpty && quiet {
      invocation.context.printError("WARNING: Ignoring custom format, because both --format and --quiet are set.")
    }
    var size = values.bool("size")
    if !format.isEmpty { try checkFormat(format, &size, mayAsk: !quiet && !values.isSet("size")) }
    var query = Query()
    query.add("all", values.bool("all"))
    Filters.add(values, to: &query)
    let last = values.int("last")
    if last > 0 || values.bool("latest") { query.add("limit", last == -1 && values.bool("latest") ? "1" : "\(last)") }
    query.add("size", size)
    let table = try TableFormat(quiet ? "{{.ID}}" : ContainerRow.format(format, size: size))
    let containers = try invocation.client.get("/containers/json", query: query).json().arrayValue ?? []
    let rows = containers.map { ContainerRow($0, truncates: !values.bool("no-trunc")).record }
    invocation.output.print(try table.render(titles: ContainerRow.titles, rows: rows))
  }

  /// Tells a wrong template before anything is asked for, and whether it needs sizes, which are dear.
  private static func checkFormat(_ format: String, _ size: inout Bool, mayAsk: Bool) throws {
    let template: Template
    do { template = try Template(format) } catch { throw CommandFailure("failed to parse template: \(error)") }
    do { _ = try template.execute(.record(ContainerRow(.object(JSONObject()), truncates: true).record)) } catch {
      throw CommandFailure("failed to execute template: \(error)")
    }
    if mayAsk && template.uses(field: "Size") { size = true }
  }
}

/// A container as `ps` shows it.
struct ContainerRow {
  private let container: JSON
  private let truncates: Bool

  init(_ container: JSON, truncates: Bool) {
    self.container = container
    self.truncates = truncates
  }

  static let titles = [
    "ID": "CONTAINER ID", "Names": "NAMES", "Image": "IMAGE", "Command": "COMMAND", "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED", "Ports": "PORTS", "State": "STATE", "Status": "STATUS", "Size": "SIZE", "Labels": "LABELS",
    "Mounts": "MOUNTS", "LocalVolumes": "LOCAL VOLUMES", "Networks": "NETWORKS", "Platform": "PLATFORM",
  ]

  static func format(_ source: String, size: Bool) -> String {
    switch source {
    case "", "table":
      "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
        + (size ? "\t{{.Size}}" : "")
    case "raw":
      "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n"
        + "state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\n"
        + "ports: {{- pad .Ports 1 0}}\n" + (size ? "size: {{.Size}}\n" : "")
    default: source
    }
  }

  private static let names = [
    "Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names", "Networks", "Platform", "Ports",
    "RunningFor", "Size", "State", "Status",
  ]

  var record: TemplateRecord {
    TemplateRecord(typeName: "*formatter.ContainerContext", names: ContainerRow.names) { name in
      name == "Platform" ? platform : field(name).map { .string($0) }
    } method: { name, arguments in
      guard name == "Label", case .string(let label)? = arguments.first else { return nil }
      return .string(container["Labels"]?[label]?.stringValue ?? "")
    }
  }

  private var platform: TemplateValue {
    container["ImageManifestDescriptor"]?["platform"].map { TemplateValue($0, name: "Platform") }
      ?? .json(.null, name: "Platform")
  }

  private func text(_ key: String) -> String { container[key]?.stringValue ?? "" }

  private func field(_ name: String) -> String? {
    switch name {
    case "ID": return truncates ? String(text("Id").prefix(12)) : text("Id")
    case "Names": return names
    case "Image": return image
    case "Command": return GoText.quote(truncates ? GoText.ellipsis(text("Command"), 20) : text("Command"))
    case "CreatedAt": return Timestamps.text(seconds: container["Created"]?.intValue ?? 0)
    case "RunningFor": return Ago.text(seconds: container["Created"]?.intValue ?? 0)
    case "Ports": return DisplayedPorts.text(container["Ports"]?.arrayValue ?? [])
    case "State": return text("State")
    case "Status": return text("Status")
    case "Size": return size
    case "Labels":
      return (container["Labels"]?.objectValue?.members ?? []).map { "\($0.key)=\($0.value.stringValue ?? "")" }.joined(
        separator: ",")
    case "Mounts":
      return (container["Mounts"]?.arrayValue ?? []).map { mount in
        let own = mount["Name"]?.stringValue ?? ""
        let name = own.isEmpty ? mount["Source"]?.stringValue ?? "" : own
        return truncates ? GoText.ellipsis(name, 15) : name
      }.joined(separator: ",")
    case "LocalVolumes":
      return "\((container["Mounts"]?.arrayValue ?? []).count { $0["Driver"]?.stringValue == "local" })"
    case "Networks":
      return (container["NetworkSettings"]?["Networks"]?.objectValue?.members ?? []).map(\.key).joined(separator: ",")
    default: return nil
    }
  }

  /// Without the slash; names that links made are left out.
  private var names: String {
    let all = (container["Names"]?.arrayValue ?? []).compactMap(\.stringValue).map { String($0.dropFirst()) }
    if truncates, let own = all.first(where: { !$0.contains("/") }) { return own }
    return all.joined(separator: ",")
  }

  private var image: String {
    let image = text("Image")
    if image.isEmpty { return "<no image>" }
    guard truncates else { return image }
    let id = ImageName.shortID(text("ImageID"))
    if !id.isEmpty && id == ImageName.shortID(image) { return id }
    let (name, tag, _) = ImageName.split(image)
    return ImageName.shortened(name) + (tag.map { ":\($0)" } ?? "")
  }

  private var size: String {
    let written = HumanUnits.size(container["SizeRw"]?.doubleValue ?? 0, precision: 3)
    guard let all = container["SizeRootFs"]?.doubleValue, all > 0 else { return written }
    return "\(written) (virtual \(HumanUnits.size(all, precision: 3)))"
  }
}

/// How long ago something was, by our own clock.
enum Ago {
  static func text(seconds: Int64) -> String {
    HumanUnits.duration(seconds: Double(Timestamps.now()) / 1e9 - Double(seconds)) + " ago"
  }
}

/// Published and exposed ports in docker's notation: `0.0.0.0:80-81->80-81/tcp, 9000/udp`.
enum DisplayedPorts {
  private struct Group {
    let key: String
    var first: Int64
    var last: Int64
  }

  static func text(_ ports: [JSON]) -> String {
    func number(_ port: JSON, _ key: String) -> Int64 { port[key]?.intValue ?? 0 }
    func text(_ port: JSON, _ key: String) -> String { port[key]?.stringValue ?? "" }
    let sorted = ports.sorted { a, b in
      (number(a, "PrivatePort"), text(a, "IP"), number(a, "PublicPort"), text(a, "Type"))
        < (number(b, "PrivatePort"), text(b, "IP"), number(b, "PublicPort"), text(b, "Type"))
    }
    var groups: [Group] = []
    var finished: [String] = []
    var mappings: [String] = []
    for port in sorted {
      let (own, type, address) = (number(port, "PrivatePort"), text(port, "Type"), text(port, "IP"))
      var key = type
      if !address.isEmpty {
        guard number(port, "PublicPort") == own else {
          mappings.append("\(host(address)):\(number(port, "PublicPort"))->\(own)/\(type)")
          continue
        }
        key = "\(address)/\(type)"
      }
      guard let index = groups.firstIndex(where: { $0.key == key }) else {
        groups.append(Group(key: key, first: own, last: own))
        continue
      }
      if own == groups[index].last &+ 1 {
        groups[index].last = own
      } else {
        finished.append(describe(groups[index]))
        groups[index].first = own
        groups[index].last = own
      }
    }
    return (finished + groups.map(describe) + mappings).joined(separator: ", ")
  }

  private static func host(_ address: String) -> String { address.contains(":") ? "[\(address)]" : address }

  private static func describe(_ group: Group) -> String {
    let range = group.first == group.last ? "\(group.first)" : "\(group.first)-\(group.last)"
    guard let slash = group.key.lastIndex(of: "/") else { return "\(range)/\(group.key)" }
    let address = String(group.key[..<slash])
    return "\(host(address)):\(range)->\(range)/\(group.key[group.key.index(after: slash)...])"
  }
}

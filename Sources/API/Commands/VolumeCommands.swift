import EngineClient
import OCI

extension Command {
  static let volumeLs = Command(
    name: "ls", usage: "[OPTIONS]", summary: "List volumes", aliases: ["volume ls", "volume list"], arguments: .none,
    flags: [
      Flag(.bool, "cluster", hidden: true, "Display only cluster volumes, and use cluster volume list formatting"),
      Flag(.filter, "filter", short: "f", "Provide filter values (e.g. \"dangling=true\")"),
      Flag(.string, "format", Flag.formatHelp),
      Flag(.bool, "quiet", short: "q", "Only display volume names"),
    ]
  ) { invocation in
    let format = invocation.values.string("format")
    let source =
      ["", "table"].contains(format)
      ? (invocation.values.bool("quiet") ? "{{.Name}}" : "table {{.Driver}}\t{{.Name}}") : format
    let table = try TableFormat(source)
    var query = Query()
    Filters.add(invocation.values, to: &query)
    let volumes = (try invocation.client.get("/volumes", query: query).json()["Volumes"]?.arrayValue ?? [])
      .sorted { NaturalOrder.precedes($0["Name"]?.stringValue ?? "", $1["Name"]?.stringValue ?? "") }
    invocation.output.print(try table.render(titles: VolumeRow.titles, rows: volumes.map { VolumeRow($0).record }))
  }

  static let volumeCreate = Command(
    name: "create", usage: "[OPTIONS] [VOLUME]", summary: "Create a volume", arguments: .atMost(1),
    flags: [
      Flag(.string, "driver", short: "d", default: "local", "Specify volume driver name"),
      Flag(.list, "label", "Set metadata for a volume"),
      Flag(.string, "name", hidden: true, "Specify volume name"),
      Flag(.map, "opt", short: "o", default: "map[]", "Set driver specific options"),
    ]
  ) { invocation in
    let body: JSON = [
      "Name": .string(invocation.arguments.first ?? invocation.values.string("name")),
      "Driver": .string(invocation.values.string("driver")), "DriverOpts": JSON(invocation.values.map("opt")),
      "Labels": JSON(invocation.values.map("label")),
    ]
    invocation.output.line(try invocation.client.post("/volumes/create", body: body).json()["Name"]?.stringValue ?? "")
  }

  static let volumeRm = Command(
    name: "rm", usage: "[OPTIONS] VOLUME [VOLUME...]", summary: "Remove one or more volumes",
    description: "Remove one or more volumes. You cannot remove a volume that is in use by a container.",
    aliases: ["volume rm", "volume remove"], arguments: .atLeast(1),
    flags: [Flag(.bool, "force", short: "f", "Force the removal of one or more volumes")]
  ) { invocation in
    var query = Query()
    query.add("force", invocation.values.bool("force"))
    try ContainersOperation.run(invocation, invocation.arguments) {
      Request("DELETE", "/volumes/\(PercentEncoding.encode($0))", query: query)
    }
  }
}

/// A volume as lists show it.
struct VolumeRow {
  private let volume: JSON

  init(_ volume: JSON) { self.volume = volume }

  static let titles = [
    "Name": "VOLUME NAME", "Driver": "DRIVER", "Scope": "SCOPE", "Mountpoint": "MOUNTPOINT", "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE", "Group": "GROUP", "Availability": "AVAILABILITY", "Status": "STATUS",
  ]

  var record: TemplateRecord {
    TemplateRecord(typeName: "*formatter.volumeContext", names: Array(VolumeRow.titles.keys)) { name in
      field(name).map { .string($0) }
    } method: { name, arguments in
      guard name == "Label", case .string(let label)? = arguments.first else { return nil }
      return .string(volume["Labels"]?[label]?.stringValue ?? "")
    }
  }

  private func field(_ name: String) -> String? {
    switch name {
    case "Name", "Driver", "Scope", "Mountpoint": volume[name]?.stringValue ?? ""
    case "Labels":
      (volume["Labels"]?.objectValue?.members ?? []).map { "\($0.key)=\($0.value.stringValue ?? "")" }.joined(
        separator: ",")
    case "Links": volume["UsageData"]?["RefCount"]?.intValue.map { "\($0)" } ?? "N/A"
    case "Size": volume["UsageData"]?["Size"]?.doubleValue.map { HumanUnits.size($0) } ?? "N/A"
    case "Group", "Availability", "Status": "N/A"
    default: nil
    }
  }
}

import EngineClient
import OCI

extension Command {
  static let history = Command(
    name: "history", usage: "[OPTIONS] IMAGE", summary: "Show the history of an image",
    aliases: ["image history", "history"],
    arguments: .exactly(1),
    flags: [
      Flag(.string, "format", Flag.formatHelp),
      Flag(.bool, "human", short: "H", default: "true", "Print sizes and dates in human readable format"),
      Flag(.bool, "no-trunc", "Don't truncate output"),
      Flag(
        .string, "platform",
        "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
      Flag(.bool, "quiet", short: "q", "Only show image IDs"),
    ]
  ) { invocation in
    let values = invocation.values
    let human = values.bool("human")
    let truncates = !values.bool("no-trunc")
    var format = values.string("format")
    if ["", "table"].contains(format) {
      format =
        values.bool("quiet")
        ? "{{.ID}}"
        : "table {{.ID}}\t{{.\(human ? "CreatedSince" : "CreatedAt")}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
    }
    let table = try TableFormat(format)
    var query = Query()
    if values.isSet("platform") { query.add("platform", platform(values.string("platform"))) }
    let entries = try invocation.client.get(
      "/images/\(PercentEncoding.encodePath(invocation.arguments[0]))/history", query: query
    ).json()
    let rows = (entries.arrayValue ?? []).map { entry in row(entry, human: human, truncates: truncates) }
    let titles = [
      "ID": "IMAGE", "CreatedSince": "CREATED", "CreatedAt": "CREATED AT", "CreatedBy": "CREATED BY", "Size": "SIZE",
      "Comment": "COMMENT",
    ]
    invocation.output.print(try table.render(titles: titles, rows: rows))
  }

  private static func row(_ entry: JSON, human: Bool, truncates: Bool) -> TemplateRecord {
    let created = entry["Created"]?.intValue ?? 0
    func field(_ name: String) -> String? {
      switch name {
      case "ID":
        let id = entry["Id"]?.stringValue ?? ""
        return truncates ? ImageName.shortID(id) : id
      case "CreatedAt": return Timestamps.rfc3339(seconds: created)
      case "CreatedSince":
        if !human { return Timestamps.rfc3339(seconds: created) }
        // Reproducible builds date their layers to an epoch: that says nothing.
        return created <= 946_684_800 ? "N/A" : Ago.text(seconds: created)
      case "CreatedBy":
        let text = (entry["CreatedBy"]?.stringValue ?? "").replacing("\t", with: " ")
        return truncates ? GoText.ellipsis(text, 45) : text
      case "Size":
        let size = entry["Size"]?.intValue ?? 0
        return human ? HumanUnits.size(Double(size), precision: 3) : "\(size)"
      case "Comment": return entry["Comment"]?.stringValue ?? ""
      default: return nil
      }
    }
    return TemplateRecord(
      typeName: "*image.historyContext", names: ["Comment", "CreatedAt", "CreatedBy", "CreatedSince", "ID", "Size"]
    ) { field($0).map { .string($0) } }
  }
}

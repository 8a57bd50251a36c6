import EngineClient
import OCI

extension Command {
  static let search = Command(
    name: "search", usage: "[OPTIONS] TERM", summary: "Search Docker Hub for images", arguments: .exactly(1),
    flags: [
      Flag(.filter, "filter", short: "f", "Filter output based on conditions provided"),
      Flag(.string, "format", "Pretty-print search using a Go template"),
      Flag(.int, "limit", "Max number of search results"),
      Flag(.bool, "no-trunc", "Don't truncate output"),
    ]
  ) { invocation in
    var query: Query = ["term": invocation.arguments[0]]
    Filters.add(invocation.values, to: &query)
    if invocation.values.int("limit") > 0 { query.add("limit", "\(invocation.values.int("limit"))") }
    let format = invocation.values.string("format")
    let table = try TableFormat(
      format.isEmpty || format == "table"
        ? "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}" : format)
    let results = try invocation.client.get("/images/search", query: query).json().arrayValue ?? []
    let rows = results.map { result in
      TemplateRecord(typeName: "*registry.searchContext", names: ["Description", "IsOfficial", "Name", "StarCount"]) {
        name in
        switch name {
        case "Name": return .string(result["name"]?.stringValue ?? "")
        case "Description":
          let text = (result["description"]?.stringValue ?? "").replacing("\n", with: " ")
          return .string(invocation.values.bool("no-trunc") ? text : GoText.ellipsis(text, 45))
        case "StarCount": return .string("\(result["star_count"]?.intValue ?? 0)")
        case "IsOfficial": return .string(result["is_official"]?.boolValue == true ? "[OK]" : "")
        default: return nil
        }
      }
    }
    let titles = ["Name": "NAME", "Description": "DESCRIPTION", "StarCount": "STARS", "IsOfficial": "OFFICIAL"]
    invocation.output.print(try table.render(titles: titles, rows: rows))
  }
}

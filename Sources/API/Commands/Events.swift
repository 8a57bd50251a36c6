import EngineClient
import OCI

extension Command {
  static let events = Command(
    name: "events", usage: "[OPTIONS]", summary: "Get real time events from the server",
    aliases: ["system events", "events"],
    arguments: .none,
    flags: [
      Flag(.filter, "filter", short: "f", "Filter output based on conditions provided"),
      Flag(.string, "format", Flag.inspectFormatHelp),
      Flag(.string, "since", "Show all events created since timestamp"),
      Flag(.string, "until", "Stream events until this timestamp"),
    ]
  ) { invocation in
    let values = invocation.values
    let format = values.string("format")
    var template: Template?
    if !format.isEmpty {
      do { template = try Template(format == "json" ? "{{json .}}" : format) } catch {
        throw CommandFailure("Error parsing format: \(error)", status: 64)
      }
    }
    var query = Query()
    query.add("since", ifAny: try Timestamps.parameter(values.string("since")))
    query.add("until", ifAny: try Timestamps.parameter(values.string("until")))
    Filters.add(values, to: &query)
    let stream = JSONStream(try invocation.client.get("/events", query: query))
    while let event = try stream.next() {
      if let template {
        invocation.output.line(try template.execute(TemplateValue(event), missingKey: .error))
      } else {
        invocation.output.line(describe(event))
      }
      invocation.output.flush()
    }
  }

  private static func describe(_ event: JSON) -> String {
    let nanoseconds =
      event["timeNano"]?.intValue ?? (event["time"]?.intValue ?? 0).multipliedReportingOverflow(by: 1_000_000_000).0
    let actor = event["Actor"]
    var text = "\(Timestamps.rfc3339(nanoseconds: nanoseconds)) \(event["Type"]?.stringValue ?? "") "
    text += "\(event["Action"]?.stringValue ?? "") \(actor?["ID"]?.stringValue ?? "")"
    let attributes = (actor?["Attributes"]?.objectValue?.members ?? []).sorted { $0.key < $1.key }
    if !attributes.isEmpty {
      text += " (" + attributes.map { "\($0.key)=\($0.value.stringValue ?? "")" }.joined(separator: ", ") + ")"
    }
    return text
  }
}

import EngineClient
import OCI

extension Command {
  /// A verb that docker hasn't.
  static let networkAudit = Command(
    name: "audit", usage: "[OPTIONS]", summary: "Show who can reach what: networks, hosts, published ports",
    arguments: .none, flags: [Flag(.string, "format", Flag.formatHelp)]
  ) { invocation in
    let format = invocation.values.string("format")
    let audit = try invocation.client.get("/berth/networks/audit").json()
    if format == "json" {
      invocation.output.line(audit.text)
      return
    }
    let source = ["", "table"].contains(format) ? "table {{.From}}\t{{.To}}\t{{.At}}\t{{.Ports}}\t{{.By}}" : format
    let titles = ["From": "FROM", "To": "TO", "At": "AT", "Ports": "PORTS", "By": "BY"]
    let rows = (audit["Reaches"]?.arrayValue ?? []).map { reach in
      TemplateRecord(typeName: "*network.auditContext", names: titles.keys.sorted()) { name in
        if name == "At" {
          let addresses = (reach["At"]?.arrayValue ?? []).compactMap(\.stringValue)
          return .string(addresses.isEmpty ? "any" : addresses.joined(separator: ", "))
        }
        return reach[name]?.stringValue.map { .string($0) }
      }
    }
    invocation.output.print(try TableFormat(source).render(titles: titles, rows: rows))
    guard ["", "table"].contains(format) else { return }
    for line in audit["Apart"]?.arrayValue ?? [] { invocation.output.line("\(line.stringValue ?? "")") }
  }
}

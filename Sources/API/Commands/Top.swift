import EngineClient
import OCI

extension Command {
  static let top = Command(
    name: "top", usage: "CONTAINER [ps OPTIONS]", summary: "Display the running processes of a container",
    aliases: ["container top", "top"], arguments: .atLeast(1), interspersed: false
  ) { invocation in
    var query = Query()
    query.add("ps_args", ifAny: invocation.arguments.dropFirst().joined(separator: " "))
    let processes = try invocation.client.get(
      "/containers/\(PercentEncoding.encode(invocation.arguments[0]))/top", query: query
    ).json()
    var writer = TabWriter(minimumWidth: 20, padding: 3)
    func write(_ row: JSON) {
      writer.write((row.arrayValue ?? []).map { $0.stringValue ?? "" }.joined(separator: "\t") + "\n")
    }
    write(processes["Titles"] ?? .null)
    for row in processes["Processes"]?.arrayValue ?? [] { write(row) }
    invocation.output.print(writer.finish())
  }
}

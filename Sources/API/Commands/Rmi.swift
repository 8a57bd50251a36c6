import EngineClient
import OCI

extension Command {
  static let rmi = Command(
    name: "rmi", usage: "[OPTIONS] IMAGE [IMAGE...]", summary: "Remove one or more images",
    aliases: ["image rm", "image remove", "rmi"], arguments: .atLeast(1),
    flags: [
      Flag(.bool, "force", short: "f", "Force removal of the image"),
      Flag(.bool, "no-prune", "Do not delete untagged parents"),
      Flag(
        .strings, "platform",
        "Remove only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
    ]
  ) { invocation in
    let client = try invocation.client
    let force = invocation.values.bool("force")
    var query = Query()
    query.add("force", force)
    query.add("noprune", invocation.values.bool("no-prune"))
    for text in invocation.values.list("platform") { query.add("platforms", platform(text)) }
    var errors: [String] = []
    var isFatal = false
    for name in invocation.arguments {
      do {
        for entry in try client.delete("/images/\(PercentEncoding.encodePath(name))", query: query).json().arrayValue
          ?? []
        {
          if let deleted = entry["Deleted"]?.stringValue, !deleted.isEmpty {
            invocation.output.line("Deleted: \(deleted)")
          } else {
            invocation.output.line("Untagged: \(entry["Untagged"]?.stringValue ?? "")")
          }
        }
      } catch let error as ClientError {
        if error.status != 404 { isFatal = true }
        errors.append(error.description)
      }
    }
    guard !errors.isEmpty else { return }
    if !force || isFatal { throw CommandFailure(errors.joined(separator: "\n")) }
    invocation.output.flush()
    invocation.context.printError(errors.joined(separator: "\n"))
  }
}

import EngineClient

extension Command {
  static let rename = Command(
    name: "rename", usage: "CONTAINER NEW_NAME", summary: "Rename a container",
    aliases: ["container rename", "rename"],
    arguments: .exactly(2)
  ) { invocation in
    let (old, new) = (invocation.arguments[0].trimmed(["/"]), invocation.arguments[1].trimmed())
    guard !old.isEmpty, !new.isEmpty else { throw CommandFailure("Error: Neither old nor new names may be empty") }
    do {
      _ = try invocation.client.post("/containers/\(PercentEncoding.encode(old))/rename", query: ["name": new])
    } catch let error as ClientError {
      throw CommandFailure("\(error)\nError: failed to rename container named \(old)")
    }
  }
}

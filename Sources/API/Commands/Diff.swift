import EngineClient
import OCI

extension Command {
  static let diff = Command(
    name: "diff", usage: "CONTAINER", summary: "Inspect changes to files or directories on a container's filesystem",
    aliases: ["container diff", "diff"], arguments: .exactly(1)
  ) { invocation in
    let changes = try invocation.client.get("/containers/\(PercentEncoding.encode(invocation.arguments[0]))/changes")
      .json()
    for change in changes.arrayValue ?? [] {
      let kind =
        switch change["Kind"]?.intValue {
        case 0: "C";
        case 1: "A";
        case 2: "D";
        default: ""
        }
      invocation.output.line("\(kind) \(change["Path"]?.stringValue ?? "")")
    }
  }
}

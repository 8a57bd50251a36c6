import EngineClient
import OCI

extension Command {
  static let wait = Command(
    name: "wait", usage: "CONTAINER [CONTAINER...]",
    summary: "Block until one or more containers stop, then print their exit codes",
    aliases: ["container wait", "wait"],
    arguments: .atLeast(1)
  ) { invocation in
    let client = try invocation.client
    var errors: [String] = []
    for name in invocation.arguments {
      do {
        let result = try client.send(ContainerRun.waitRequest(name, condition: "")).json()
        invocation.output.line("\(result["StatusCode"]?.intValue ?? 0)")
        invocation.output.flush()
      } catch { errors.append("\(error)") }
    }
    guard errors.isEmpty else { throw CommandFailure(errors.joined(separator: "\n")) }
  }
}

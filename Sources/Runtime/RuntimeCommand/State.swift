import OCI

/// `state`: what a container is, as runtime.md of the specification has it.
enum State {
  static let command = RuntimeCommand.Command(
    name: "state", usage: "ID", summary: "show a container's state", run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let container = try Container(try call.containerID(), root: call.root)
    Output.write(container.stateJSON(try container.status()).indented("  ") + "\n")
    return 0
  }
}

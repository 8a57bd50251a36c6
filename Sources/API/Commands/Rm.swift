import EngineClient

extension Command {
  static let rm = Command(
    name: "rm", usage: "[OPTIONS] CONTAINER [CONTAINER...]", summary: "Remove one or more containers",
    aliases: ["container rm", "container remove", "rm"], arguments: .atLeast(1),
    flags: [
      Flag(.bool, "force", short: "f", "Force the removal of a running container (uses SIGKILL)"),
      Flag(.bool, "link", short: "l", "Remove the specified link"),
      Flag(.bool, "volumes", short: "v", "Remove anonymous volumes associated with the container"),
    ]
  ) { invocation in
    var query = Query()
    query.add("force", invocation.values.bool("force"))
    query.add("link", invocation.values.bool("link"))
    query.add("v", invocation.values.bool("volumes"))
    try ContainersOperation.run(invocation, invocation.arguments, forgivesMissing: invocation.values.bool("force")) {
      name in
      let bare = name.trimmed(["/"])
      guard !bare.isEmpty else { throw CommandFailure("container name cannot be empty") }
      return Request("DELETE", "/containers/\(PercentEncoding.encode(bare))", query: query)
    }
  }
}

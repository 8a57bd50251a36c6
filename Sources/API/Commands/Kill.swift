import EngineClient

extension Command {
  static let kill = Command(
    name: "kill", usage: "[OPTIONS] CONTAINER [CONTAINER...]", summary: "Kill one or more running containers",
    aliases: ["container kill", "kill"], arguments: .atLeast(1),
    flags: [Flag(.string, "signal", short: "s", "Signal to send to the container")]
  ) { invocation in
    var query = Query()
    query.add("signal", ifAny: invocation.values.string("signal"))
    try ContainersOperation.run(invocation, invocation.arguments) {
      Request("POST", "/containers/\(PercentEncoding.encode($0))/kill", query: query)
    }
  }
}

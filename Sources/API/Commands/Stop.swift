import EngineClient

extension Command {
  static let stop = Command(
    name: "stop", usage: "[OPTIONS] CONTAINER [CONTAINER...]", summary: "Stop one or more running containers",
    aliases: ["container stop", "stop"], arguments: .atLeast(1), flags: stopFlags
  ) { invocation in try stopOrRestart(invocation, "stop") }

  static let stopFlags = [
    Flag(.string, "signal", short: "s", "Signal to send to the container"),
    Flag(.int, "timeout", short: "t", "Seconds to wait before killing the container"),
  ]

  static func stopOrRestart(_ invocation: Invocation, _ verb: String) throws {
    var query = Query()
    query.add("signal", ifAny: invocation.values.string("signal"))
    if invocation.values.isSet("timeout") { query.add("t", "\(invocation.values.int("timeout"))") }
    try ContainersOperation.run(invocation, invocation.arguments) {
      Request("POST", "/containers/\(PercentEncoding.encode($0))/\(verb)", query: query)
    }
  }
}

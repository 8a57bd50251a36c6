import EngineClient

extension Command {
  static let pause = Command(
    name: "pause", usage: "CONTAINER [CONTAINER...]", summary: "Pause all processes within one or more containers",
    aliases: ["container pause", "pause"], arguments: .atLeast(1)
  ) { invocation in
    try ContainersOperation.run(invocation, invocation.arguments) {
      Request("POST", "/containers/\(PercentEncoding.encode($0))/pause")
    }
  }
}

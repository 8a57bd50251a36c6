import EngineClient

extension Command {
  static let unpause = Command(
    name: "unpause", usage: "CONTAINER [CONTAINER...]", summary: "Unpause all processes within one or more containers",
    aliases: ["container unpause", "unpause"], arguments: .atLeast(1)
  ) { invocation in
    try ContainersOperation.run(invocation, invocation.arguments) {
      Request("POST", "/containers/\(PercentEncoding.encode($0))/unpause")
    }
  }
}

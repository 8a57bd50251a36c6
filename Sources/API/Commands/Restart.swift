extension Command {
  static let restart = Command(
    name: "restart", usage: "[OPTIONS] CONTAINER [CONTAINER...]", summary: "Restart one or more containers",
    aliases: ["container restart", "restart"], arguments: .atLeast(1), flags: stopFlags
  ) { invocation in try stopOrRestart(invocation, "restart") }
}

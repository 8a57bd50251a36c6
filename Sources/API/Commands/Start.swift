import EngineClient
import OCI
import Terminal

extension Command {
  static let start = Command(
    name: "start", usage: "[OPTIONS] CONTAINER [CONTAINER...]", summary: "Start one or more stopped containers",
    aliases: ["container start", "start"], arguments: .atLeast(1),
    flags: [
      Flag(.bool, "attach", short: "a", "Attach STDOUT/STDERR and forward signals"),
      Flag(.string, "checkpoint", hidden: true, "Restore from this checkpoint"),
      Flag(.string, "checkpoint-dir", hidden: true, "Use a custom checkpoint storage directory"),
      Flag(.string, "detach-keys", "Override the key sequence for detaching a container"),
      Flag(.bool, "interactive", short: "i", "Attach container's STDIN"),
    ]
  ) { invocation in
    if invocation.values.bool("attach") || invocation.values.bool("interactive") {
      try startAttached(invocation)
    } else {
      try startDetached(invocation)
    }
  }

  private static func startDetached(_ invocation: Invocation) throws {
    let client = try invocation.client
    var query = Query()
    query.add("checkpoint", ifAny: invocation.values.string("checkpoint"))
    query.add("checkpoint-dir", ifAny: invocation.values.string("checkpoint-dir"))
    var failed: [String] = []
    for name in invocation.arguments {
      do {
        _ = try client.post("/containers/\(PercentEncoding.encode(name))/start", query: query)
        invocation.output.line(name)
        invocation.output.flush()
      } catch {
        invocation.context.printError("\(error)")
        failed.append(name)
      }
    }
    guard failed.isEmpty else {
      throw CommandFailure("Error: failed to start containers: \(failed.joined(separator: ", "))")
    }
  }

  private static func startAttached(_ invocation: Invocation) throws {
    guard invocation.arguments.count == 1 else {
      throw CommandFailure("you cannot start and attach multiple containers at once")
    }
    let client = try invocation.client
    let container = try client.get("/containers/\(PercentEncoding.encode(invocation.arguments[0]))/json").json()
    let config = container["Config"] ?? .null
    let tty = config["Tty"]?.boolValue ?? false
    var run = ContainerRun(client: client, id: container["Id"]?.stringValue ?? invocation.arguments[0], tty: tty)
    run.stdin = invocation.values.bool("interactive") && config["OpenStdin"]?.boolValue == true
    run.detachKeys = invocation.values.string("detach-keys")
    run.proxiesSignals = !tty
    try requireTerminal(input: run.stdin, tty: tty)
    let status = try run.startAttached(removes: container["HostConfig"]?["AutoRemove"]?.boolValue ?? false)
    if let status, status != 0 { throw CommandFailure(status: status) }
  }

  /// A terminal for the container needs one on our side.
  static func requireTerminal(input: Bool, tty: Bool) throws {
    if input && tty && !Terminal.isTerminal(0) { throw CommandFailure("the input device is not a TTY") }
  }
}

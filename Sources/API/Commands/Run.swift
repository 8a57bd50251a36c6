import CLinux
import EngineClient

extension Command {
  static let run = Command(
    name: "run", usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]", summary: "Create and run a new container from an image",
    aliases: ["container run", "run"], arguments: .atLeast(1), interspersed: false,
    flags: ContainerFlags.shared + ContainerFlags.creation("running") + [
      Flag(.bool, "detach", short: "d", "Run container in background and print container ID"),
      Flag(.string, "detach-keys", "Override the key sequence for detaching a container"),
      Flag(.bool, "sig-proxy", default: "true", "Proxy received signals to the process"),
    ]
  ) { invocation in
    let values = invocation.values
    let detached = values.bool("detach")
    if detached && values.isSet("attach") {
      throw CommandFailure("conflicting options: cannot specify both --attach and --detach")
    }
    let options = try reportingRun(invocation, "run") {
      try ContainerOptions(
        invocation.values, arguments: invocation.arguments, detached: detached, apiSocket: invocation.context.socketPath
      )
    }
    if !detached { try requireTerminal(input: options.attachStdin, tty: options.tty) }
    let id = try reportingRun(invocation, "run", status: startStatus) { try createContainer(invocation, options) }
    let status = try reportingRun(invocation, "run", status: startStatus) {
      try startCreated(invocation, options, id: id, detached: detached)
    }
    if status != 0 { throw CommandFailure(status: status) }
  }

  private static func startCreated(_ invocation: Invocation, _ options: ContainerOptions, id: String, detached: Bool)
    throws -> Int32
  {
    let values = invocation.values
    let client = try invocation.client
    if detached {
      _ = try client.post("/containers/\(id)/start")
      invocation.output.line(id)
      return 0
    }
    if !options.attachStdout && !options.attachStderr {
      invocation.output.line(id)
      invocation.output.flush()
    }
    var run = ContainerRun(client: client, id: id, tty: options.tty)
    run.stdin = options.attachStdin
    run.stdout = options.attachStdout
    run.stderr = options.attachStderr
    run.detachKeys = values.string("detach-keys")
    run.proxiesSignals = values.bool("sig-proxy")
    return try run.startAttached(removes: options.autoRemove) ?? 0
  }

  /// 127: there is no such program; 126: it can't be run; 125: the engine failed.
  static func startStatus(_ message: String) -> Int32 {
    if message.contains("executable file not found") || message.contains("no such file or directory") { return 127 }
    if message.contains("permission denied") || message.contains("is a directory") {
      // That the socket is forbidden isn't the container's doing.
      return message.contains("Berth daemon socket") ? 125 : 126
    }
    return 125
  }
}

import EngineClient
import OCI
import Terminal

extension Command {
  static let exec = Command(
    name: "exec", usage: "[OPTIONS] CONTAINER COMMAND [ARG...]", summary: "Execute a command in a running container",
    aliases: ["container exec", "exec"], arguments: .atLeast(2), interspersed: false,
    flags: [
      Flag(.bool, "detach", short: "d", "Detached mode: run command in the background"),
      Flag(.string, "detach-keys", "Override the key sequence for detaching a container"),
      Flag(.list, "env", short: "e", "Set environment variables"),
      Flag(.list, "env-file", "Read in a file of environment variables"),
      Flag(.bool, "interactive", short: "i", "Keep STDIN open even if not attached"),
      Flag(.bool, "privileged", "Give extended privileges to the command"),
      Flag(.bool, "tty", short: "t", "Allocate a pseudo-TTY"),
      Flag(.string, "user", short: "u", "Username or UID (format: \"<name|uid>[:<group|gid>]\")"),
      Flag(.string, "workdir", short: "w", "Working directory inside the container"),
    ]
  ) { invocation in
    let values = invocation.values
    let detached = values.bool("detach")
    let tty = values.bool("tty")
    let input = values.bool("interactive") && !detached
    var body = JSONBuilder()
    ContainerOptions.set(&body, "User", values.string("user"))
    ContainerOptions.set(&body, "WorkingDir", values.string("workdir"))
    ContainerOptions.set(&body, "DetachKeys", values.string("detach-keys"))
    if values.bool("privileged") { body.set("Privileged", true) }
    body.set("Tty", tty)
    body.set("AttachStdin", input)
    body.set("AttachStdout", !detached)
    body.set("AttachStderr", !detached)
    if detached { body.set("Detach", true) }
    let environment = try KeyValueFiles.environment(files: values.list("env-file"), flags: values.list("env"))
    if !environment.isEmpty { body.set("Env", environment) }
    body.set("Cmd", Array(invocation.arguments.dropFirst()))
    var size: JSON?
    if tty, let terminal = try? WindowSize(of: 1) {
      size = [.int(Int64(terminal.height)), .int(Int64(terminal.width))]
    }
    body.set("ConsoleSize", size)

    let client = try invocation.client
    let container = PercentEncoding.encode(invocation.arguments[0])
    if input && tty && !Terminal.isTerminal(0) {
      // That there is no such container matters more than that there is no terminal.
      _ = try client.get("/containers/\(container)/json")
      try requireTerminal(input: input, tty: tty)
    }
    let created = try client.post("/containers/\(container)/exec", body: body.json).json()
    guard let id = created["Id"]?.stringValue, !id.isEmpty else { throw CommandFailure("exec ID empty") }
    var start = JSONBuilder()
    start.set("Detach", detached)
    start.set("Tty", tty)
    start.set("ConsoleSize", size)
    if detached {
      _ = try client.post("/exec/\(id)/start", body: start.json)
      return
    }
    let watches = tty && Terminal.isTerminal(0)
    func resize() {
      guard let size = try? WindowSize(of: 1), size.height > 0 || size.width > 0 else { return }
      _ = try? client.post("/exec/\(id)/resize", query: ["h": "\(size.height)", "w": "\(size.width)"])
    }
    let stream = try client.hijack(Request("POST", "/exec/\(id)/start", body: start.json))
    let signals = watches ? try ProxiedSignals(client, container: id, proxy: false) : nil
    let streams = try AttachedStreams(
      stream, tty: tty, input: input, detachKeys: values.string("detach-keys"), signals: signals,
      onResize: watches ? resize : nil)
    if watches { resize() }
    guard try streams.run() == .closed else { throw CommandFailure("read escape sequence") }
    let status = try client.get("/exec/\(id)/json").json()["ExitCode"]?.intValue ?? 0
    if status != 0 { throw CommandFailure(status: Int32(truncatingIfNeeded: status)) }
  }
}

import EngineClient
import OCI

extension Command {
  static let attach = Command(
    name: "attach", usage: "[OPTIONS] CONTAINER",
    summary: "Attach local standard input, output, and error streams to a running container",
    aliases: ["container attach", "attach"], arguments: .exactly(1),
    flags: [
      Flag(.string, "detach-keys", "Override the key sequence for detaching a container"),
      Flag(.bool, "no-stdin", "Do not attach STDIN"),
      Flag(.bool, "sig-proxy", default: "true", "Proxy all received signals to the process"),
    ]
  ) { invocation in
    let client = try invocation.client
    let name = invocation.arguments[0]
    let container = try client.get("/containers/\(PercentEncoding.encode(name))/json").json()
    let state = container["State"] ?? .null
    if state["Running"]?.boolValue != true {
      throw CommandFailure("You cannot attach to a stopped container, start it first")
    }
    if state["Paused"]?.boolValue == true {
      throw CommandFailure("You cannot attach to a paused container, unpause it first")
    }
    if state["Restarting"]?.boolValue == true {
      throw CommandFailure("You cannot attach to a restarting container, wait until it is running")
    }
    let config = container["Config"] ?? .null
    var run = ContainerRun(
      client: client, id: container["Id"]?.stringValue ?? name, tty: config["Tty"]?.boolValue ?? false)
    run.stdin = !invocation.values.bool("no-stdin") && config["OpenStdin"]?.boolValue == true
    run.detachKeys = invocation.values.string("detach-keys")
    run.proxiesSignals = invocation.values.bool("sig-proxy") && !run.tty
    try requireTerminal(input: !invocation.values.bool("no-stdin"), tty: run.tty)
    let waiting = try client.begin(ContainerRun.waitRequest(run.id, condition: ""))
    let stream = try client.hijack(run.attachRequest)
    let wait = try ExitWait(client, id: run.id, removes: false, response: try waiting.response())
    let signals = try run.proxiedSignals()
    // A shell shows its prompt again only when the size changes.
    if run.watchesTerminal { run.resize(growing: true) }
    guard let status = try run.follow(stream, wait: wait, signals: signals) else {
      throw CommandFailure("read escape sequence")
    }
    if status != 0 { throw CommandFailure(status: status) }
  }
}

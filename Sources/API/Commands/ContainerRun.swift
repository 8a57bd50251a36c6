import CLinux
import EngineClient
import Kernel
import OCI
import Terminal

/// A container's start with the user attached: what `run`, `start -a` and `attach` share.
struct ContainerRun {
  let client: EngineClient
  let id: String
  let tty: Bool
  var stdin = false
  var stdout = true
  var stderr = true
  var detachKeys = ""
  var proxiesSignals = true

  /// The attach request.
  var attachRequest: Request {
    var query = Query()
    query.add("stream", true)
    query.add("stdin", stdin)
    query.add("stdout", stdout)
    query.add("stderr", stderr)
    query.add("detachKeys", ifAny: detachKeys)
    return Request("POST", "/containers/\(PercentEncoding.encode(id))/attach", query: query).upgraded()
  }

  static func waitRequest(_ id: String, condition: String) -> Request {
    var query = Query()
    query.add("condition", ifAny: condition)
    return Request("POST", "/containers/\(PercentEncoding.encode(id))/wait", query: query)
  }

  /// The exit status that a wait's answer tells.
  static func status(_ response: Response) throws -> Int32 {
    let json = try response.json()
    if let message = json["Error"]?["Message"]?.stringValue, !message.isEmpty {
      throw CommandFailure(message, status: 125)
    }
    return Int32(truncatingIfNeeded: json["StatusCode"]?.intValue ?? 0)
  }

  /// Tells the daemon the terminal's size; a container that has just ended is no failure.
  func resize(growing: Bool = false) {
    guard let size = try? WindowSize(of: 1), size.height > 0 || size.width > 0 else { return }
    let more = growing ? 1 : 0
    _ = try? client.post(
      "/containers/\(PercentEncoding.encode(id))/resize",
      query: ["h": "\(Int(size.height) + more)", "w": "\(Int(size.width) + more)"])
  }

  var watchesTerminal: Bool { tty && Terminal.isTerminal(1) }

  /// Attaches, registers the wait, starts, and stays until the end; answers the exit status, nil when the user
  /// detached.
  ///
  /// Attach and wait are asked for in parallel; both must be answered before the start, so that no output and no early
  /// exit is missed. The error of a failed start is thrown once the container is gone (when it removes itself).
  func startAttached(removes: Bool) throws -> Int32? {
    let signals = try proxiedSignals()
    let attaching = try client.begin(attachRequest)
    let waiting = try client.begin(ContainerRun.waitRequest(id, condition: removes ? "removed" : "next-exit"))
    try client.connect()
    let stream = try attaching.hijack()
    let response = try waiting.response()
    do {
      _ = try client.post("/containers/\(PercentEncoding.encode(id))/start")
    } catch {
      if removes { _ = try? response.readAll() }
      throw error
    }
    let wait = try ExitWait(client, id: id, removes: removes, response: response)
    return try follow(stream, wait: wait, signals: signals)
  }

  func proxiedSignals() throws -> ProxiedSignals? {
    guard proxiesSignals || watchesTerminal else { return nil }
    return try ProxiedSignals(client, container: id, proxy: proxiesSignals)
  }

  /// Carries the streams until they end, then waits for the status.
  func follow(_ stream: HijackedStream, wait: ExitWait, signals: ProxiedSignals?) throws -> Int32? {
    let onResize: (() throws -> Void)? = watchesTerminal ? { resize() } : nil
    let streams = try AttachedStreams(
      stream, tty: tty, input: stdin, detachKeys: detachKeys, signals: signals, wait: wait, onResize: onResize)
    if watchesTerminal { resize() }
    guard try streams.run() == .closed else { return nil }
    while wait.status == nil {
      var polls = [
        pollfd(fd: wait.fd, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals?.fd ?? -1, events: Int16(POLLIN), revents: 0),
      ]
      try Sys.retrying("poll") { poll(&polls, 2, -1) }
      if polls[1].revents != 0 { try signals?.forward(onResize: onResize) }
      if polls[0].revents != 0 { try wait.advance() }
    }
    return wait.status
  }
}

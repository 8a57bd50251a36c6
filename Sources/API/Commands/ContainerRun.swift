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
  /// exit is missed. `startFailed` gets the error of a failed start once the container is gone (when it removes
  /// itself).
  func startAttached(removes: Bool) throws -> Int32? {
    let signals =
      proxiesSignals || watchesTerminal ? try ProxiedSignals(client, container: id, proxy: proxiesSignals) : nil
    let attaching = try client.begin(attachRequest)
    let waiting = try client.begin(ContainerRun.waitRequest(id, condition: removes ? "removed" : "next-exit"))
    try client.connect()
    let stream = try attaching.hijack()
    let wait = try waiting.response()
    do {
      _ = try client.post("/containers/\(PercentEncoding.encode(id))/start")
    } catch {
      if removes { _ = try? wait.readAll() }
      throw error
    }
    return try follow(stream, wait: wait, signals: signals)
  }

  /// Carries the streams until they end, then waits for the status.
  func follow(_ stream: HijackedStream, wait: Response, signals: ProxiedSignals?) throws -> Int32? {
    let onResize: (() throws -> Void)? = watchesTerminal ? { resize() } : nil
    let streams = try AttachedStreams(
      stream, tty: tty, input: stdin, detachKeys: detachKeys, signals: signals, onResize: onResize)
    if watchesTerminal { resize() }
    guard try streams.run() == .closed else { return nil }
    if let signals, let fd = wait.fd { try signals.awaitReadable(fd, onResize: onResize) }
    return try ContainerRun.status(wait)
  }
}

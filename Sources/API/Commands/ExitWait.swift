import CLinux
import EngineClient
import Kernel
import OCI

/// The wait for a container's end, which survives the daemon: when the connection breaks, the socket's directory is
/// watched until a daemon listens again, and the wait is asked for anew. The container and its attached streams run on
/// meanwhile.
final class ExitWait {
  private enum State {
    case waiting(Response)
    /// inotify(7) on the socket's directory.
    case lost(SharedDescriptor)
    case ended(Int32)
  }

  private let client: EngineClient
  private let id: String
  private let removes: Bool
  private var state: State

  /// `removes`: the container removes itself, and its removal is awaited.
  init(_ client: EngineClient, id: String, removes: Bool, response: Response) throws {
    self.client = client
    self.id = id
    self.removes = removes
    state = response.hasUnread ? .ended(try ContainerRun.status(response)) : .waiting(response)
  }

  /// To poll for reading; then `advance` is to be called. -1 after the end.
  var fd: Int32 {
    switch state {
    case .waiting(let response): response.fd ?? -1
    case .lost(let watch): watch.raw
    case .ended: -1
    }
  }

  /// The container's exit status, once it is known.
  var status: Int32? {
    if case .ended(let status) = state { return status }
    return nil
  }

  func advance() throws {
    switch state {
    case .ended: break
    case .waiting(let response):
      do { state = .ended(try ContainerRun.status(response)) } catch let error as ClientError {
        // Only a broken connection may be mended.
        guard error.status == nil else { throw error }
        try reconnect()
      }
    case .lost(let watch):
      try drain(watch.raw)
      try reconnect()
    }
  }

  private func reconnect() throws {
    let watch = try self.watch()
    do {
      // It may have ended meanwhile: whoever isn't running is told at once.
      let request = ContainerRun.waitRequest(id, condition: removes ? "removed" : "not-running")
      let response = try client.send(request)
      state = .waiting(response)
      // The answer may have come whole: poll(2) would wait for nothing.
      if response.hasUnread { state = .ended(try ContainerRun.status(response)) }
    } catch let error as ClientError {
      guard error.status == 404 else {
        state = .lost(watch)
        return
      }
      // It ended and was removed: the daemon told of its end when it found it.
      guard let status = try statusOfItsEnd() else {
        throw CommandFailure("the container ended while the daemon was away, and its status is lost", status: 125)
      }
      state = .ended(status)
    }
  }

  /// The status that the last `die` event of the container tells.
  private func statusOfItsEnd() throws -> Int32? {
    let now = Timestamps.now() / 1_000_000_000
    let query: Query = [
      "since": "1", "until": "\(now + 1)",
      "filters": Filters.parameter(["type=container", "container=\(id)", "event=die"]),
    ]
    let events = JSONStream(try client.get("/events", query: query))
    var status: Int32?
    while let event = try events.next() {
      status = event["Actor"]?["Attributes"]?["exitCode"]?.stringValue.flatMap { Int32($0) } ?? status
    }
    return status
  }

  private func watch() throws -> SharedDescriptor {
    if case .lost(let watch) = state { return watch }
    let path = client.host.path
    let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
    let watch = SharedDescriptor(
      owning: try Sys.retrying("inotify_init1") { inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK)) })
    try Sys.retrying("inotify_add_watch", directory) {
      inotify_add_watch(watch.raw, directory, UInt32(IN_CREATE | IN_MOVED_TO | IN_ATTRIB))
    }
    return watch
  }

  private func drain(_ fd: Int32) throws {
    var bytes = [UInt8](repeating: 0, count: 4096)
    do {
      while try bytes.withUnsafeMutableBytes({ try Sys.read(fd, $0) }) > 0 {}
    } catch let error as SyscallError where error.errno == .wouldBlock {
      return
    }
  }
}

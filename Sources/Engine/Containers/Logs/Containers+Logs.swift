import Errdefs
import Synchronization

extension Containers {
  /// The lines of a container's log, as they go to the client; followed ones until the container ends.
  public func logs(_ reference: String, _ options: LogOptions) async throws -> LogStream {
    let container = try find(reference)
    let snapshot = container.snapshot
    guard options.stdout || options.stderr else {
      throw EngineError.invalidParameter("You must choose at least one stream")
    }
    guard !snapshot.logPath.isEmpty else {
      throw EngineError.notImplemented("configured logging driver does not support reading")
    }
    let framed = !snapshot.config.tty
    let files = LogFiles(path: snapshot.logPath)
    let follow = options.follow && snapshot.state.running
    let run: LogCursor.Blocking = { [self] body in try await blocking(body) }
    let watch = follow ? try logWatch() : nil
    let directory = directory(container.id)
    return LogStream(multiplexed: framed) {
      guard let watch, let changes = try? watch.changes(in: directory) else {
        let cursor = LogCursor(
          files: files, options: options, framed: framed, wakes: nil, ending: { true }, blocking: run)
        return { try await cursor.next() }
      }
      let follower = LogFollower(container, changes, until: options.until)
      let cursor = LogCursor(
        files: files, options: options, framed: framed, wakes: follower.wakes, ending: { follower.hasEnded },
        blocking: run)
      return {
        // The follower lives as long as the iterator.
        defer { withExtendedLifetime(follower) {} }
        return try await cursor.next()
      }
    }
  }

  private func logWatch() throws -> FileWatch {
    try watchHolder.withLock { holder in
      if let watch = holder { return watch }
      let watch = try FileWatch()
      holder = watch
      return watch
    }
  }
}

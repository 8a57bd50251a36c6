import Synchronization

/// A process to be run, or run, in a running container. Kept in memory only: it ends with its container, and after a restart of
/// the daemon only those that still run are known again, from the shim.
final class Exec: Sendable {
  let id: String
  let containerID: String
  let config: ExecConfig

  struct State {
    var started = false
    var running = false
    var pid: Int32 = 0
    var exitCode: Int32?
    var openStdin: Bool
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  let state: Mutex<State>

  init(id: String, containerID: String, config: ExecConfig) {
    self.id = id
    self.containerID = containerID
    self.config = config
    state = Mutex(State(openStdin: config.attachStdin))
  }

  var isRunning: Bool { state.withLock { $0.running } }

  func end(code: Int32) {
    let waiting = state.withLock { state in
      state.running = false
      state.pid = 0
      state.exitCode = code
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }

  /// Returns when it doesn't run any more.
  func ended() async {
    await withCheckedContinuation { continuation in
      let over = state.withLock { state in
        if state.running { state.waiting.append(continuation) }
        return !state.running
      }
      if over { continuation.resume() }
    }
  }

  var snapshot: ExecSnapshot {
    state.withLock { state in
      ExecSnapshot(
        id: id, containerID: containerID, running: state.running, exitCode: state.exitCode, pid: state.pid,
        entrypoint: config.cmd.first ?? "", arguments: Array(config.cmd.dropFirst()), config: config,
        openStdin: config.attachStdin, openStdout: config.attachStdout, openStderr: config.attachStderr,
        canRemove: state.exitCode != nil)
    }
  }
}

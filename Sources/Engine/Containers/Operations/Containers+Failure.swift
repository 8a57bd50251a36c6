import ContainerRuntime
import Errdefs
import Logging
import Synchronization

extension Containers {
  /// A start came to nothing: gives back what was taken, keeps code and reason in the state, and throws what the client is told.
  func failed(_ container: Container, _ error: any Error) async throws -> Never {
    let (told, code) = Self.explain(error)
    logger.debug("container \(container.id) didn't start: \(error)")
    networks.disconnect(containerID: container.id)
    let pending = container.live.withLock { live in
      defer { live.pending = [] }
      return live.pending
    }
    _ = pending  // their sockets close with them
    let snapshot = container.update { snapshot in
      // `restarting` falls back to exited, as what it was before; a container that never ran stays created.
      if snapshot.state.status == .restarting { snapshot.state.status = .exited }
      snapshot.state.pid = 0
      snapshot.state.error = told.message
      if snapshot.state.exitCode == 0 || code != 128 { snapshot.state.exitCode = code }
      snapshot.endpoints = []
      snapshot.ports = PortMap()
      snapshot.network = nil
      snapshot.sandboxKey = ""
    }
    await save(container)
    behind("remove the run directory of \(container.id)") { [run = runDirectory(container.id)] in
      try Self.removeIfThere(run)
    }
    // `docker run --rm` waits beside its start, whose answer has the reason already: here the code alone, as dockerd says it.
    let removes = snapshot.hostConfig.autoRemove
    container.resolveWaiters(.exit, WaitResult(statusCode: code, error: removes ? nil : told.message))
    if removes {
      do { try await removeNow(container, result: WaitResult(statusCode: code), volumes: true) } catch {
        logger.error("remove container \(container.id) after its start failed: \(error)")
      }
    }
    throw told
  }

  /// The text, status and exit code of Docker for a failed start (daemon/errors.go `setExitCodeFromError`).
  static func explain(_ error: any Error) -> (EngineError, Int32) {
    guard let failure = error as? LaunchFailure else {
      if let error = error as? EngineError { return (error, 128) }
      return (.system("\(error)", cause: error), 128)
    }
    var text = """
      failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to \
      start container process: \(failure.message): unknown
      """
    let words = text.lowercased()
    if words.contains("permission denied") { return (.invalidParameter(text, cause: failure), 126) }
    if words.contains("is a directory") {
      text += ": permission denied"
      return (.invalidParameter(text, cause: failure), 126)
    }
    if words.contains("not a directory") {
      text += """
        : Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the \
        expected type
        """
      return (.invalidParameter(text, cause: failure), 127)
    }
    if words.contains("executable file not found") || words.contains("no such file or directory") {
      return (.invalidParameter(text, cause: failure), 127)
    }
    return (.system(text, cause: failure), 128)
  }
}

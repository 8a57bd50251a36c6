import Containers
import Errdefs
import NIOHTTP1
import OCI

/// `/containers/{id}/exec` and `/exec/…`
struct ExecRoutes: Sendable {
  let nouns: EngineNouns
  var containers: Containers { nouns.containers }

  func add(to router: inout Router) {
    router.add(.POST, "/containers/{id}/exec") { request in
      let body = try request.json() ?? [:]
      var config = try request.decode { () throws(JSONError) in try ExecConfig(JSONFields(body, anyCase: true)) }
      guard !config.cmd.isEmpty else { throw EngineError.invalidParameter("No exec command specified") }
      if !request.version.consoleSizeIsUsed { config.consoleSize = nil }
      let id = try await containers.createExec(request.parameter("id"), config)
      return .json(["Id": JSON(id)], status: .created)
    }
    router.add(.POST, "/exec/{id}/start") { try await start($0) }
    router.add(.POST, "/exec/{id}/resize") { request in
      let (width, height) = try request.terminalSize()
      try await containers.resizeExec(request.parameter("id"), width: width, height: height)
      return .empty(.ok)
    }
    router.add(.GET, "/exec/{id}/json") { request in
      .json(ExecShapes.inspect(try await containers.inspectExec(request.parameter("id"))))
    }
  }

  private func start(_ request: Request) async throws -> Response {
    let body = try request.json() ?? [:]
    let (detach, tty, size) = try request.decode { () throws(JSONError) in
      let fields = try JSONFields(body, anyCase: true)
      return (
        try fields.bool("Detach") ?? false, try fields.bool("Tty") ?? false, ConsoleSize(fields.value("ConsoleSize"))
      )
    }
    let id = request.parameter("id")
    let exec = try await containers.inspectExec(id)
    let consoleSize = request.version.consoleSizeIsUsed && tty ? size : nil
    guard !detach else {
      try await containers.startExec(id, consoleSize: consoleSize, attach: nil)
      return .empty(.ok)
    }
    try await containers.startExec(
      id, consoleSize: consoleSize,
      attach: AttachRequest(
        stdin: exec.config.attachStdin, stdout: exec.config.attachStdout, stderr: exec.config.attachStderr,
        detachKeys: exec.config.detachKeys, framed: !tty, connect: request.attachConnector()))
    return .taken
  }
}

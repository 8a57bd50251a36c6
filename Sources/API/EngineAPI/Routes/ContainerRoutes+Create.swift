import Containers
import Errdefs
import NIOHTTP1
import OCI

extension ContainerRoutes {
  func create(_ request: Request) async throws -> Response {
    guard let body = try request.json() else {
      throw EngineError.invalidParameter("invalid JSON: got EOF while reading request body")
    }
    guard body != .null, body != [:] else {
      throw EngineError.invalidParameter("config cannot be empty in order to create a container")
    }
    var draft = try request.decode { () throws(JSONError) in
      let fields = try JSONFields(body, anyCase: true)
      return ContainerDraft(
        config: try ContainerConfig(fields),
        hostConfig: try fields.object("HostConfig") { fields throws(JSONError) in try HostConfig(fields) }
          ?? HostConfig(),
        networking: try fields.object("NetworkingConfig") { fields throws(JSONError) in try NetworkingConfig(fields) }
          ?? NetworkingConfig())
    }
    try draft.adapt(from: request.version)
    let created = try await containers.create(
      name: request.query["name"], config: draft.config, hostConfig: draft.hostConfig, networking: draft.networking,
      platform: request.version.isAtLeast(41) ? request.query["platform"] : "")
    return .json(["Id": JSON(created.id), "Warnings": JSON(created.warnings + draft.warnings)], status: .created)
  }
}

extension Request {
  /// What the client sent in a shape that it can't have is its own fault.
  func decode<T>(_ body: () throws(JSONError) -> T) throws(EngineError) -> T {
    do { return try body() } catch { throw .invalidParameter("invalid JSON: \(error)") }
  }

  /// `h` and `w` of a resize.
  func terminalSize() throws(EngineError) -> (width: UInt16, height: UInt16) {
    let height = try query.requiredInt("h")
    let width = try query.requiredInt("w")
    guard let height = UInt16(exactly: height), let width = UInt16(exactly: width) else {
      throw .invalidParameter("a terminal of \(width) by \(height) characters is impossible")
    }
    return (width, height)
  }
}

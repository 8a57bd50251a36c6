import Containers
import Errdefs
import Images
import NIOCore
import NIOHTTP1
import OCI

/// `/containers/{id}/archive`, `export`, `changes`, and `/commit`
extension ContainerRoutes {
  func addFiles(to router: inout Router) {
    router.add(.HEAD, "/containers/{id}/archive") { request in
      let stat = try await containers.stat(request.parameter("id"), path: try Self.path(request))
      return .whole(.ok, Self.headers(stat), [])
    }
    router.add(.GET, "/containers/{id}/archive") { request in
      let archive = try await containers.archive(request.parameter("id"), path: try Self.path(request))
      var headers = Self.headers(archive.stat)
      headers.add(name: "Content-Type", value: "application/x-tar")
      return .stream(headers) { stream in
        try await archive.write { try stream.writeBlocking(ByteBuffer(bytes: $0)) }
      }
    }
    router.add(.PUT, "/containers/{id}/archive", body: .streamed) { request in
      try await containers.extract(
        request.parameter("id"), path: try Self.path(request), source: BodySource(request.connection),
        keepsKinds: request.query.bool("noOverwriteDirNonDir"), asUser: request.query.bool("copyUIDGID"))
      nouns.sizes.forgetAll()
      return .empty(.ok)
    }
    router.add(.GET, "/containers/{id}/export") { request in
      let write = try await containers.export(request.parameter("id"))
      return .stream(["Content-Type": "application/octet-stream"]) { stream in
        try await write { try stream.writeBlocking(ByteBuffer(bytes: $0)) }
      }
    }
    router.add(.GET, "/containers/{id}/changes") { request in
      let changes = try await containers.changes(request.parameter("id"))
      guard !changes.isEmpty else { return .json(.null) }
      return .json(.array(changes.map { ["Kind": JSON($0.kind.rawValue), "Path": JSON($0.path)] }))
    }
    router.add(.POST, "/commit") { try await commit($0) }
  }

  private static func path(_ request: Request) throws -> String {
    let path = request.query["path"]
    guard !path.isEmpty else { throw EngineError.invalidParameter("bad parameter: path cannot be empty") }
    return path
  }

  private static func headers(_ stat: PathStat) -> HTTPHeaders {
    ["X-Docker-Container-Path-Stat": Base64.encode(stat.json.encoded(escapeHTML: true))]
  }

  private func commit(_ request: Request) async throws -> Response {
    let query = request.query
    var config: ContainerConfig?
    if let body = try request.json(), body != .null {
      config = try request.decode { () throws(JSONError) in try ContainerConfig(try JSONFields(body, anyCase: true)) }
    }
    let commit = ContainerCommit(
      repository: query["repo"], tag: query["tag"], author: query["author"], comment: query["comment"],
      changes: query.all("changes"), config: config, pause: query.bool("pause", default: true))
    let id = try await containers.commit(query["container"], commit)
    return .json(["Id": JSON(id)], status: .created)
  }
}

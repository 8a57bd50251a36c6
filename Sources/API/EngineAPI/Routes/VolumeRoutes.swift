import Errdefs
import NIOHTTP1
import OCI
import Volumes

/// `/volumes/…` as Docker has them; `VolumeRoutes+Berth.swift` has what it hasn't.
struct VolumeRoutes: Sendable {
  let nouns: EngineNouns
  var volumes: Volumes { nouns.volumes }

  func add(to router: inout Router) {
    router.add(.GET, "/volumes") { request in
      let list = try volumes.list(try request.filters())
      return .json(["Volumes": .array(list.map { VolumeShapes.volume($0) }), "Warnings": nil])
    }
    router.add(.POST, "/volumes/create") { request in try await create(request) }
    router.add(.POST, "/volumes/prune") { request in
      var filters = try request.filters()
      // Named volumes, too, before there was a word for them.
      if !request.version.isAtLeast(42) { filters["all"] = ["true"] }
      let (deleted, reclaimed) = try await volumes.prune(filters)
      return .json(["VolumesDeleted": deleted.isEmpty ? .null : JSON(deleted), "SpaceReclaimed": JSON(reclaimed)])
    }
    addOwn(to: &router)
    router.add(.GET, "/volumes/{name}") { request in
      .json(VolumeShapes.volume(try volumes.inspect(request.parameter("name"))))
    }
    router.add(.DELETE, "/volumes/{name}") { request in
      try await volumes.remove(request.parameter("name"), force: request.query.bool("force"))
      return .empty()
    }
  }

  private func create(_ request: Request) async throws -> Response {
    guard let body = try request.json() else {
      throw EngineError.invalidParameter("invalid JSON: got EOF while reading request body")
    }
    let (name, driver, labels, options) = try request.decode { () throws(JSONError) in
      let fields = try JSONFields(body, anyCase: true)
      return (
        try fields.string("Name") ?? "", try fields.string("Driver") ?? "", try fields.map("Labels") ?? [:],
        try fields.map("DriverOpts") ?? [:]
      )
    }
    if let cluster = body["ClusterVolumeSpec"], cluster != .null {
      throw EngineError.notImplemented("cluster volumes are not built yet")
    }
    let volume = try await volumes.create(name: name, driver: driver, labels: labels, options: options)
    return .json(VolumeShapes.volume(volume), status: .created)
  }
}

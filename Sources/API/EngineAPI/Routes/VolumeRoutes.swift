import Errdefs
import NIOHTTP1
import OCI

/// `/volumes/…`: there are none yet, and that is what is told.
struct VolumeRoutes: Sendable {
  let nouns: EngineNouns

  func add(to router: inout Router) {
    router.add(.GET, "/volumes") { request in
      _ = try request.filters()
      return .json(["Volumes": [], "Warnings": nil])
    }
    router.add(.GET, "/volumes/{name}") { request in
      throw EngineError.notFound("get \(request.parameter("name")): no such volume")
    }
    router.add(.DELETE, "/volumes/{name}") { request in
      if request.query.bool("force") { return .empty() }
      throw EngineError.notFound("get \(request.parameter("name")): no such volume")
    }
    router.add(.POST, "/volumes/prune") { request in
      _ = try request.filters()
      return .json(["VolumesDeleted": nil, "SpaceReclaimed": 0])
    }
  }
}

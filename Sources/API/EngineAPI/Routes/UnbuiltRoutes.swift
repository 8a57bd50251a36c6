import Errdefs
import NIOHTTP1
import OCI

/// What Docker has and Berth has not yet: 501, saying so and what to use instead where there is something.
struct UnbuiltRoutes: Sendable {
  private static let routes: [(HTTPMethod, String, String)] = [
    (
      .GET, "/containers/{id}/attach/ws",
      "attaching over a websocket is not built yet: use POST /containers/{id}/attach"
    ),
    (.GET, "/containers/{id}/checkpoints", "checkpoints are not built yet"),
    (.POST, "/containers/{id}/checkpoints", "checkpoints are not built yet"),
    (.DELETE, "/containers/{id}/checkpoints/{checkpoint}", "checkpoints are not built yet"),
    (.POST, "/build", "building images is not built yet: build elsewhere, save, and load the image here"),
    (.POST, "/build/cancel", "building images is not built yet"),
    (.POST, "/session", "building images is not built yet: build elsewhere, save, and load the image here"),
    (.POST, "/grpc", "building images is not built yet: build elsewhere, save, and load the image here"),
    (.GET, "/images/{name...}/attestations", "attestations are not built yet"),
    (.POST, "/networks/create", "networks of one's own are not built yet: bridge, host and none are there"),
    (.POST, "/networks/{id}/connect", "networks of one's own are not built yet: bridge, host and none are there"),
    (.POST, "/networks/{id}/disconnect", "networks of one's own are not built yet: bridge, host and none are there"),
    (.POST, "/plugins/pull", "plugins are not supported"),
    (.POST, "/plugins/create", "plugins are not supported"),
  ]

  func add(to router: inout Router) {
    for (method, path, message) in Self.routes {
      // A body may be an archive, and nobody reads it.
      router.add(method, path, body: .streamed) { _ in throw EngineError.notImplemented(message) }
    }
    router.add(.GET, "/plugins") { _ in .json([]) }
    router.add(.GET, "/plugins/{name...}/json") { request in
      throw EngineError.notFound("plugin \(GoQuote.quoted(request.parameter("name"))) not found")
    }
    // There is no cache, so nothing of it goes: `docker system prune` asks.
    router.add(.POST, "/build/prune") { _ in .json(["CachesDeleted": nil, "SpaceReclaimed": 0]) }
    router.add(.POST, "/networks/prune") { request in
      _ = try request.filters()
      return .json(["NetworksDeleted": nil])
    }
  }
}

import Errdefs
import NIOHTTP1

/// Everything of swarm: this node isn't in one, and never will be (scheduling across hosts is Kubernetes' job).
struct SwarmRoutes: Sendable {
  func add(to router: inout Router) {
    let patterns: [(HTTPMethod, [String])] = [
      (
        .GET,
        [
          "/swarm", "/swarm/unlockkey", "/nodes", "/nodes/{id}", "/services", "/services/{id}", "/services/{id}/logs",
          "/tasks",
          "/tasks/{id}", "/tasks/{id}/logs", "/secrets", "/secrets/{id}", "/configs", "/configs/{id}",
        ]
      ),
      (
        .POST,
        [
          "/swarm/update", "/swarm/unlock", "/nodes/{id}/update", "/services/create", "/services/{id}/update",
          "/secrets/create",
          "/secrets/{id}/update", "/configs/create", "/configs/{id}/update",
        ]
      ),
      (.DELETE, ["/nodes/{id}", "/services/{id}", "/secrets/{id}", "/configs/{id}"]),
      (.PUT, ["/volumes/{name}"]),
    ]
    for (method, paths) in patterns {
      for path in paths {
        router.add(method, path) { _ in
          throw EngineError(
            .unavailable,
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try "
              + "again.")
        }
      }
    }
    router.add(.POST, "/swarm/leave") { _ in throw EngineError(.unavailable, "This node is not part of a swarm") }
    for path in ["/swarm/init", "/swarm/join"] {
      router.add(.POST, path) { _ in
        throw EngineError.notImplemented("swarm is not supported: run Kubernetes for more than one host")
      }
    }
  }
}

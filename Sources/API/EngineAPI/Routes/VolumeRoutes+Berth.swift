import Archive
import Containers
import Errdefs
import Kernel
import NIOCore
import NIOHTTP1
import OCI
import Volumes

/// `/berth/volumes/…`: what Docker has no words for.
extension VolumeRoutes {
  func addOwn(to router: inout Router) {
    router.add(.POST, "/berth/volumes/{name}/rename") { request in
      .json(VolumeShapes.volume(try await volumes.rename(request.parameter("name"), to: request.query["name"])))
    }
    router.add(.POST, "/berth/volumes/{name}/update") { request in
      let query = request.query
      return .json(
        VolumeShapes.volume(
          try await volumes.update(
            request.parameter("name"), isProtected: query.has("protected") ? query.bool("protected") : nil,
            size: query["size"].isEmpty ? nil : query["size"])))
    }
    router.add(.POST, "/berth/volumes/{name}/clone") { request in
      let volume = try await quiesced(request) { reference in
        try await volumes.clone(reference, to: request.query["name"])
      }
      return .json(VolumeShapes.volume(volume), status: .created)
    }
    router.add(.GET, "/berth/volumes/{name}/snapshots") { request in
      .json(.array(try await volumes.snapshots(request.parameter("name")).map(Self.snapshot)))
    }
    router.add(.POST, "/berth/volumes/{name}/snapshots") { request in
      let snapshot = try await quiesced(request) { reference in
        try await volumes.snapshot(reference, as: request.query["name"])
      }
      return .json(Self.snapshot(snapshot), status: .created)
    }
    router.add(.DELETE, "/berth/volumes/{name}/snapshots/{snapshot}") { request in
      try await volumes.removeSnapshot(request.parameter("name"), request.parameter("snapshot"))
      return .empty()
    }
    router.add(.POST, "/berth/volumes/{name}/restore") { request in
      let target = request.query["name"]
      let volume = try await volumes.restore(
        request.parameter("name"), request.query["snapshot"], to: target.isEmpty ? nil : target)
      return .json(VolumeShapes.volume(volume))
    }
    router.add(.GET, "/berth/volumes/{name}/export") { request in try exported(request) }
    router.add(.POST, "/berth/volumes/{name}/import", body: .streamed) { request in
      .json(
        VolumeShapes.volume(
          try await volumes.importArchive(BodySource(request.connection), as: request.parameter("name"))),
        status: .created)
    }
    router.add(.GET, "/berth/trash/volumes") { _ in .json(.array(volumes.trash().map(Self.trashed))) }
    router.add(.DELETE, "/berth/trash/volumes") { _ in .json(JSON(await volumes.emptyTrash())) }
    router.add(.POST, "/berth/trash/volumes/{name}/undelete") { request in
      let name = request.query["name"]
      return .json(
        VolumeShapes.volume(try await volumes.undelete(request.parameter("name"), as: name.isEmpty ? nil : name)))
    }
  }

  private func exported(_ request: Request) throws -> Response {
    guard let compression = Volumes.Compression(rawValue: request.query["compress"]) else {
      throw EngineError.invalidParameter("compress: \"\(request.query["compress"])\" is unknown: it is zstd or nothing")
    }
    let write = try volumes.export(request.parameter("name"), compression: compression)
    let users = request.query.bool("quiesce") ? try volumes.users(request.parameter("name")) : []
    return .stream(["Content-Type": compression == .zstd ? "application/zstd" : "application/x-tar"]) { stream in
      try await nouns.containers.frozen(users) {
        try await write { bytes in try stream.writeBlocking(ByteBuffer(bytes: bytes)) }
      }
    }
  }

  /// With `quiesce`, the containers that run with the volume stand still meanwhile.
  private func quiesced<T: Sendable>(
    _ request: Request, _ body: @escaping @Sendable (_ reference: String) async throws -> T
  ) async throws -> T {
    let volume = try volumes.inspect(request.parameter("name"))
    guard request.query.bool("quiesce") else { return try await body(volume.id) }
    return try await nouns.containers.frozen(try volumes.users(volume.id)) { try await body(volume.id) }
  }

  private static func snapshot(_ snapshot: VolumeSnapshot) -> JSON {
    ["Name": JSON(snapshot.name), "CreatedAt": JSON(ContainerShapes.time(snapshot.created))]
  }

  private static func trashed(_ trashed: TrashedVolume) -> JSON {
    guard case .object(var object) = VolumeShapes.volume(trashed.volume) else { return .null }
    object["RemovedAt"] = JSON(ContainerShapes.time(trashed.removed))
    return .object(object)
  }
}

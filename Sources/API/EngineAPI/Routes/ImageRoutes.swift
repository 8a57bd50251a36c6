import Archive
import Errdefs
import Images
import NIOCore
import NIOHTTP1
import OCI
import Registry
import Synchronization

/// `/images/…`
struct ImageRoutes: Sendable {
  let nouns: EngineNouns
  var images: Images { nouns.images }

  func add(to router: inout Router) {
    router.add(.GET, "/images/json") { request in
      var shapes = ImageShapes(version: request.version)
      if request.query.bool("manifests") { shapes.uses = images.usesByImage() }
      let list = try images.list(
        filters: try request.filters(), sharedSize: request.query.bool("shared-size"),
        containerCounts: request.version.listCountsContainers)
      return .json(.array(list.map(shapes.summary)))
    }
    router.add(.POST, "/images/load", body: .streamed) { try load($0) }
    router.add(.POST, "/images/create", body: .streamed) { try await create($0) }
    router.add(.GET, "/images/get") { request in try save(request, names: request.query.all("names")) }
    router.add(.GET, "/images/{name...}/get") { request in try save(request, names: [request.parameter("name")]) }
    router.add(.POST, "/images/prune") { request in
      let (deletions, reclaimed) = try await images.prune(filters: try request.filters())
      return .json([
        "ImagesDeleted": deletions.isEmpty ? .null : .array(deletions.map(ImageShapes.deletion)),
        "SpaceReclaimed": JSON(reclaimed),
      ])
    }
    router.add(.GET, "/images/{name...}/json") { request in
      let image = try images.resolve(request.parameter("name"))
      var shapes = ImageShapes(version: request.version)
      let wantsManifests = request.query.bool("manifests")
      if let platform = try Self.platform(request.query["platform"]) {
        guard !wantsManifests else {
          throw EngineError.invalidParameter("conflicting options: manifests and platform options cannot both be set")
        }
        guard platform.runs(image.platform) else {
          throw EngineError.notFound(
            "image with reference \(request.parameter("name")) was found but does not provide the specified platform (\(platform))"
          )
        }
      }
      if wantsManifests { shapes.uses = images.usesByImage() }
      return .json(
        shapes.inspect(
          image, driver: nouns.facts.storageDriver, driverData: images.graphData(image)))
    }
    router.add(.GET, "/images/{name...}/history") { request in
      .json(.array(try images.history(request.parameter("name")).map(ImageShapes.history)))
    }
    router.add(.POST, "/images/{name...}/push") { try await push($0) }
    router.add(.GET, "/images/search") { try await search($0) }
    router.add(.GET, "/distribution/{name...}/json") { try await distribution($0) }
    router.add(.GET, "/berth/referrers/{name...}/json") { try await referrers($0) }
    router.add(.POST, "/auth") { try await login($0) }
    router.add(.POST, "/images/{name...}/tag") { request in
      try await images.tag(request.parameter("name"), repository: request.query["repo"], tag: request.query["tag"])
      return .empty(.created)
    }
    router.add(.DELETE, "/images/{name...}") { request in
      let name = request.parameter("name")
      guard !name.trimmed.isEmpty else { throw EngineError.invalidParameter("image name cannot be blank") }
      let deletions = try await images.remove(
        name, force: request.query.bool("force"), prune: !request.query.bool("noprune"))
      return .json(.array(deletions.map(ImageShapes.deletion)))
    }
  }

  // MARK: Streams in and out

  private func load(_ request: Request) throws -> Response {
    let platform = try Self.platform(request.query["platform"])
    // Docker's `quiet` leaves the layers out; the names of what was loaded are always told.
    let quiet = request.query.bool("quiet", default: true)
    let source = BodySource(request.connection)
    return .stream(["Content-Type": "application/json"]) { stream in
      await ProgressLines.run(to: stream) { tell in
        try await images.load(source, platform: platform) { progress in
          if quiet, case .layer = progress { return }
          tell(ImageShapes.progress(progress))
        }
      }
    }
  }

  private func create(_ request: Request) async throws -> Response {
    let query = request.query
    guard query["fromImage"].isEmpty else { return try await pull(request) }
    let place = query["fromSrc"]
    let platform = try Self.platform(query["platform"])
    try Images.checkImport(repository: query["repo"], tag: query["tag"], changes: query.all("changes"))
    let message = query["message"].isEmpty ? "Imported from \(place)" : query["message"]
    guard place == "-" else {
      let download = try await images.prepareDownload(place)
      return .stream(["Content-Type": "application/json"]) { stream in
        await ProgressLines.run(to: stream) { tell in
          let id = try await images.importRoot(
            from: download, repository: query["repo"], tag: query["tag"], message: message,
            changes: query.all("changes"), platform: platform
          ) { tell(ImageShapes.progress($0)) }
          tell(["status": JSON(id.description)])
        }
      }
    }
    let source = BodySource(request.connection)
    return .stream(["Content-Type": "application/json"]) { stream in
      await ProgressLines.run(to: stream) { tell in
        let id = try await images.importRoot(
          source, repository: query["repo"], tag: query["tag"], message: message, changes: query.all("changes"),
          platform: platform
        ) { tell(ImageShapes.progress($0)) }
        tell(["status": JSON(id.description)])
      }
    }
  }

  private func save(_ request: Request, names: [String]) throws -> Response {
    // What isn't there is told with a status, before the archive begins.
    for name in names { _ = try images.resolve(name) }
    return .stream(["Content-Type": "application/x-tar"]) { stream in
      try await images.save(names) { bytes in try stream.writeBlocking(ByteBuffer(bytes: bytes)) }
    }
  }

  /// `linux/arm64/v8`, or as newer clients write it, JSON.
  static func platform(_ text: String) throws -> Platform? {
    guard !text.isEmpty else { return nil }
    if text.hasPrefix("{") {
      do {
        let fields = try JSONFields(try JSON.parse(text))
        return Platform(
          os: try fields.string("os") ?? "linux", architecture: try fields.string("architecture") ?? "",
          variant: try fields.string("variant"), osVersion: try fields.string("os.version"))
      } catch { throw EngineError.invalidParameter("failed to parse platform: \(error)") }
    }
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard (1...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else {
      throw EngineError.invalidParameter("\(GoQuote.quoted(text)): cannot parse platform specifier")
    }
    if parts.count == 1 {
      return ["linux", "windows"].contains(parts[0])
        ? nil : Platform(os: "linux", architecture: parts[0], variant: nil, osVersion: nil)
    }
    return Platform(os: parts[0], architecture: parts[1], variant: parts.count > 2 ? parts[2] : nil, osVersion: nil)
  }
}

/// An upload as the image store reads it: on a thread of the store's own, which waits for the client.
final class BodySource: ByteSource, Sendable {
  private let connection: any Connection
  private let rest = Mutex(ByteBuffer())

  init(_ connection: any Connection) { self.connection = connection }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard !buffer.isEmpty else { return 0 }
    while true {
      let count = rest.withLock { rest -> Int in
        let count = min(rest.readableBytes, buffer.count)
        if count > 0 {
          rest.readWithUnsafeReadableBytes { bytes in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<count]))
            return count
          }
        }
        return count
      }
      if count > 0 { return count }
      guard let part = try connection.nextBodyPartBlocking() else { return 0 }
      rest.withLock { $0 = part }
    }
  }
}

/// Runs work that tells its progress from any thread, and writes a line for each thing told, an error's line at last.
enum ProgressLines {
  static func run(
    to stream: any ResponseStream,
    _ work: @escaping @Sendable (_ tell: @escaping @Sendable (JSON) -> Void) async throws -> Void
  ) async {
    let (lines, feed) = AsyncStream.makeStream(of: JSON.self)
    await withTaskGroup(of: Void.self) { tasks in
      tasks.addTask {
        do {
          try await work { feed.yield($0) }
        } catch {
          feed.yield(ImageShapes.failure((error as? EngineError)?.message ?? "\(error)"))
        }
        feed.finish()
      }
      do {
        for await line in lines { try await stream.write(line, end: "\r\n") }
      } catch {
        // The client has gone: what isn't finished is given up.
        tasks.cancelAll()
      }
    }
  }
}

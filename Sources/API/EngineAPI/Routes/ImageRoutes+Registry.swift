import Errdefs
import Images
import NIOCore
import NIOHTTP1
import OCI
import Registry

extension ImageRoutes {
  /// `POST /images/create?fromImage=`: what the registry doesn't have is told with a status, what fails later in the stream.
  func pull(_ request: Request) async throws -> Response {
    let reference = try Self.pullReference(image: request.query["fromImage"], tag: request.query["tag"])
    let platform = try Self.platform(request.query["platform"])
    let pull = try await images.preparePull(reference, platform: platform, credentials: Self.credentials(request))
    return .stream(["Content-Type": "application/json"]) { stream in
      await ProgressLines.run(to: stream) { tell in
        try await pull.run { tell(ImageShapes.progress($0)) }
      }
    }
  }

  /// `POST /images/{name}/push`
  func push(_ request: Request) async throws -> Response {
    let tag = request.query["tag"]
    let reference: Reference
    do throws(ReferenceError) {
      let name = try Reference(request.parameter("name"))
      reference = tag.isEmpty ? name : try name.untagged.with(tag: tag)
    } catch { throw EngineError.invalidParameter(error.description) }
    let push = try images.preparePush(
      reference, platform: try Self.platform(request.query["platform"]), credentials: Self.credentials(request))
    return .stream(["Content-Type": "application/json"]) { stream in
      await ProgressLines.run(to: stream) { tell in
        try await push.run { tell(ImageShapes.progress($0)) }
      }
    }
  }

  /// `GET /distribution/{name}/json`: the manifest's descriptor, and for which platforms there is an image.
  func distribution(_ request: Request) async throws -> Response {
    let reference: Reference
    do throws(ReferenceError) { reference = try Reference(request.parameter("name")).tagged } catch {
      throw EngineError.invalidParameter(error.description)
    }
    let (manifest, platforms) = try await images.remoteManifest(reference, credentials: Self.credentials(request))
    var answer: JSON = ["Descriptor": manifest.descriptor.json, "Platforms": .array(platforms.map(\.json))]
    // Berth's own: the document itself, for `berth manifest inspect`, which has no way to registries of its own.
    if request.query.bool("manifest") { answer["Manifest"] = try? JSON.parse(manifest.bytes) }
    return .json(answer)
  }

  /// `GET /berth/referrers/{name}/json?artifactType=`: what refers to an image at its registry, an OCI index.
  func referrers(_ request: Request) async throws -> Response {
    let reference: Reference
    do throws(ReferenceError) { reference = try Reference(request.parameter("name")).tagged } catch {
      throw EngineError.invalidParameter(error.description)
    }
    let type = request.query["artifactType"]
    let (subject, referrers) = try await images.referrers(
      reference, artifactType: type.isEmpty ? nil : type, credentials: Self.credentials(request))
    var answer = ImageIndex(manifests: referrers).json
    answer["subject"] = JSON(subject.description)
    return .json(answer)
  }

  /// `POST /auth`
  func login(_ request: Request) async throws -> Response {
    guard let body = try request.json() else { throw EngineError.invalidParameter("invalid empty request body") }
    let credentials: Credentials
    do { credentials = try Credentials(JSONFields(body, anyCase: true)) } catch {
      throw EngineError.invalidParameter("\(error)")
    }
    let token = try await images.registry.login(credentials)
    return .json(["IdentityToken": JSON(token), "Status": "Login Succeeded"])
  }

  /// `GET /images/search`
  func search(_ request: Request) async throws -> Response {
    let query = request.query
    let filters = try request.filters()
    for name in filters.keys where !["is-automated", "is-official", "stars"].contains(name) {
      throw EngineError.invalidParameter("invalid filter '\(name)'")
    }
    var limit = 25
    if !query["limit"].isEmpty {
      guard let number = Int(query["limit"]), (0...100).contains(number) else {
        throw EngineError.invalidParameter("limit \(query["limit"]) is outside the range of [1, 100]")
      }
      if number > 0 { limit = number }
    }
    let found = try await images.registry.search(query["term"], limit: limit, credentials: Self.credentials(request))
    let official = filters["is-official"]?.first.map { $0 == "true" || $0 == "1" }
    let stars = filters["stars"]?.compactMap { Int64($0) }.max() ?? 0
    return .json(
      .array(
        found.filter { $0.stars >= stars && (official == nil || $0.isOfficial == official) }.map { result in
          [
            "star_count": JSON(result.stars), "is_official": JSON(result.isOfficial), "name": JSON(result.name),
            "is_automated": false, "description": JSON(result.description),
          ]
        }))
  }

  /// The header that clients send whether or not somebody logged in.
  static func credentials(_ request: Request) -> Credentials? {
    request.headers.first(name: "X-Registry-Auth").flatMap { Credentials.header($0) }
  }

  /// Without a tag anywhere: all tags.
  private static func pullReference(image: String, tag: String) throws(EngineError) -> Reference {
    do throws(ReferenceError) {
      let reference = try Reference(image)
      if tag.isEmpty { return reference }
      if tag.contains(":") {
        // The digest replaces whatever the name had.
        guard let digest = Digest(tag) else { throw ReferenceError("invalid checksum digest format") }
        return reference.untagged.with(digest: digest)
      }
      return try reference.untagged.with(tag: tag)
    } catch { throw .invalidParameter(error.description) }
  }
}

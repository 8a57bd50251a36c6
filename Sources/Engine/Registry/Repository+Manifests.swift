import struct Crypto.SHA256
import Errdefs
import NIOCore
import NIOHTTP1
public import OCI

/// A manifest or an index, as it came: its bytes have its digest.
public struct RemoteManifest: Sendable {
  public let mediaType: String
  public let digest: Digest
  public let bytes: [UInt8]

  public var descriptor: ContentDescriptor {
    ContentDescriptor(mediaType: mediaType, digest: digest, size: Int64(bytes.count))
  }
}

extension Repository {
  /// Larger ones are refused, as distribution does.
  static let manifestLimit = 4 << 20

  private static let accepted = [
    MediaType.ociManifest, MediaType.dockerManifest, MediaType.ociIndex, MediaType.dockerIndex, "*/*",
  ]

  /// As errors name a manifest: `127.0.0.1:5000/app:1`.
  private func name(_ reference: String) -> String {
    "\(domain)/\(path)\(reference.contains(":") ? "@" : ":")\(reference)"
  }

  private func manifestCall(_ method: HTTPMethod, _ reference: String, _ endpoint: Endpoint) -> Call {
    var call = Call(
      method: method, path: "/v2/\(endpoint.path)/manifests/\(reference)", scope: endpoint.scope("pull"))
    for type in Self.accepted { call.headers.add(name: "Accept", value: type) }
    return call
  }

  /// The digest that a tag stands for, by one request without a body; nil when the registry doesn't tell.
  /// Throws `RegistryError`.
  public func digest(of reference: String) async throws -> Digest? {
    try await telling {
      try await fromSources(.resolve) { endpoint in
        let answer = try await send(manifestCall(.HEAD, reference, endpoint), to: endpoint)
        guard answer.status == .ok else {
          // There is no body that could say why.
          if answer.status == .notFound {
            throw RegistryError(
              status: 404, code: "MANIFEST_UNKNOWN", description: "manifest unknown: manifest unknown")
          }
          throw RegistryError(status: answer.status, body: [])
        }
        return answer.headers.first(name: "Docker-Content-Digest").flatMap { Digest($0) }
      }
    }
  }

  /// By tag or digest. What was asked for by digest has that digest; what came by tag has the one that the registry claims.
  /// Throws `RegistryError`.
  public func manifest(_ reference: String) async throws -> RemoteManifest {
    try await telling {
      try await fromSources(Digest(reference) == nil ? .resolve : .pull) { endpoint in
        let answer = try await send(manifestCall(.GET, reference, endpoint), to: endpoint)
        guard answer.status == .ok else { throw await answer.error() }
        let bytes = try await answer.bytes(limit: Self.manifestLimit, of: "manifest \(name(reference))")
        let digest = Self.digest(bytes)
        let claimed = Digest(reference) ?? answer.headers.first(name: "Docker-Content-Digest").flatMap { Digest($0) }
        if let claimed, claimed != digest {
          throw EngineError.system(
            "manifest verification failed for digest \(claimed): \(name(reference)) has \(digest)")
        }
        return RemoteManifest(
          mediaType: try Self.mediaType(bytes, answer.headers.first(name: "Content-Type"), name(reference)),
          digest: digest, bytes: bytes)
      }
    }
  }

  /// The document's own word goes before the header's, which may not say the opposite of it (CVE-2021-41190).
  private static func mediaType(_ bytes: [UInt8], _ header: String?, _ name: String) throws -> String {
    let document: JSON
    do { document = try JSON.parse(bytes) } catch {
      throw EngineError.system("manifest \(name) isn't JSON: \(error)", cause: error)
    }
    if document["schemaVersion"]?.intValue == 1 {
      throw EngineError.notImplemented(
        "images of Docker Image Manifest v2, schema 1 aren't supported: push the image again with a newer client")
    }
    let told = header.map { String($0.prefix { $0 != ";" }).filter { !$0.isWhitespace } } ?? ""
    let own = document["mediaType"]?.stringValue ?? ""
    let type = own.isEmpty ? told : own
    if MediaType.isIndex(type) || MediaType.isManifest(type) { return type }
    if document["manifests"] != nil { return MediaType.ociIndex }
    return document["config"] != nil ? MediaType.ociManifest : type
  }

  /// Names a manifest, by tag or by its own digest. Answers the digest that the registry gives it, when it tells.
  public func put(_ manifest: [UInt8], mediaType: String, as reference: String) async throws {
    try await telling {
      let target = try await target()
      var call = Call(
        method: .PUT, path: "/v2/\(target.path)/manifests/\(reference)", scope: target.scope("pull,push"))
      call.body = .bytes(manifest, type: mediaType)
      let answer = try await send(call, to: target)
      guard answer.status == .created || answer.status == .accepted || answer.status == .ok else {
        throw await answer.error()
      }
      let digest = Self.digest(manifest)
      if let claimed = answer.headers.first(name: "Docker-Content-Digest"), claimed != digest.description {
        throw EngineError.system("the registry stored the manifest as \(claimed), it is \(digest)")
      }
    }
  }

  /// All tags, in the registry's order; follows its pages.
  public func tags() async throws -> [String] {
    try await telling { try await fromSources(.resolve) { try await tags($0) } }
  }

  private func tags(_ endpoint: Endpoint) async throws -> [String] {
    var tags: [String] = []
    var next: String? = "/v2/\(endpoint.path)/tags/list"
    while let page = next {
      let answer = try await send(Call(path: page, scope: endpoint.scope("pull")), to: endpoint)
      guard answer.status == .ok else { throw await answer.error() }
      let document = try JSON.parse(
        try await answer.bytes(limit: 16 << 20, of: "the list of tags of \(domain)/\(path)"))
      let found = (document["tags"]?.arrayValue ?? []).compactMap(\.stringValue)
      tags += found
      guard tags.count <= 100_000 else { throw EngineError.system("\(domain)/\(path) has more than 100000 tags") }
      next = found.isEmpty ? nil : Self.nextPage(answer)
    }
    return tags
  }

  /// `Link: </v2/…>; rel="next"` (RFC 8288).
  static func nextPage(_ answer: Answer) -> String? {
    guard let link = answer.headers.first(name: "Link"), link.contains("rel=\"next\"") || link.contains("rel=next"),
      let start = link.firstIndex(of: "<"), let end = link.firstIndex(of: ">"), start < end
    else { return nil }
    return Location(answer.url)?.resolve(String(link[link.index(after: start)..<end]))?.url
  }

  /// What is thrown to whoever asked: `RegistryError`, `EngineError` or a cancellation.
  func telling<T>(_ body: () async throws -> T) async throws -> T {
    do { return try await body() } catch let error as NoAnswer { throw error.engineError } catch let error as JSONError
    {
      throw EngineError.system("the registry's answer can't be read: \(error)", cause: error)
    }
  }

  static func digest(_ bytes: [UInt8]) -> Digest {
    var hasher = SHA256()
    bytes.withUnsafeBytes { hasher.update(bufferPointer: $0) }
    guard let digest = Digest(sha256: Array(hasher.finalize())) else { preconditionFailure("SHA-256 has 32 bytes") }
    return digest
  }
}

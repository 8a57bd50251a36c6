import Errdefs
import NIOHTTP1
public import OCI

extension Repository {
  /// What refers to a manifest by its `subject` (distribution-spec 1.1, "Listing Referrers"): signatures, bills of materials, attestations.
  /// A registry without that API has them under the tag `sha256-<hex>`; one that has none answers an empty list.
  public func referrers(_ digest: Digest, artifactType: String? = nil) async throws -> [ContentDescriptor] {
    let all = try await telling {
      try await fromSources(.pull) { endpoint in try await referrers(digest, artifactType, endpoint) }
    }
    // A registry needn't filter.
    return artifactType.map { type in all.filter { $0.artifactType == type } } ?? all
  }

  private func referrers(_ digest: Digest, _ type: String?, _ endpoint: Endpoint) async throws -> [ContentDescriptor] {
    var found: [ContentDescriptor] = []
    let query = type.map { "?artifactType=\(Registry.escape($0))" } ?? ""
    var next: String? = "/v2/\(endpoint.path)/referrers/\(digest)\(query)"
    while let page = next {
      var call = Call(path: page, scope: endpoint.scope("pull"))
      call.headers.add(name: "Accept", value: MediaType.ociIndex)
      let answer = try await send(call, to: endpoint)
      if answer.status == .notFound || answer.status == .methodNotAllowed || answer.status == .badRequest {
        return try await tagged(digest)
      }
      guard answer.status == .ok else { throw await answer.error() }
      let bytes = try await answer.bytes(
        limit: Self.manifestLimit, of: "the list of what refers to \(domain)/\(path)@\(digest)")
      found += try ImageIndex(decoding: bytes).manifests
      guard found.count <= 10_000 else { throw EngineError.system("\(digest) has more than 10000 referrers") }
      next = Self.nextPage(answer)
    }
    return found
  }

  /// distribution-spec 1.1, "Referrers Tag Schema".
  private func tagged(_ digest: Digest) async throws -> [ContentDescriptor] {
    let manifest: RemoteManifest
    do { manifest = try await self.manifest("sha256-\(digest.hex)") } catch let error as RegistryError
      where error.status == 404
    { return [] }
    guard MediaType.isIndex(manifest.mediaType) else { return [] }
    return try ImageIndex(decoding: manifest.bytes).manifests
  }
}

import Errdefs
import NIOHTTP1
import OCI

/// A repository that a search found.
public struct SearchResult: Sendable, Equatable {
  public var name: String
  public var description: String
  public var stars: Int64
  public var isOfficial: Bool
}

extension Registry {
  /// `docker search`: Docker Hub's index, or that of the registry which the term begins with (`registry.example/term`). A registry without
  /// an index is searched by its catalogue, as far as it shows one.
  public func search(_ term: String, limit: Int, credentials: Credentials?) async throws -> [SearchResult] {
    guard !term.contains("://") else {
      throw EngineError.invalidParameter(
        "invalid repository name (\(term)), must not contain schema (http:// or https://)")
    }
    let (domain, rest) = Self.split(term)
    guard !rest.isEmpty else { throw EngineError.invalidParameter("Search can not be empty") }
    let host = domain == Reference.defaultDomain ? "index.docker.io" : domain
    let repository = Repository(self, domain: host, path: "", credentials: credentials)
    return try await repository.telling {
      let path = "/v1/search?q=\(Self.escape(rest))&n=\(limit)"
      let answer = try await repository.send(Call(path: path, scope: ""), to: try await repository.target())
      if answer.status == .ok {
        let document = try JSON.parse(try await answer.bytes(limit: 8 << 20))
        return (document["results"]?.arrayValue ?? []).prefix(limit).map { result in
          SearchResult(
            name: result["name"]?.stringValue ?? "", description: result["description"]?.stringValue ?? "",
            stars: result["star_count"]?.intValue ?? 0, isOfficial: result["is_official"]?.boolValue ?? false)
        }
      }
      guard answer.status == .notFound, domain != Reference.defaultDomain else {
        throw EngineError(.system, "Unexpected status code \(answer.status.code)")
      }
      return try await catalogue(repository, containing: rest, limit: limit)
    }
  }

  private func catalogue(_ repository: Repository, containing text: String, limit: Int) async throws -> [SearchResult] {
    var found: [SearchResult] = []
    var next: String? = "/v2/_catalog?n=1000"
    for _ in 0..<100 {
      guard let page = next, found.count < limit else { break }
      let answer = try await repository.send(
        Call(path: page, scope: "registry:catalog:*"), to: try await repository.target())
      guard answer.status == .ok else { throw await answer.error().plain }
      let document = try JSON.parse(try await answer.bytes(limit: 8 << 20))
      for name in (document["repositories"]?.arrayValue ?? []).compactMap(\.stringValue) where name.contains(text) {
        found.append(
          SearchResult(name: "\(repository.domain)/\(name)", description: "", stars: 0, isOfficial: false))
      }
      next = Repository.nextPage(answer)
    }
    return Array(found.prefix(limit))
  }

  private static func split(_ term: String) -> (domain: String, rest: String) {
    guard let slash = term.firstIndex(of: "/") else { return (Reference.defaultDomain, term) }
    let first = term[..<slash]
    guard first.contains(where: { $0 == "." || $0 == ":" }) || first == "localhost" else {
      return (Reference.defaultDomain, term)
    }
    return (String(first), String(term[term.index(after: slash)...]))
  }
}

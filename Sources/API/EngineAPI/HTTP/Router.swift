import Errdefs
import NIOHTTP1

/// The table of routes: method and pattern to handler.
///
/// A pattern is literal segments and `{names}`; a name takes one segment, `{name...}` one or more (images' names have slashes).
/// The first route that fits wins, as in dockerd's mux.
struct Router: Sendable {
  typealias Handler = @Sendable (Request) async throws -> Response

  enum Body: Sendable {
    /// Collected before the handler runs, up to `jsonLimit`.
    case collected
    /// Left to the handler's `nextBodyPart`.
    case streamed
  }

  struct Route: Sendable {
    let method: HTTPMethod
    let segments: [Segment]
    let body: Body
    let handler: Handler
  }

  enum Segment: Sendable, Equatable {
    case literal(String)
    case one(String)
    case many(String)
  }

  /// The largest JSON body: a container's settings with a seccomp profile inside are some 50 KB.
  static let jsonLimit = 4 << 20

  private var routes: [String: [Route]] = [:]

  mutating func add(_ method: HTTPMethod, _ pattern: String, body: Body = .collected, _ handler: @escaping Handler) {
    let segments = pattern.split(separator: "/").map { text -> Segment in
      guard text.hasPrefix("{"), text.hasSuffix("}") else { return .literal(String(text)) }
      let name = text.dropFirst().dropLast()
      return name.hasSuffix("...") ? .many(String(name.dropLast(3))) : .one(String(name))
    }
    guard case .literal(let first)? = segments.first else { preconditionFailure("a pattern begins with a literal") }
    routes[first, default: []].append(Route(method: method, segments: segments, body: body, handler: handler))
  }

  /// The route of a path without its version, and what its names stand for.
  func match(_ method: HTTPMethod, _ path: Substring) -> (route: Route, parameters: [String: String])? {
    let parts = path.split(separator: "/")
    guard let first = parts.first, let candidates = routes[String(first)] else { return nil }
    for route in candidates where route.method == method {
      if let parameters = Router.match(route.segments[...], parts[...]) { return (route, parameters) }
    }
    return nil
  }

  private static func match(_ segments: ArraySlice<Segment>, _ parts: ArraySlice<Substring>) -> [String: String]? {
    guard let segment = segments.first else { return parts.isEmpty ? [:] : nil }
    switch segment {
    case .literal(let text):
      guard parts.first.map({ $0 == text }) == true else { return nil }
      return match(segments.dropFirst(), parts.dropFirst())
    case .one(let name):
      guard let part = parts.first, var result = match(segments.dropFirst(), parts.dropFirst()) else { return nil }
      result[name] = PercentEncoding.decode(part)
      return result
    case .many(let name):
      let rest = segments.count - 1
      guard parts.count > rest, var result = match(segments.dropFirst(), parts.suffix(rest)) else { return nil }
      result[name] = parts.dropLast(rest).map { PercentEncoding.decode($0) }.joined(separator: "/")
      return result
    }
  }
}

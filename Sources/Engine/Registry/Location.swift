/// An absolute http(s) URL, in the parts that matter to where a request goes.
struct Location: Sendable, Equatable {
  /// `http` or `https`
  var scheme: String
  /// Lower case, with the port when it isn't the scheme's own.
  var host: String
  /// From the slash on, with its query.
  var rest: String

  var url: String { "\(scheme)://\(host)\(rest)" }
  var origin: String { "\(scheme)://\(host)" }

  /// nil for anything else, also for a URL with a user in it.
  init?(_ text: String) {
    guard let mark = text.firstRange(of: "://") else { return nil }
    scheme = text[..<mark.lowerBound].lowercased()
    guard scheme == "http" || scheme == "https" else { return nil }
    let after = text[mark.upperBound...]
    let authority = after.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    guard !authority.isEmpty, !authority.contains("@"), authority.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
      return nil
    }
    host = authority.lowercased()
    let port = scheme == "http" ? ":80" : ":443"
    if host.hasSuffix(port) { host.removeLast(port.count) }
    let tail = after.dropFirst(authority.count).prefix { $0 != "#" }
    rest = tail.hasPrefix("/") ? String(tail) : "/" + tail
    guard rest.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
  }

  /// What a `Location` header of an answer from here means.
  func resolve(_ target: String) -> Location? {
    if target.contains("://"), let whole = Location(target) { return whole }
    if target.hasPrefix("//") { return Location("\(scheme):\(target)") }
    if target.hasPrefix("/") { return Location(origin + target) }
    let directory = rest.prefix { $0 != "?" }
    let base = directory.lastIndex(of: "/").map { directory[...$0] } ?? "/"
    return Location(origin + base + target)
  }
}

import OCI

/// `registries.conf`, version 2 (containers-registries.conf(5)): where the images of a name really lie, and who mirrors them.
/// `unqualified-search-registries` and aliases are read over: a short name is Docker Hub's here, as in Docker.
struct RegistriesFile: Sendable, Equatable {
  struct Place: Sendable, Equatable {
    /// `host[:port][/path]`
    var location: String
    var isInsecure = false
    /// `pull-from-mirror`; of mirrors alone.
    var use = Use.all
  }

  enum Use: String, Sendable { case all, byDigest = "digest-only", byTag = "tag-only" }

  struct Entry: Sendable, Equatable {
    /// `host[:port][/path[:tag]]` or `*.domain`
    var prefix: String
    var place: Place
    var mirrors: [Place] = []
    var isBlocked = false
  }

  var entries: [Entry] = []

  init(_ bytes: [UInt8]) throws(TOMLError) {
    let document = try TOML.parse(bytes)
    try document.allow(
      [
        "registry", "unqualified-search-registries", "short-name-mode", "aliases", "credential-helpers",
        "additional-layer-store-auth-helper",
      ], in: "registries.conf")
    _ = try document.strings("unqualified-search-registries")
    for table in try document.tables("registry") {
      try table.allow(
        ["prefix", "location", "insecure", "blocked", "mirror", "mirror-by-digest-only"], in: "a registry")
      let prefix = try table.string("prefix") ?? ""
      let location = try table.string("location") ?? ""
      guard !prefix.isEmpty || !location.isEmpty else {
        throw TOMLError(line: table.line, "a registry has neither prefix nor location")
      }
      if prefix.hasPrefix("*."), !location.isEmpty {
        throw TOMLError(line: table.line(of: "location"), "a location can't stand for the wildcard \(prefix)")
      }
      var entry = Entry(
        prefix: try Self.place(prefix.isEmpty ? location : prefix, table, prefix.isEmpty ? "location" : "prefix"),
        place: Place(
          location: location.isEmpty ? prefix : try Self.place(location, table, "location"),
          isInsecure: try table.bool("insecure") ?? false),
        isBlocked: try table.bool("blocked") ?? false)
      let digestsOnly = try table.bool("mirror-by-digest-only") ?? false
      for mirror in try table.tables("mirror") {
        try mirror.allow(["location", "insecure", "pull-from-mirror"], in: "a mirror")
        guard let location = try mirror.string("location"), !location.isEmpty else {
          throw TOMLError(line: mirror.line, "a mirror has no location")
        }
        let word = try mirror.string("pull-from-mirror") ?? ""
        guard word.isEmpty || !digestsOnly else {
          throw TOMLError(
            line: mirror.line(of: "pull-from-mirror"), "pull-from-mirror and mirror-by-digest-only exclude each other")
        }
        guard let use = word.isEmpty ? (digestsOnly ? .byDigest : .all) : Use(rawValue: word) else {
          throw TOMLError(
            line: mirror.line(of: "pull-from-mirror"), "\"\(word)\" is none of all, digest-only and tag-only")
        }
        entry.mirrors.append(
          Place(
            location: try Self.place(location, mirror, "location"), isInsecure: try mirror.bool("insecure") ?? false,
            use: use))
      }
      if let twin = entries.first(where: { $0.prefix == entry.prefix }), twin != entry {
        throw TOMLError(line: table.line, "\(entry.prefix) is there twice, and differently")
      }
      entries.append(entry)
    }
  }

  private static func place(_ text: String, _ table: TOML.Table, _ key: String) throws(TOMLError) -> String {
    var text = text[...]
    while text.hasSuffix("/") { text = text.dropLast() }
    guard !text.isEmpty, !text.contains("://"), !text.hasPrefix("/"),
      text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"?#@\\\"".utf8.contains($0) })
    else { throw TOMLError(line: table.line(of: key), "\"\(text)\" isn't a host with a path") }
    return String(text)
  }

  /// The entry whose prefix is the longest that the name begins with; `*.domain` counts by its length, too.
  func entry(for name: String) -> Entry? {
    entries.filter { Self.matches(name, $0.prefix) }.max { $0.prefix.utf8.count < $1.prefix.utf8.count }
  }

  /// A prefix ends where a path's part, a host, or a name before its tag ends.
  private static func matches(_ name: String, _ prefix: String) -> Bool {
    if prefix.hasPrefix("*.") {
      let host = name.prefix { $0 != "/" && $0 != ":" }
      return host.hasSuffix(prefix.dropFirst())
    }
    guard name.hasPrefix(prefix) else { return false }
    let rest = name.dropFirst(prefix.count)
    return rest.isEmpty || rest.first == "/" || prefix.contains("/") && (rest.first == ":" || rest.first == "@")
  }
}

extension RegistriesFile.Entry {
  /// The host and path of a repository there: what follows the prefix follows the location.
  func repository(_ domain: String, _ path: String, at place: RegistriesFile.Place) -> (host: String, path: String) {
    let whole = "\(domain)/\(path)"
    let moved: String
    if prefix.hasPrefix("*.") {
      moved = place == self.place ? whole : "\(place.location)/\(path)"
    } else {
      // A prefix with a tag is the whole name.
      moved = place.location + (whole.hasPrefix(prefix) ? whole.dropFirst(prefix.count) : "")
    }
    let host = moved.prefix { $0 != "/" }
    return (String(host), String(moved.dropFirst(host.count + 1)))
  }
}

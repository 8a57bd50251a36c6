/// References to images as users write and read them.
enum ImageName {
  /// With a tag, and without docker.io's prefixes: `busybox` becomes `busybox:latest`.
  static func familiar(_ text: String) -> String {
    let (name, tag, digest) = split(text)
    if let digest { return shortened(name) + (tag.map { ":\($0)" } ?? "") + "@" + digest }
    return "\(shortened(name)):\(tag ?? "latest")"
  }

  /// Name, tag and digest.
  static func split(_ text: String) -> (name: String, tag: String?, digest: String?) {
    let (rest, digest) = text.cut("@")
    guard let colon = rest.lastIndex(of: ":"), !rest[colon...].contains("/") else { return (rest, nil, digest) }
    return (String(rest[..<colon]), String(rest[rest.index(after: colon)...]), digest)
  }

  static func shortened(_ name: String) -> String {
    for prefix in ["docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"]
    where name.hasPrefix(prefix) {
      return String(name.dropFirst(prefix.count))
    }
    return name
  }

  /// Twelve digits of an id, without its algorithm.
  static func shortID(_ id: String) -> String {
    let (algorithm, hex) = id.cut(":")
    return String((hex ?? algorithm).prefix(12))
  }
}

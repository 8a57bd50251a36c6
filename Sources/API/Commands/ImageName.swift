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

  /// Throws docker's words when the text names no image; ids are names.
  static func check(_ text: String) throws {
    if isReference(text) || text.hasPrefix("sha256:") { return }
    let (name, _, _) = split(text)
    if isReference(text.lowercased()) {
      let path = name.contains("/") ? name : "library/\(name)"
      throw CommandFailure("invalid reference format: repository name (\(path)) must be lowercase")
    }
    throw CommandFailure("invalid reference format")
  }

  /// Whether the text may name an image (distribution/reference): components of lower case letters, digits and single
  /// separators, an optional registry before them, an optional tag and digest.
  static func isReference(_ text: String) -> Bool {
    let (name, tag, digest) = split(text)
    if let tag {
      guard (1...128).contains(tag.utf8.count), !tag.hasPrefix("."), !tag.hasPrefix("-") else { return false }
      guard tag.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x5F || $0 == 0x2E || $0 == 0x2D }) else { return false }
    }
    if let digest {
      let (algorithm, hex) = digest.cut(":")
      guard !algorithm.isEmpty, let hex, hex.utf8.count >= 32, hex.allSatisfy(\.isHexDigit) else { return false }
    }
    var components = name.split(separator: "/", omittingEmptySubsequences: false)
    if components.count > 1, let host = components.first,
      host.contains(".") || host.contains(":") || host == "localhost" || host.lowercased() != host
    {
      components.removeFirst()
    }
    return !components.isEmpty && components.allSatisfy { isComponent(Array($0.utf8)) }
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || (0x41...0x5A).contains(byte)
  }

  private static func isComponent(_ bytes: [UInt8]) -> Bool {
    func isPlain(_ byte: UInt8?) -> Bool { byte.map { isAlphanumeric($0) && !(0x41...0x5A).contains($0) } ?? false }
    guard isPlain(bytes.first), isPlain(bytes.last) else { return false }
    return bytes.allSatisfy { isPlain($0) || $0 == 0x2E || $0 == 0x5F || $0 == 0x2D }
  }
}

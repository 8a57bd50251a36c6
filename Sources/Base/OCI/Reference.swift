/// The name of an image, normalised as Docker does: `busybox` is `docker.io/library/busybox:latest`.
///
/// Grammar and messages are those of github.com/distribution/reference; the familiar form leaves out what Docker's users
/// never type.
public struct Reference: Sendable, Hashable, CustomStringConvertible {
  /// `docker.io`, `localhost:5000`, `[::1]:5000`
  public let domain: String
  /// `library/busybox`
  public let path: String
  /// `nil` when only a digest, or neither, was given.
  public let tag: String?
  public let digest: Digest?

  public static let defaultDomain = "docker.io"

  /// `docker.io/library/busybox`
  public var name: String { "\(domain)/\(path)" }

  /// `docker.io/library/busybox:latest@sha256:…`
  public var description: String { name + suffix }

  /// `busybox`, `user/app`, `localhost:5000/app`
  public var familiarName: String {
    guard domain == Self.defaultDomain else { return name }
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    return parts.count == 2 && parts[0] == "library" ? String(parts[1]) : path
  }

  /// `busybox:latest`, as Docker prints it.
  public var familiar: String { familiarName + suffix }

  private var suffix: String { (tag.map { ":\($0)" } ?? "") + (digest.map { "@\($0)" } ?? "") }

  /// With `latest` when there is neither tag nor digest.
  public var tagged: Reference {
    tag == nil && digest == nil ? Reference(domain: domain, path: path, tag: "latest", digest: nil) : self
  }

  /// The same repository without tag and digest.
  public var untagged: Reference { Reference(domain: domain, path: path, tag: nil, digest: nil) }

  public func with(digest: Digest) -> Reference { Reference(domain: domain, path: path, tag: nil, digest: digest) }

  /// The same repository with another tag.
  public func with(tag: String) throws(ReferenceError) -> Reference {
    guard Self.isTag(Substring(tag)) else { throw ReferenceError("invalid tag format") }
    return Reference(domain: domain, path: path, tag: tag, digest: nil)
  }

  private init(domain: String, path: String, tag: String?, digest: Digest?) {
    self.domain = domain
    self.path = path
    self.tag = tag
    self.digest = digest
  }

  /// Parses what a user types; adds no `latest` (see `tagged`).
  public init(_ text: String) throws(ReferenceError) {
    if text.utf8.count == 64, text.utf8.allSatisfy(Digest.isHexadecimal) {
      throw ReferenceError("invalid repository name (\(text)), cannot specify 64-byte hexadecimal strings")
    }
    // ASCII alone, so that what follows may count and cut characters.
    guard text.utf8.allSatisfy({ $0 < 0x80 }) else { throw ReferenceError("invalid reference format") }
    var (domain, rest) = Self.splitDomain(text)
    if domain == Self.defaultDomain, !rest.contains("/") { rest = "library/" + rest }
    let beforeTag = rest.prefix { $0 != ":" && $0 != "@" }
    guard !beforeTag.contains(where: \.isUppercase) else {
      throw ReferenceError("invalid reference format: repository name (\(beforeTag)) must be lowercase")
    }
    var remainder = Substring(rest)
    var digest: Digest?
    if let at = remainder.firstIndex(of: "@") {
      let digestText = String(remainder[remainder.index(after: at)...])
      guard Self.looksLikeDigest(digestText) else { throw ReferenceError("invalid reference format") }
      guard let parsed = Digest(digestText) else {
        throw ReferenceError(
          digestText.hasPrefix("sha256:") ? "invalid checksum digest length" : "unsupported digest algorithm")
      }
      digest = parsed
      remainder = remainder[..<at]
    }
    var tag: String?
    if let colon = remainder.firstIndex(of: ":") {
      let tagText = remainder[remainder.index(after: colon)...]
      guard Self.isTag(tagText) else { throw ReferenceError("invalid reference format") }
      tag = String(tagText)
      remainder = remainder[..<colon]
    }
    guard Self.isDomain(domain), Self.isPath(remainder) else { throw ReferenceError("invalid reference format") }
    guard remainder.utf8.count <= 255 else {
      throw ReferenceError("repository name must not be more than 255 characters")
    }
    self.init(domain: domain, path: String(remainder), tag: tag, digest: digest)
  }

  private static func splitDomain(_ text: String) -> (domain: String, rest: String) {
    guard let slash = text.firstIndex(of: "/") else { return (defaultDomain, text) }
    let first = text[..<slash]
    let rest = String(text[text.index(after: slash)...])
    let isDomain =
      first.contains { $0 == "." || $0 == ":" } || first == "localhost" || first.contains(where: \.isUppercase)
    guard isDomain else { return (defaultDomain, text) }
    return (first == "index.docker.io" ? defaultDomain : String(first), rest)
  }

  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
      || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
  }

  private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
  }

  /// host[:port]; a host is dotted components or an IPv6 address in brackets.
  private static func isDomain(_ domain: String) -> Bool {
    var host = Substring(domain)
    if host.hasPrefix("[") {
      guard let end = host.firstIndex(of: "]") else { return false }
      let address = host[host.index(after: host.startIndex)..<end].utf8
      let isAddress = !address.isEmpty && address.allSatisfy { $0 == UInt8(ascii: ":") || isHexadecimalAnyCase($0) }
      let port = host[host.index(after: end)...]
      return isAddress && (port.isEmpty || (port.hasPrefix(":") && isPort(port.dropFirst())))
    }
    if let colon = host.firstIndex(of: ":") {
      guard isPort(host[host.index(after: colon)...]) else { return false }
      host = host[..<colon]
    }
    return host.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { component in
      let bytes = component.utf8
      guard let first = bytes.first, let last = bytes.last else { return false }
      return isAlphanumeric(first) && isAlphanumeric(last)
        && bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }
  }

  private static func isHexadecimalAnyCase(_ byte: UInt8) -> Bool {
    Digest.isHexadecimal(byte) || (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte)
  }

  private static func isPort(_ port: Substring) -> Bool {
    !port.isEmpty && port.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  /// Components of `[a-z0-9]+` joined by `.`, `_`, `__` or any run of `-`.
  private static func isPath(_ path: Substring) -> Bool {
    path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { component in
      let bytes = Array(component.utf8)
      guard let first = bytes.first, let last = bytes.last, isLowerAlphanumeric(first), isLowerAlphanumeric(last) else {
        return false
      }
      var index = 0
      while index < bytes.count {
        if isLowerAlphanumeric(bytes[index]) {
          index += 1
          continue
        }
        let start = index
        while index < bytes.count, !isLowerAlphanumeric(bytes[index]) { index += 1 }
        let separator = bytes[start..<index]
        let isRunOfDashes = separator.allSatisfy { $0 == UInt8(ascii: "-") }
        let isKnown =
          isRunOfDashes || separator.elementsEqual(".".utf8) || separator.elementsEqual("_".utf8)
          || separator.elementsEqual("__".utf8)
        guard isKnown else { return false }
      }
      return true
    }
  }

  /// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
  static func isTag(_ tag: Substring) -> Bool {
    let bytes = tag.utf8
    guard let first = bytes.first, bytes.count <= 128, isAlphanumeric(first) || first == UInt8(ascii: "_") else {
      return false
    }
    return bytes.allSatisfy {
      isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
    }
  }

  /// algorithm ":" at least 32 hexadecimal digits
  private static func looksLikeDigest(_ text: String) -> Bool {
    guard let colon = text.firstIndex(of: ":") else { return false }
    let algorithm = text[..<colon].utf8
    let hex = text[text.index(after: colon)...].utf8
    return !algorithm.isEmpty && algorithm.allSatisfy { isAlphanumeric($0) || "-_+.".utf8.contains($0) }
      && hex.count >= 32
      && hex.allSatisfy(isHexadecimalAnyCase)
  }
}

/// Why a text isn't the name of an image, in the words of distribution/reference, which Docker's clients print.
public struct ReferenceError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

import Errdefs
import Kernel
import OCI

/// Which images may come here: containers-policy.json(5), for every client of the daemon. What the file says and isn't known here
/// is refused, never passed over.
///
/// A rule's scope is the longest that the image's name has: `host/ns/repo:tag`, then each part less, then `*.domain`, then the transport's own,
/// then the default. All requirements of the scope must hold.
public struct SignaturePolicy: Sendable {
  enum Requirement: Sendable {
    case reject
    case accept
    case signed(Signed)

    /// As the file has it.
    var type: String {
      switch self {
      case .reject: "reject"
      case .accept: "insecureAcceptAnything"
      case .signed: "sigstoreSigned"
      }
    }
  }

  /// By cosign or podman, with one of these keys: an attachment of the image's repository.
  struct Signed: Sendable {
    /// Files of PEM.
    var keyPaths: [String] = []
    /// PEM itself.
    var keys: [[UInt8]] = []
    var identity = Identity.matchRepoDigestOrExact
  }

  /// What the signed name must be.
  enum Identity: Sendable, Equatable {
    case matchExact
    case matchRepoDigestOrExact
    case matchRepository
    case exactReference(String)
    case exactRepository(String)
    case remap(prefix: String, signedPrefix: String)
  }

  /// Requirements with the scope that they stand for, as errors name it.
  struct Rule: Sendable {
    var scope: String
    var requirements: [Requirement]
  }

  public let path: String
  private var standard: [Requirement] = []
  private var transports: [String: [String: [Requirement]]] = [:]

  /// The file; nil when there is none, which means that everything may come. Blocks.
  public init?(path: String) throws {
    guard !path.isEmpty, Sys.exists(path) else { return nil }
    do { try self.init(Sys.readFile(path, limit: 4 << 20), path: path) } catch {
      throw EngineError.system("signature policy \(path): \(error)", cause: error)
    }
  }

  init(_ bytes: [UInt8], path: String) throws(JSONError) {
    self.path = path
    let fields = try JSONFields(JSON.parse(bytes))
    try Self.allow(["default", "transports"], fields)
    guard let standard = try Self.requirements(fields, "default") else {
      throw JSONError(path: "default", "it is missing")
    }
    self.standard = standard
    guard let transports = try fields.fields("transports") else { return }
    for (name, value) in transports.object.members {
      let scopes = try JSONFields(value, path: transports.path(of: name))
      for (scope, _) in scopes.object.members {
        self.transports[name, default: [:]][scope] = try Self.requirements(scopes, scope)
      }
    }
  }

  // MARK: which rule

  func rule(for reference: Reference) -> Rule {
    let scopes = transports["docker"] ?? [:]
    for scope in Self.scopes(of: reference) {
      if let found = scopes[scope] { return Rule(scope: "docker \"\(scope)\"", requirements: found) }
    }
    return rule(ofTransport: "docker")
  }

  /// `docker-archive`, `oci-archive`: they have no names that could be believed.
  func rule(ofTransport name: String) -> Rule {
    if let found = transports[name]?[""] { return Rule(scope: "\(name) \"\"", requirements: found) }
    return Rule(scope: "default", requirements: standard)
  }

  static func scopes(of reference: Reference) -> [String] {
    var scopes = [reference.description]
    var name = reference.name[...]
    while true {
      scopes.append(String(name))
      guard let slash = name.lastIndex(of: "/") else { break }
      name = name[..<slash]
    }
    var host = reference.domain.prefix { $0 != ":" }
    while let dot = host.firstIndex(of: ".") {
      host = host[host.index(after: dot)...]
      scopes.append("*.\(host)")
    }
    return scopes
  }

  // MARK: reading

  private static func allow(_ known: Set<String>, _ fields: JSONFields) throws(JSONError) {
    for (key, _) in fields.object.members where !known.contains(key) {
      throw JSONError(path: fields.path(of: key), "it isn't known")
    }
  }

  private static func requirements(_ fields: JSONFields, _ key: String) throws(JSONError) -> [Requirement]? {
    guard fields.value(key) != nil else { return nil }
    let requirements = try fields.list(key) { fields throws(JSONError) in try requirement(fields) } ?? []
    guard !requirements.isEmpty else { throw JSONError(path: fields.path(of: key), "it has no requirement") }
    return requirements
  }

  private static func requirement(_ fields: JSONFields) throws(JSONError) -> Requirement {
    let type = try fields.required("type", try fields.string("type"))
    switch type {
    case "reject", "insecureAcceptAnything":
      try allow(["type"], fields)
      return type == "reject" ? .reject : .accept
    case "sigstoreSigned":
      try allow(["type", "keyPath", "keyPaths", "keyData", "keyDatas", "signedIdentity"], fields)
      var signed = Signed()
      var sources = 0
      if let path = try fields.string("keyPath") { (signed.keyPaths, sources) = ([path], sources + 1) }
      if let paths = try fields.strings("keyPaths") { (signed.keyPaths, sources) = (paths, sources + 1) }
      if let data = try fields.string("keyData") { (signed.keys, sources) = ([try decode(data, fields)], sources + 1) }
      if let datas = try fields.strings("keyDatas") {
        sources += 1
        for data in datas { signed.keys.append(try decode(data, fields)) }
      }
      guard sources == 1, !signed.keyPaths.isEmpty || !signed.keys.isEmpty else {
        throw JSONError(path: fields.path, "exactly one of keyPath, keyPaths, keyData and keyDatas is expected")
      }
      if let identity = try fields.fields("signedIdentity") { signed.identity = try Self.identity(identity) }
      return .signed(signed)
    case "signedBy":
      throw JSONError(path: fields.path, "signatures by GPG (signedBy) can't be verified")
    default: throw JSONError(path: fields.path(of: "type"), "the requirement \"\(type)\" isn't known")
    }
  }

  private static func decode(_ text: String, _ fields: JSONFields) throws(JSONError) -> [UInt8] {
    guard let bytes = Base64.decode(text), !bytes.isEmpty else {
      throw JSONError(path: fields.path, "its key isn't base64")
    }
    return bytes
  }

  private static func identity(_ fields: JSONFields) throws(JSONError) -> Identity {
    let type = try fields.required("type", try fields.string("type"))
    func text(_ key: String) throws(JSONError) -> String {
      try allow(["type", key], fields)
      return try fields.required(key, try fields.string(key))
    }
    switch type {
    case "matchExact", "matchRepoDigestOrExact", "matchRepository":
      try allow(["type"], fields)
      return type == "matchExact" ? .matchExact : type == "matchRepository" ? .matchRepository : .matchRepoDigestOrExact
    case "exactReference": return .exactReference(try text("dockerReference"))
    case "exactRepository": return .exactRepository(try text("dockerRepository"))
    case "remapIdentity":
      try allow(["type", "prefix", "signedPrefix"], fields)
      return .remap(
        prefix: try fields.required("prefix", try fields.string("prefix")),
        signedPrefix: try fields.required("signedPrefix", try fields.string("signedPrefix")))
    default: throw JSONError(path: fields.path(of: "type"), "the identity \"\(type)\" isn't known")
    }
  }
}

extension SignaturePolicy.Identity {
  /// Whether a signature for `signed` holds for an image that was asked for as `reference`.
  func matches(_ reference: Reference, signed text: String) -> Bool {
    guard let signed = try? Reference(text) else { return false }
    switch self {
    case .matchExact: return reference.digest == nil && signed.tagged == reference.tagged
    case .matchRepoDigestOrExact:
      return reference.digest == nil ? signed.tag != nil && signed == reference.tagged : signed.name == reference.name
    case .matchRepository: return signed.name == reference.name
    case .exactReference(let name): return (try? Reference(name)) == signed
    case .exactRepository(let name): return (try? Reference(name))?.name == signed.name
    case .remap(let prefix, let signedPrefix):
      let whole = reference.description
      guard whole.hasPrefix(prefix) else {
        return Self.matchRepoDigestOrExact.matches(reference, signed: text)
      }
      let rest = whole.dropFirst(prefix.count)
      guard rest.isEmpty || rest.hasPrefix("/") || rest.hasPrefix(":") || rest.hasPrefix("@"),
        let moved = try? Reference(signedPrefix + rest)
      else { return Self.matchRepoDigestOrExact.matches(reference, signed: text) }
      return Self.matchRepoDigestOrExact.matches(moved, signed: text)
    }
  }
}

import CLinux
import Kernel
import OCI

/// Docker's own file of credentials, `~/.docker/config.json` (or `$DOCKER_CONFIG`), and the helpers that it names. What else the file holds stays as
/// it is, and the file is replaced whole or not at all.
struct CredentialStore {
  let directory: String
  private(set) var config: JSON
  var path: String { directory + "/config.json" }

  /// A file that isn't there is an empty one; one that can't be read is told.
  init() throws {
    let own = Context.environment("DOCKER_CONFIG").flatMap { $0.isEmpty ? nil : $0 }
    directory = own ?? (Context.environment("HOME") ?? "/root") + "/.docker"
    config = [:]
    do {
      let bytes = try Sys.readFile(path)
      if !bytes.isEmpty { config = try JSON.parse(bytes) }
    } catch let error as SyscallError where error.errno == .noSuchFile {
      return
    } catch { throw CommandFailure("Error loading config file: \(path): \(error)") }
  }

  /// The name under which Docker keeps a registry's credentials.
  static func key(_ server: String) -> String {
    var host = server
    for prefix in ["https://", "http://"] where host.hasPrefix(prefix) { host.removeFirst(prefix.count) }
    host = String(host.prefix { $0 != "/" })
    return ["", "docker.io", "index.docker.io", "registry-1.docker.io"].contains(host)
      ? "https://index.docker.io/v1/" : host
  }

  /// The helper that answers for a registry: its own, else the one for all.
  private func helper(_ key: String) -> String? {
    if let own = config["credHelpers"]?[key]?.stringValue, !own.isEmpty { return own }
    return config["credsStore"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// The API's `AuthConfig` of a registry; nil when nothing is known.
  func credentials(_ key: String) throws -> JSON? {
    if let helper = helper(key) {
      guard let answer = try CredentialHelper(name: helper).get(key) else { return nil }
      var auth = JSONBuilder()
      // Docker's convention: this user's secret is an identity token.
      if answer.user == "<token>" {
        auth.set("identitytoken", answer.secret)
      } else {
        auth.set("username", answer.user)
        auth.set("password", answer.secret)
      }
      auth.set("serveraddress", key)
      return auth.json
    }
    for name in [key, "https://\(key)", "http://\(key)", "https://\(key)/v1/", "https://\(key)/v2/"] {
      guard let entry = config["auths"]?[name] else { continue }
      var auth = JSONBuilder()
      if let encoded = entry["auth"]?.stringValue, let plain = Base64.decode(encoded) {
        let (user, password) = String(decoding: plain, as: UTF8.self).cut(":")
        auth.set("username", user)
        auth.set("password", password ?? "")
      }
      auth.set("identitytoken", entry["identitytoken"]?.stringValue)
      auth.set("serveraddress", key)
      return auth.json
    }
    return nil
  }

  /// Answers false when they lie in the file as they are, so that the user can be warned.
  mutating func store(_ key: String, user: String, password: String, identityToken: String) throws -> Bool {
    if let helper = helper(key) {
      let isToken = !identityToken.isEmpty
      try CredentialHelper(name: helper).store(
        key, user: isToken ? "<token>" : user, secret: isToken ? identityToken : password)
      // So that the file tells that somebody is logged in.
      setEntry(key, [:])
      try save()
      return true
    }
    var entry = JSONBuilder()
    entry.set("auth", Base64.encode(Array("\(user):\(identityToken.isEmpty ? password : "")".utf8)))
    if !identityToken.isEmpty { entry.set("identitytoken", identityToken) }
    setEntry(key, entry.json)
    try save()
    return false
  }

  /// Answers whether there was something to forget.
  mutating func erase(_ key: String) throws -> Bool {
    var found = false
    if let helper = helper(key) {
      try CredentialHelper(name: helper).erase(key)
      found = true
    }
    var auths = config["auths"] ?? [:]
    for name in [key, "https://\(key)", "http://\(key)"] where auths[name] != nil {
      auths[name] = nil
      found = true
    }
    config["auths"] = auths
    if found { try save() }
    return found
  }

  private mutating func setEntry(_ key: String, _ entry: JSON) {
    var auths = config["auths"] ?? [:]
    auths[key] = entry
    config["auths"] = auths
  }

  private func save() throws {
    do throws(SyscallError) {
      try Sys.mkdirAll(directory, mode: 0o700)
      let new = "\(path).\(getpid())"
      let file = try Sys.open(new, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
      try Sys.writeAll(file.raw, config.indented("\t") + "\n")
      try Sys.fdatasync(file.raw)
      try Sys.rename(new, to: path)
    } catch { throw CommandFailure("error storing credentials in \(path): \(error)") }
  }
}

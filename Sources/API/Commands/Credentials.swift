import Kernel
import OCI

/// What `docker login` left in `~/.docker/config.json`, as the API takes it.
enum Credentials {
  /// The X-Registry-Auth header for an image's registry; nil when nothing is known.
  static func header(for repository: String) -> String? {
    let home = Context.environment("DOCKER_CONFIG") ?? (Context.environment("HOME") ?? "/root") + "/.docker"
    guard let bytes = try? Sys.readFile(home + "/config.json"), let config = try? JSON.parse(bytes) else { return nil }
    let canonical = Pull.canonical(repository, all: true)
    let registry = String(canonical.prefix { $0 != "/" })
    let keys =
      registry == "docker.io"
      ? ["https://index.docker.io/v1/", "docker.io"] : [registry, "https://\(registry)", "https://\(registry)/v1/"]
    for key in keys {
      guard let entry = config["auths"]?[key] else { continue }
      var auth = JSONBuilder()
      if let encoded = entry["auth"]?.stringValue, let plain = Base64.decode(encoded) {
        let (user, password) = String(decoding: plain, as: UTF8.self).cut(":")
        auth.set("username", user)
        auth.set("password", password ?? "")
      }
      auth.set("identitytoken", entry["identitytoken"]?.stringValue)
      auth.set("serveraddress", key)
      return Base64.encode(auth.json.encoded(), urlSafe: true)
    }
    return nil
  }
}

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
      return Base64.encodeForURL(auth.json.encoded())
    }
    return nil
  }
}

/// RFC 4648.
enum Base64 {
  private static let standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// The alphabet of URLs, padded.
  static func encodeForURL(_ bytes: [UInt8]) -> String {
    var output: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let chunk = bytes[start..<min(start + 3, bytes.count)]
      var group = chunk.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      group <<= UInt32(3 - chunk.count) * 8
      for index in 0..<4 {
        let letter = standard[Int(group >> UInt32(18 - 6 * index)) & 63]
        if index > chunk.count {
          output.append(UInt8(ascii: "="))
        } else {
          output.append(
            letter == UInt8(ascii: "+") ? UInt8(ascii: "-") : letter == UInt8(ascii: "/") ? UInt8(ascii: "_") : letter)
        }
      }
    }
    return String(decoding: output, as: UTF8.self)
  }

  /// Nil when the text isn't Base64.
  static func decode(_ text: String) -> [UInt8]? {
    var output: [UInt8] = []
    var group: UInt32 = 0
    var bits: UInt32 = 0
    for byte in text.utf8 where byte != UInt8(ascii: "=") {
      let plain = byte == UInt8(ascii: "-") ? UInt8(ascii: "+") : byte == UInt8(ascii: "_") ? UInt8(ascii: "/") : byte
      guard let value = standard.firstIndex(of: plain) else { return nil }
      group = group << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        output.append(UInt8(truncatingIfNeeded: group >> bits))
        group &= (1 << bits) - 1
      }
    }
    return output
  }
}

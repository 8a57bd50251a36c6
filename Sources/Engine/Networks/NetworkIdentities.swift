import Errdefs
import Kernel
import Netlink
import OCI

/// `networks.json`: what of the three networks must outlive the daemon. Written durably when it changes.
struct NetworkIdentities: Sendable, Equatable {
  struct Identity: Sendable, Equatable {
    var id: String
    /// Nanoseconds since 1970.
    var created: Int64
  }

  var bridge: Identity
  var host: Identity
  var none: Identity
  /// Address and prefix of the bridge as last chosen.
  var subnet: IPv4Subnet?
  /// The IPv6 subnet that was chosen for it, for when IPv6 is wanted.
  var subnet6: IPv6Subnet?

  /// Reads the file, or makes it. A file that can't be read is set aside and said so by the caller (`damaged`).
  static func load(_ path: String) throws -> (NetworkIdentities, damaged: String?) {
    var damaged: String?
    do {
      let json = try JSON.parse(try Sys.readFile(path))
      return (try NetworkIdentities(json: json), nil)
    } catch let error as SyscallError where error.errno == .noSuchFile {
      // the first start on this data root
    } catch let error as JSONError {
      damaged = path + ".damaged"
      try Sys.rename(path, to: path + ".damaged")
      _ = error
    }
    let now = Sys.realtimeNanoseconds()
    let fresh = NetworkIdentities(
      bridge: Identity(id: randomID(), created: now), host: Identity(id: randomID(), created: now),
      none: Identity(id: randomID(), created: now), subnet: nil)
    try fresh.save(path)
    return (fresh, damaged)
  }

  func save(_ path: String) throws {
    try Sys.replaceFile(path, with: Array((json.indented("  ") + "\n").utf8), mode: 0o600, durable: true)
  }

  private init(bridge: Identity, host: Identity, none: Identity, subnet: IPv4Subnet?) {
    self.bridge = bridge
    self.host = host
    self.none = none
    self.subnet = subnet
  }

  private init(json: JSON) throws(JSONError) {
    let fields = try JSONFields(json)
    func identity(_ name: String) throws(JSONError) -> Identity {
      let identity = try fields.object(name) { entry throws(JSONError) in
        Identity(
          id: try entry.required("id", try entry.string("id")),
          created: try entry.required("created", try entry.int("created")))
      }
      return try fields.required(name, identity)
    }
    bridge = try identity("bridge")
    host = try identity("host")
    none = try identity("none")
    subnet = try fields.string("subnet").flatMap { IPv4Subnet($0) }
    subnet6 = try fields.string("subnet6").flatMap { IPv6Subnet($0) }
  }

  private var json: JSON {
    func json(_ identity: Identity) -> JSON { ["id": .string(identity.id), "created": .int(identity.created)] }
    var builder = JSONBuilder()
    builder.set("bridge", json(bridge))
    builder.set("host", json(host))
    builder.set("none", json(none))
    builder.set("subnet", subnet?.description)
    builder.set("subnet6", subnet6?.canonical)
    return builder.json
  }
}

/// 64 hexadecimal digits.
func randomID() -> String {
  var generator = SystemRandomNumberGenerator()
  var result = ""
  result.reserveCapacity(64)
  for _ in 0..<4 {
    let digits = String(generator.next(), radix: 16)
    result += String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
  return result
}

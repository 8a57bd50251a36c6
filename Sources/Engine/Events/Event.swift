public import OCI

/// Something happened to an object: one line of `GET /events`.
public struct Event: Sendable, Equatable {
  /// What an event is about, by its name in the API.
  public enum Kind: String, Sendable, CaseIterable {
    case builder, config, container, daemon, image, network, node, plugin, secret, service, volume
  }

  public var kind: Kind
  /// `start`, `exec_create: sh`, `health_status: healthy`.
  public var action: String
  /// The object's id.
  public var actorID: String
  public var attributes: [String: String]
  /// Nanoseconds since 1970.
  public var time: Int64

  public init(_ kind: Kind, _ action: String, id: String, attributes: [String: String] = [:], time: Int64) {
    self.kind = kind
    self.action = action
    self.actorID = id
    self.attributes = attributes
    self.time = time
  }

  /// Docker's shape. `legacy` adds `status`, `id` and `from`, which API 1.52 dropped, to container and image events.
  public func json(legacy: Bool) -> JSON {
    var json = JSONBuilder()
    if legacy, kind == .container || kind == .image {
      json.set("status", action)
      json.set("id", actorID)
      if kind == .container, let image = attributes["image"] { json.set("from", image) }
    }
    json.set("Type", kind.rawValue)
    json.set("Action", action)
    json.set("Actor", ["ID": JSON(actorID), "Attributes": JSON(attributes)])
    json.set("scope", "local")
    json.set("time", time / 1_000_000_000)
    json.set("timeNano", time)
    return json.json
  }
}

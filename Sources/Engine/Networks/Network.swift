import Errdefs
import OCI
import Synchronization

/// A network as its user defined it: what the store keeps. The three that are always there are made of `NetworkIdentities`.
public struct Network: Sendable, Equatable {
  /// A subnet with what is said of it; `IPAM.Config` of the API.
  public struct Pool: Sendable, Equatable {
    /// `172.18.0.0/24`, `fd00:…/64`: without host part.
    public var subnet: String
    public var ipRange: String
    public var gateway: String
    public var auxiliary: [String: String]

    public init(subnet: String, ipRange: String = "", gateway: String = "", auxiliary: [String: String] = [:]) {
      self.subnet = subnet
      self.ipRange = ipRange
      self.gateway = gateway
      self.auxiliary = auxiliary
    }

    var isV6: Bool { subnet.contains(":") }
  }

  /// 64 hexadecimal digits.
  public var id: String
  public var name: String
  /// Nanoseconds since 1970.
  public var created: Int64
  /// `bridge`, `macvlan`; `host` and `null` are there already.
  public var driver: String
  public var isInternal: Bool
  public var isAttachable: Bool
  public var enableIPv4: Bool
  public var enableIPv6: Bool
  /// At most one a family; chosen at creation when the user named none.
  public var pools: [Pool]
  /// The families whose subnet the user named: only there fixed addresses are given.
  public var configuredV4: Bool
  public var configuredV6: Bool
  public var options: [String: String]
  public var labels: [String: String]
  public var ipamOptions: [String: String]

  public init(id: String, name: String, created: Int64, driver: String) {
    self.id = id
    self.name = name
    self.created = created
    self.driver = driver
    isInternal = false
    isAttachable = false
    enableIPv4 = true
    enableIPv6 = false
    pools = []
    configuredV4 = false
    configuredV6 = false
    options = [:]
    labels = [:]
    ipamOptions = [:]
  }

  var json: JSON {
    var json = JSONBuilder()
    json.set("id", id)
    json.set("name", name)
    json.set("created", created)
    json.set("driver", driver)
    json.set("internal", isInternal)
    json.set("attachable", isAttachable)
    json.set("ipv4", enableIPv4)
    json.set("ipv6", enableIPv6)
    json.set(
      "pools",
      .array(
        pools.map { pool in
          [
            "subnet": JSON(pool.subnet), "ipRange": JSON(pool.ipRange), "gateway": JSON(pool.gateway),
            "auxiliary": JSON(pool.auxiliary),
          ]
        }))
    json.set("configuredV4", configuredV4)
    json.set("configuredV6", configuredV6)
    json.set("options", options)
    json.set("labels", labels)
    json.set("ipamOptions", ipamOptions)
    return json.json
  }

  init(json: JSON) throws(JSONError) {
    let fields = try JSONFields(json)
    self.init(
      id: try fields.required("id", try fields.string("id")),
      name: try fields.required("name", try fields.string("name")),
      created: try fields.int("created") ?? 0, driver: try fields.string("driver") ?? "bridge")
    isInternal = try fields.bool("internal") ?? false
    isAttachable = try fields.bool("attachable") ?? false
    enableIPv4 = try fields.bool("ipv4") ?? true
    enableIPv6 = try fields.bool("ipv6") ?? false
    pools =
      try fields.list("pools") { entry throws(JSONError) in
        Pool(
          subnet: try entry.string("subnet") ?? "", ipRange: try entry.string("ipRange") ?? "",
          gateway: try entry.string("gateway") ?? "", auxiliary: try entry.map("auxiliary") ?? [:])
      } ?? []
    configuredV4 = try fields.bool("configuredV4") ?? false
    configuredV6 = try fields.bool("configuredV6") ?? false
    options = try fields.map("options") ?? [:]
    labels = try fields.map("labels") ?? [:]
    ipamOptions = try fields.map("ipamOptions") ?? [:]
  }
}

/// Where networks are kept: the engine ties it to the database. Called from the thread of the networks, which may block.
public protocol NetworkStore: Sendable {
  /// Each network's record, as `put` was given it.
  func networks() throws -> [(id: String, name: String, record: String)]
  /// Durable when it returns. A name that another network has is a conflict.
  func put(id: String, name: String, record: String) throws
  func delete(id: String) throws
}

/// Networks that last as long as the object: for tests and for whoever keeps none.
public final class TransientNetworkStore: NetworkStore {
  private let records = Mutex<[String: (name: String, record: String)]>([:])

  public init() {}

  public func networks() throws -> [(id: String, name: String, record: String)] {
    records.withLock { $0.map { ($0.key, $0.value.name, $0.value.record) } }
  }
  public func put(id: String, name: String, record: String) throws {
    records.withLock { $0[id] = (name, record) }
  }
  public func delete(id: String) throws { records.withLock { $0[id] = nil } }
}

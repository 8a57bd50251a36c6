public import Cgroups
public import OCI

extension ShimProtocol {
  /// What a shim without a container is told, without a tag and unanswered: any number of `ahead` and `namespaces`, then `launch`.
  /// `namespaces` alone is answered: `ok`, or `error` with a text; the user namespace and, with `network`, one that it owns come beside it.
  ///
  /// | op | fields | descriptors |
  /// | --- | --- | --- |
  /// | `ahead` | `cgroupParent`, `cgroupLayout`: where its container's group will be; `plan`?: one such as it may get | |
  /// | `namespaces` | `users`, `groups`: mappings `[inside, outside, size]`; `network` | a user namespace to take instead of a new one |
  /// | `launch` | `directory`: the run directory; `plan` | the root as a detached mount, or none |
  public enum Opening: Sendable, Equatable {
    case ahead(cgroupParent: String, CgroupLayout, sample: LaunchPlan?)
    case namespaces(users: [RuntimeSpec.IDMapping], groups: [RuntimeSpec.IDMapping], network: Bool)
    case launch(directory: String, LaunchPlan)
  }
}

extension ShimProtocol.Opening {
  public func encoded() -> [UInt8] {
    var fields = JSONBuilder()
    switch self {
    case .ahead(let parent, let layout, let sample):
      fields.set("op", "ahead")
      fields.set("cgroupParent", parent)
      fields.set("cgroupLayout", layout.json)
      fields.set("plan", sample?.json)
    case .namespaces(let users, let groups, let network):
      fields.set("op", "namespaces")
      fields.set("users", Self.json(users))
      fields.set("groups", Self.json(groups))
      fields.set("network", network)
    case .launch(let directory, let plan):
      fields.set("op", "launch")
      fields.set("directory", directory)
      fields.set("plan", plan.json)
    }
    return fields.json.encoded()
  }

  public init(decoding message: [UInt8]) throws(JSONError) {
    let fields = try JSONFields(try JSON.parse(message))
    switch try fields.required("op", fields.string("op")) {
    case "ahead":
      self = .ahead(
        cgroupParent: try fields.required("cgroupParent", fields.string("cgroupParent")),
        try CgroupLayout(try fields.required("cgroupLayout", fields.fields("cgroupLayout"))),
        sample: try fields.object("plan", LaunchPlan.init))
    case "namespaces":
      self = .namespaces(
        users: try Self.mappings(fields, "users"), groups: try Self.mappings(fields, "groups"),
        network: try fields.bool("network") ?? false)
    case "launch":
      self = .launch(
        directory: try fields.required("directory", fields.string("directory")),
        try LaunchPlan(try fields.required("plan", fields.fields("plan"))))
    case let other: throw JSONError(path: "op", "\"\(other)\" is unknown")
    }
  }

  private static func json(_ mappings: [RuntimeSpec.IDMapping]) -> JSON {
    .array(mappings.map { [.int(Int64($0.containerID)), .int(Int64($0.hostID)), .int(Int64($0.size))] })
  }

  private static func mappings(_ fields: JSONFields, _ name: String) throws(JSONError) -> [RuntimeSpec.IDMapping] {
    var result: [RuntimeSpec.IDMapping] = []
    for value in fields.value(name)?.arrayValue ?? [] {
      let numbers = (value.arrayValue ?? []).compactMap { $0.intValue.flatMap { UInt32(exactly: $0) } }
      guard numbers.count == 3 else { throw JSONError(path: name, "isn't a list of mappings") }
      result.append(RuntimeSpec.IDMapping(containerID: numbers[0], hostID: numbers[1], size: numbers[2]))
    }
    return result
  }
}

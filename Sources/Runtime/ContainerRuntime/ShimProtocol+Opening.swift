public import Cgroups
public import OCI

extension ShimProtocol {
  /// What a shim without a container is told, without a tag and unanswered: any number of `ahead`, then `launch`.
  ///
  /// | op | fields | descriptors |
  /// | --- | --- | --- |
  /// | `ahead` | `cgroupParent`, `cgroupLayout`: where its container's group will be; `plan`?: one such as it may get | |
  /// | `launch` | `directory`: the run directory; `plan` | the root as a detached mount, or none |
  public enum Opening: Sendable, Equatable {
    case ahead(cgroupParent: String, CgroupLayout, sample: LaunchPlan?)
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
    case "launch":
      self = .launch(
        directory: try fields.required("directory", fields.string("directory")),
        try LaunchPlan(try fields.required("plan", fields.fields("plan"))))
    case let other: throw JSONError(path: "op", "\"\(other)\" is unknown")
    }
  }
}

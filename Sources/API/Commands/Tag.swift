import EngineClient

extension Command {
  static let tag = Command(
    name: "tag", usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    summary: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", aliases: ["image tag", "tag"],
    arguments: .exactly(2)
  ) { invocation in
    let (name, tag, digest) = ImageName.split(invocation.arguments[1])
    guard ImageName.isReference(invocation.arguments[1]) else {
      throw CommandFailure(
        "Error parsing reference: \(GoText.quote(invocation.arguments[1])) is not a valid repository/tag: invalid reference format"
      )
    }
    guard digest == nil else { throw CommandFailure("refusing to create a tag with a digest reference") }
    _ = try invocation.client.post(
      "/images/\(PercentEncoding.encodePath(invocation.arguments[0]))/tag",
      query: ["repo": name, "tag": tag ?? "latest"])
  }
}

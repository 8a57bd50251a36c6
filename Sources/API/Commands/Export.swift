import EngineClient

extension Command {
  static let export = Command(
    name: "export", usage: "[OPTIONS] CONTAINER", summary: "Export a container's filesystem as a tar archive",
    aliases: ["container export", "export"], arguments: .exactly(1),
    flags: [Flag(.string, "output", short: "o", "Write to a file, instead of STDOUT")]
  ) { invocation in
    try download(
      invocation, Request("GET", "/containers/\(PercentEncoding.encode(invocation.arguments[0]))/export"),
      what: "export a container")
  }
}

import EngineClient
import OCI

extension Command {
  static let push = Command(
    name: "push", usage: "[OPTIONS] NAME[:TAG]", summary: "Upload an image to a registry",
    aliases: ["image push", "push"],
    arguments: .exactly(1),
    flags: [
      Flag(.bool, "all-tags", short: "a", "Push all tags of an image to the repository"),
      Flag(.bool, "disable-content-trust", default: "true", "Skip image signing"),
      Flag(
        .string, "platform",
        "Push a platform-specific manifest as a single-platform image to the registry.\nImage index won't be pushed, meaning that other manifests, including attestations won't be preserved.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"
      ),
      Flag(.bool, "quiet", short: "q", "Suppress verbose output"),
    ]
  ) { invocation in
    let (name, tag, _) = ImageName.split(invocation.arguments[0])
    let all = invocation.values.bool("all-tags")
    if all && tag != nil { throw CommandFailure("tag can't be used with --all-tags/-a") }
    let quiet = invocation.values.bool("quiet")
    if !all && tag == nil && !quiet {
      invocation.output.line("Using default tag: latest")
      invocation.output.flush()
    }
    var query = Query()
    if !all { query.add("tag", tag ?? "latest") }
    if invocation.values.isSet("platform") { query.add("platform", platform(invocation.values.string("platform"))) }
    var request = Request("POST", "/images/\(PercentEncoding.encodePath(name))/push", query: query)
    // The daemon insists on the header, be it empty.
    request.headers.append(
      ("X-Registry-Auth", try Credentials.header(for: name) ?? Base64.encode(Array("{}".utf8), urlSafe: true)))
    try ProgressMessages.show(try invocation.client.send(request), fd: 1, quiet: quiet)
    if quiet { invocation.output.line(Pull.canonical(invocation.arguments[0], all: all)) }
  }
}

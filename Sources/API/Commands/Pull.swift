import EngineClient

extension Command {
  static let pull = Command(
    name: "pull", usage: "[OPTIONS] NAME[:TAG|@DIGEST]", summary: "Download an image from a registry",
    aliases: ["image pull", "pull"], arguments: .exactly(1),
    flags: [
      Flag(.bool, "all-tags", short: "a", "Download all tagged images in the repository"),
      Flag(.bool, "disable-content-trust", default: "true", "Skip image verification"),
      Flag(.string, "platform", "Set platform if server is multi-platform capable"),
      Flag(.bool, "quiet", short: "q", "Suppress verbose output"),
    ]
  ) { invocation in
    let name = invocation.arguments[0]
    let (_, tag, digest) = ImageName.split(name)
    let all = invocation.values.bool("all-tags")
    let quiet = invocation.values.bool("quiet")
    if all && (tag != nil || digest != nil) { throw CommandFailure("tag can't be used with --all-tags/-a") }
    if !all && tag == nil && digest == nil && !quiet {
      invocation.output.line("Using default tag: latest")
      invocation.output.flush()
    }
    try Pull.image(invocation, name, platform: invocation.values.string("platform"), quiet: quiet, all: all)
    invocation.output.line(Pull.canonical(name, all: all))
  }
}

/// Fetching an image through the daemon.
enum Pull {
  static func image(
    _ invocation: Invocation, _ name: String, platform: String, quiet: Bool, all: Bool = false,
    toStandardError: Bool = false
  ) throws {
    let (repository, tag, digest) = ImageName.split(name)
    var query: Query = ["fromImage": repository]
    if let digest { query.add("tag", digest) } else if !all { query.add("tag", tag ?? "latest") }
    query.add("platform", ifAny: platform)
    var request = Request("POST", "/images/create", query: query)
    if let credentials = try Credentials.header(for: repository) {
      request.headers.append(("X-Registry-Auth", credentials))
    }
    let response = try invocation.client.send(request)
    try ProgressMessages.show(response, fd: toStandardError ? 2 : 1, quiet: quiet)
  }

  /// With its registry: `docker.io/library/busybox:latest`.
  static func canonical(_ name: String, all: Bool) -> String {
    let (repository, tag, digest) = ImageName.split(name)
    let short = ImageName.shortened(repository)
    let host = short.split(separator: "/").first.map(String.init) ?? ""
    let hasHost = short.contains("/") && (host.contains(".") || host.contains(":") || host == "localhost")
    let full = hasHost ? short : "docker.io/" + (short.contains("/") ? "" : "library/") + short
    if all { return full }
    return digest.map { "\(full)@\($0)" } ?? "\(full):\(tag ?? "latest")"
  }
}

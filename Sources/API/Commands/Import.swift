import EngineClient

extension Command {
  static let `import` = Command(
    name: "import", usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    summary: "Import the contents from a tarball to create a filesystem image", aliases: ["image import", "import"],
    arguments: .range(1, 2),
    flags: [
      Flag(.list, "change", short: "c", "Apply Dockerfile instruction to the created image"),
      Flag(.string, "message", short: "m", "Set commit message for imported image"),
      Flag(.string, "platform", "Set platform if server is multi-platform capable"),
    ]
  ) { invocation in
    let source = invocation.arguments[0]
    let isAddress = source.hasPrefix("http://") || source.hasPrefix("https://")
    let (name, tag, _) = invocation.arguments.count > 1 ? ImageName.split(invocation.arguments[1]) : ("", nil, nil)
    var query: Query = ["fromSrc": isAddress ? source : "-"]
    query.add("repo", ifAny: name)
    query.add("tag", ifAny: tag ?? "")
    query.add("message", ifAny: invocation.values.string("message"))
    query.add("platform", ifAny: invocation.values.string("platform"))
    for change in invocation.values.list("change") { query.add("changes", change) }
    var request = Request("POST", "/images/create", query: query)
    if isAddress {
      try ProgressMessages.show(try invocation.client.send(request), fd: 1)
      return
    }
    try withInput(source == "-" ? "" : source) { fd in
      request.headers.append(("Content-Type", "application/x-tar"))
      request.upload = try Upload(fd)
      try ProgressMessages.show(try invocation.client.send(request), fd: 1)
    }
  }
}

import EngineClient
import OCI

extension Command {
  static let commit = Command(
    name: "commit", usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    summary: "Create a new image from a container's changes",
    aliases: ["container commit", "commit"], arguments: .range(1, 2),
    flags: [
      Flag(.string, "author", short: "a", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"),
      Flag(.list, "change", short: "c", "Apply Dockerfile instruction to the created image"),
      Flag(.string, "message", short: "m", "Commit message"),
      Flag(.bool, "pause", short: "p", default: "true", "Pause container during commit"),
    ]
  ) { invocation in
    let values = invocation.values
    let (name, tag, _) = invocation.arguments.count > 1 ? ImageName.split(invocation.arguments[1]) : ("", nil, nil)
    var query: Query = ["container": invocation.arguments[0]]
    query.add("repo", ifAny: name)
    query.add("tag", ifAny: tag ?? "")
    query.add("comment", ifAny: values.string("message"))
    query.add("author", ifAny: values.string("author"))
    for change in values.list("change") { query.add("changes", change) }
    if !values.bool("pause") { query.add("pause", "0") }
    let answer = try invocation.client.post("/commit", query: query, body: .object(JSONObject())).json()
    invocation.output.line(answer["Id"]?.stringValue ?? "")
  }
}

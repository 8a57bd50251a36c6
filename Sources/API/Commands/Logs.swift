import EngineClient
import OCI

extension Command {
  static let logs = Command(
    name: "logs", usage: "[OPTIONS] CONTAINER", summary: "Fetch the logs of a container",
    aliases: ["container logs", "logs"],
    arguments: .exactly(1),
    flags: [
      Flag(.bool, "details", "Show extra details provided to logs"),
      Flag(.bool, "follow", short: "f", "Follow log output"),
      Flag(
        .string, "since",
        "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)"),
      Flag(.string, "tail", short: "n", default: "all", "Number of lines to show from the end of the logs"),
      Flag(.bool, "timestamps", short: "t", "Show timestamps"),
      Flag(
        .string, "until",
        "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 minutes)"),
    ]
  ) { invocation in
    let values = invocation.values
    var query: Query = ["stdout": "1", "stderr": "1"]
    query.add("details", values.bool("details"))
    query.add("follow", values.bool("follow"))
    query.add("since", ifAny: try Timestamps.parameter(values.string("since")))
    query.add("tail", ifAny: values.string("tail"))
    query.add("timestamps", values.bool("timestamps"))
    query.add("until", ifAny: try Timestamps.parameter(values.string("until")))
    let response = try invocation.client.get(
      "/containers/\(PercentEncoding.encode(invocation.arguments[0]))/logs", query: query)
    if response.isMultiplexed {
      var streams = StandardStreams()
      while let piece = try response.next() {
        try streams.feed(piece) { stream, bytes in
          if stream == .stderr {
            invocation.output.flush()
            try Output.write(2, bytes)
          } else {
            invocation.output.write(bytes)
          }
        }
        // What is here is shown before more is awaited.
        invocation.output.flush()
      }
    } else {
      while let piece = try response.next() { try Output.write(1, piece) }
    }
  }
}

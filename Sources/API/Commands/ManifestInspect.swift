import EngineClient
import OCI

extension Command {
  static let manifestInspect = Command(
    name: "inspect", usage: "[OPTIONS] [MANIFEST_LIST] MANIFEST",
    summary: "Display an image manifest, or manifest list", arguments: .exactly(1),
    flags: [
      Flag(.bool, "insecure", "Allow communication with an insecure registry"),
      Flag(.bool, "verbose", short: "v", "Output additional info including layers and platform"),
    ]
  ) { invocation in
    let name = invocation.arguments[0]
    try ImageName.check(name)
    var request = Request("GET", "/distribution/\(PercentEncoding.encodePath(name))/json", query: ["manifest": "1"])
    if let credentials = try Credentials.header(for: ImageName.split(name).name) {
      request.headers.append(("X-Registry-Auth", credentials))
    }
    let answer = try invocation.client.send(request).json()
    guard let manifest = answer["Manifest"] else { throw CommandFailure("no such manifest: \(name)") }
    if invocation.values.bool("verbose") {
      var shown = JSONBuilder()
      shown.set("Ref", Pull.canonical(name, all: false))
      shown.set("Descriptor", answer["Descriptor"])
      shown.set("Manifest", manifest)
      invocation.output.line(shown.json.indented("\t"))
    } else {
      invocation.output.line(manifest.indented("\t"))
    }
  }
}

import EngineClient
import OCI

extension Command {
  static let manifestReferrers = Command(
    name: "referrers", usage: "[OPTIONS] IMAGE",
    summary: "List what refers to an image at its registry: signatures, bills of materials, attestations",
    arguments: .exactly(1),
    flags: [
      Flag(.string, "artifact-type", "Only those of this type"),
      Flag(.bool, "json", "Print the registry's list itself"),
    ]
  ) { invocation in
    let name = invocation.arguments[0]
    try ImageName.check(name)
    var query = Query()
    query.add("artifactType", ifAny: invocation.values.string("artifact-type"))
    var request = Request("GET", "/berth/referrers/\(PercentEncoding.encodePath(name))/json", query: query)
    if let credentials = try Credentials.header(for: ImageName.split(name).name) {
      request.headers.append(("X-Registry-Auth", credentials))
    }
    let answer = try invocation.client.send(request).json()
    if invocation.values.bool("json") {
      invocation.output.line(answer.indented("\t"))
      return
    }
    var writer = TabWriter(minimumWidth: 10, padding: 3)
    writer.write("DIGEST\tARTIFACT TYPE\tSIZE\n")
    for item in answer["manifests"]?.arrayValue ?? [] {
      let type = item["artifactType"]?.stringValue ?? item["mediaType"]?.stringValue ?? ""
      let size = HumanUnits.size(item["size"]?.doubleValue ?? 0, precision: 3)
      writer.write("\(item["digest"]?.stringValue ?? "")\t\(type)\t\(size)\n")
    }
    invocation.output.print(writer.finish())
  }
}

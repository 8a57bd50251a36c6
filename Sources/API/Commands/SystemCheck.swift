import EngineClient
import OCI

extension Command {
  static let systemCheck = Command(
    name: "check", usage: "[OPTIONS]",
    summary: "Read all images once more and tell what is damaged, while the daemon goes on serving", arguments: .none,
    flags: [
      Flag(.bool, "quiet", short: "q", "Show only what is damaged"),
      Flag(.bool, "repair", "Put what is damaged into quarantine and fetch it again"),
    ]
  ) { invocation in
    var query = Query()
    query.add("repair", invocation.values.bool("repair"))
    let stream = JSONStream(try invocation.client.post("/berth/system/check", query: query))
    let output = invocation.output
    var summary: JSON?
    while let message = try stream.next() {
      if let error = message["errorDetail"]?["message"]?.stringValue { throw CommandFailure(error) }
      if let fault = message["fault"] {
        output.line(text(fault))
        output.flush()
      }
      summary = message["summary"] ?? summary
    }
    guard let summary else { throw CommandFailure("the check ended before its end") }
    func count(_ key: String) -> Int64 { summary[key]?.intValue ?? 0 }
    if !invocation.values.bool("quiet") {
      output.line(
        "Checked \(count("Images")) images: \(count("Blobs")) blobs, \(count("Layers")) layers, \(count("Snapshots")) "
          + "containers' trees; \(count("Faults")) faults, \(count("Repaired")) repaired")
    }
    output.flush()
    if summary["Clean"]?.boolValue != true { throw CommandFailure("") }
  }

  private static func text(_ fault: JSON) -> String {
    func text(_ key: String) -> String { fault[key]?.stringValue ?? "" }
    let images = (fault["Images"]?.arrayValue ?? []).compactMap(\.stringValue)
    var line = "\(text("Kind")) \(text("ID")): \(text("Problem"))"
    if !images.isEmpty { line += " (\(images.joined(separator: ", ")))" }
    if let repair = fault["Repair"]?.stringValue { line += ": \(repair)" }
    if let refusal = fault["Refusal"]?.stringValue { line += ": not repaired: \(refusal)" }
    return line
  }
}

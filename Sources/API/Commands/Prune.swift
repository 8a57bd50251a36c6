import CLinux
import EngineClient
import Kernel
import OCI

/// Removal of what isn't used: containers, images, networks, volumes, or all of them.
enum Prune {
  static let force = Flag(.bool, "force", short: "f", "Do not prompt for confirmation")

  /// Asks on the terminal unless `--force`; ends the command quietly when the answer isn't yes.
  static func confirm(_ invocation: Invocation, _ warning: String) throws {
    if invocation.values.bool("force") { return }
    invocation.output.print("\(warning)\nAre you sure you want to continue? [y/N] ")
    invocation.output.flush()
    var answer: [UInt8] = []
    var byte: UInt8 = 0
    while try withUnsafeMutableBytes(of: &byte, { try Sys.read(0, $0) }) == 1, byte != 10 { answer.append(byte) }
    guard String(decoding: answer, as: UTF8.self).trimmed().lowercased() == "y" else {
      throw CommandFailure(status: 0)
    }
  }

  /// Asks the daemon to prune; prints what went and answers the bytes that were won.
  static func run(_ invocation: Invocation, _ path: String, filters: [String], title: String, key: String) throws
    -> Double
  {
    var query = Query()
    query.add("filters", ifAny: Filters.parameter(filters))
    let report = try invocation.client.post("/\(path)/prune", query: query).json()
    let deleted = report[key]?.arrayValue ?? []
    guard !deleted.isEmpty else { return 0 }
    invocation.output.line("Deleted \(title):")
    for entry in deleted {
      if let name = entry.stringValue {
        invocation.output.line(name)
      } else if let untagged = entry["Untagged"]?.stringValue, !untagged.isEmpty {
        invocation.output.line("untagged: \(untagged)")
      } else {
        invocation.output.line("deleted: \(entry["Deleted"]?.stringValue ?? "")")
      }
    }
    invocation.output.print("\n")
    return report["SpaceReclaimed"]?.doubleValue ?? 0
  }

  static func total(_ invocation: Invocation, _ bytes: Double) {
    invocation.output.line("Total reclaimed space: \(HumanUnits.size(bytes))")
  }
}

extension Command {
  static let containerPrune = Command(
    name: "prune", usage: "[OPTIONS]", summary: "Remove all stopped containers", arguments: .none,
    flags: [Flag(.filter, "filter", "Provide filter values (e.g. \"until=<timestamp>\")"), Prune.force]
  ) { invocation in
    try Prune.confirm(invocation, "WARNING! This will remove all stopped containers.")
    Prune.total(
      invocation,
      try Prune.run(
        invocation, "containers", filters: invocation.values.list("filter"), title: "Containers",
        key: "ContainersDeleted"))
  }

  static let imagePrune = Command(
    name: "prune", usage: "[OPTIONS]", summary: "Remove unused images", arguments: .none,
    flags: [
      Flag(.bool, "all", short: "a", "Remove all unused images, not just dangling ones"),
      Flag(.filter, "filter", "Provide filter values (e.g. \"until=<timestamp>\")"), Prune.force,
    ]
  ) { invocation in
    let all = invocation.values.bool("all")
    let warning =
      all
      ? "WARNING! This will remove all images without at least one container associated to them."
      : "WARNING! This will remove all dangling images."
    try Prune.confirm(invocation, warning)
    let filters = invocation.values.list("filter") + ["dangling=\(!all)"]
    Prune.total(
      invocation, try Prune.run(invocation, "images", filters: filters, title: "Images", key: "ImagesDeleted"))
  }

  static let networkPrune = Command(
    name: "prune", usage: "[OPTIONS]", summary: "Remove all unused networks", arguments: .none,
    flags: [Flag(.filter, "filter", "Provide filter values (e.g. \"until=<timestamp>\")"), Prune.force]
  ) { invocation in
    try Prune.confirm(
      invocation, "WARNING! This will remove all custom networks not used by at least one container.")
    _ = try Prune.run(
      invocation, "networks", filters: invocation.values.list("filter"), title: "Networks", key: "NetworksDeleted")
  }

  static let volumePrune = Command(
    name: "prune", usage: "[OPTIONS]", summary: "Remove unused local volumes", arguments: .none,
    flags: [
      Flag(.bool, "all", short: "a", "Remove all unused volumes, not just anonymous ones"),
      Flag(.filter, "filter", "Provide filter values (e.g. \"label=<label>\")"), Prune.force,
    ]
  ) { invocation in
    let all = invocation.values.bool("all")
    try Prune.confirm(
      invocation,
      "WARNING! This will remove \(all ? "all" : "anonymous") local volumes not used by at least one container.")
    let filters = invocation.values.list("filter") + (all ? ["all=true"] : [])
    Prune.total(
      invocation, try Prune.run(invocation, "volumes", filters: filters, title: "Volumes", key: "VolumesDeleted"))
  }

  static let systemPrune = Command(
    name: "prune", usage: "[OPTIONS]", summary: "Remove unused data", arguments: .none,
    flags: [
      Flag(.bool, "all", short: "a", "Remove all unused images not just dangling ones"),
      Flag(.filter, "filter", "Provide filter values (e.g. \"label=<key>=<value>\")"), Prune.force,
      Flag(.bool, "volumes", "Prune anonymous volumes"),
    ]
  ) { invocation in
    let (all, volumes) = (invocation.values.bool("all"), invocation.values.bool("volumes"))
    let filters = invocation.values.list("filter")
    if volumes && filters.contains(where: { $0.hasPrefix("until=") }) {
      throw CommandFailure("ERROR: The \"until\" filter is not supported with \"--volumes\"")
    }
    var lines = ["all stopped containers", "all networks not used by at least one container"]
    if volumes { lines.append("all anonymous volumes not used by at least one container") }
    lines.append(all ? "all images without at least one container associated to them" : "all dangling images")
    lines.append(all ? "all build cache" : "unused build cache")
    var warning = "WARNING! This will remove:\n" + lines.map { "  - \($0)\n" }.joined()
    if !filters.isEmpty {
      warning +=
        "\n  Items to be pruned will be filtered with:\n"
        + filters.sorted(by: NaturalOrder.precedes).map { "  - \($0)\n" }.joined()
    }
    try Prune.confirm(invocation, warning)
    var total = try Prune.run(invocation, "containers", filters: filters, title: "Containers", key: "ContainersDeleted")
    total += try Prune.run(invocation, "networks", filters: filters, title: "Networks", key: "NetworksDeleted")
    if volumes {
      total += try Prune.run(invocation, "volumes", filters: filters, title: "Volumes", key: "VolumesDeleted")
    }
    total += try Prune.run(
      invocation, "images", filters: filters + ["dangling=\(!all)"], title: "Images", key: "ImagesDeleted")
    do {
      total += try Prune.run(
        invocation, "build", filters: filters + (all ? ["all=true"] : []), title: "build cache objects",
        key: "CachesDeleted")
    } catch let error as ClientError where error.status == 501 {
      // No builder, no cache.
    }
    Prune.total(invocation, total)
  }
}

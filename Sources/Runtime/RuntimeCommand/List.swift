import CLinux
import Kernel
import OCI

/// `list`: every container of the root. Takes no locks.
enum List {
  static let command = RuntimeCommand.Command(
    name: "list", usage: "[flags]", summary: "list containers",
    flags: [
      Flag("format", "f", value: "table|json", "the form of the answer"), Flag("quiet", "q", "only names"),
    ], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    var containers: [(Container, Container.Status)] = []
    for id in try StateDirectory.all(root: call.root) {
      do throws(CommandError) {
        let container = try Container(id, root: call.root)
        containers.append((container, try container.status()))
      } catch {
        // Removed between the look into the root and the look into it.
        if !error.message.hasSuffix("does not exist") { call.log.warning(error.message) }
      }
    }
    if call.options.has("quiet") {
      Output.write(containers.map { $0.0.id + "\n" }.joined())
      return 0
    }
    switch call.options.value("format") {
    case "json"?:
      Output.write(JSON.array(containers.map { $0.0.stateJSON($0.1) }).text + "\n")
    case nil, "table"?: Output.write(table(containers))
    case let other?: throw CommandError("invalid format option \"\(other)\"")
    }
    return 0
  }

  private static func table(_ containers: [(Container, Container.Status)]) -> String {
    var rows = [["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]]
    for (container, status) in containers {
      let state = container.stateJSON(status)
      rows.append(
        [container.id, "\(state["pid"]?.intValue ?? 0)"]
          + ["status", "bundle", "created", "owner"].map { state[$0]?.stringValue ?? "" })
    }
    let widths = rows[0].indices.map { column in (rows.map { $0[column].count }.max() ?? 0) + 3 }
    return rows.map { row in
      row.enumerated().map { column, text in
        column == row.count - 1 ? text : text + String(repeating: " ", count: widths[column] - text.count)
      }.joined() + "\n"
    }.joined()
  }
}

import Cgroups
import CLinux
import Kernel
import OCI

/// `ps`: a container's processes, in the host's numbers.
enum Ps {
  static let command = RuntimeCommand.Command(
    name: "ps", usage: "[flags] ID [PS-FLAG…]", summary: "list a container's processes",
    flags: [Flag("format", "f", value: "table|json", "json: the numbers alone")], stopsAtFirst: true, run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let container = try Container(try call.containerID(), root: call.root)
    let cgroup = try container.cgroup()
    let pids = try attemptCgroup { () throws(CgroupError) in try cgroup.processes() }
    switch call.options.value("format") {
    case "json"?:
      Output.write(JSON.array(pids.map { .int(Int64($0)) }).text + "\n")
    case nil, "table"?:
      let words = Array(call.options.words.dropFirst())
      Output.write(try table(pids, words.isEmpty ? ["-ef"] : words))
    case let other?: throw CommandError("invalid format option \"\(other)\"")
    }
    return 0
  }

  /// The host's ps, and of its lines those whose PID is one of these.
  private static func table(_ pids: [Int32], _ words: [String]) throws(CommandError) -> String {
    let text = try Subprocess.output(["ps"] + words)
    var lines = text.split(separator: "\n")
    guard let head = lines.first, let column = head.split(separator: " ").firstIndex(of: "PID") else {
      throw CommandError("couldn't find PID field in ps output")
    }
    lines.removeFirst()
    let wanted = Set(pids)
    let chosen = lines.filter { line in
      let fields = line.split(separator: " ")
      return column < fields.count && Int32(fields[column]).map(wanted.contains) ?? false
    }
    return ([head] + chosen).joined(separator: "\n") + "\n"
  }
}

import Cgroups

/// `pause`: stops every process by the freezer.
enum Pause {
  static let command = RuntimeCommand.Command(
    name: "pause", usage: "ID", summary: "stop all processes of a container until resume", run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let container = try Container(try call.containerID(), root: call.root)
    switch try container.status() {
    case .running, .created: break
    case let status: throw CommandError("container not running: it is \(status.rawValue)")
    }
    let cgroup = try container.cgroup()
    try attemptCgroup { () throws(CgroupError) in try cgroup.freeze() }
    return 0
  }
}

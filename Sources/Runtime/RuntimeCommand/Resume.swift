import Cgroups

/// `resume`: lets paused processes go on.
enum Resume {
  static let command = RuntimeCommand.Command(
    name: "resume", usage: "ID", summary: "let the processes of a paused container go on", run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let container = try Container(try call.containerID(), root: call.root)
    let status = try container.status()
    let cgroup = try container.cgroup()
    guard status == .paused || (try? cgroup.isFrozen()) == true else { throw CommandError("container not paused") }
    try attemptCgroup { () throws(CgroupError) in try cgroup.thaw() }
    return 0
  }
}

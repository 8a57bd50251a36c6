import Cgroups
import CLinux
import Kernel
import OCI

/// `kill`: sends a signal to the first process, or with `--all` to every one.
enum Kill {
  static let command = RuntimeCommand.Command(
    name: "kill", usage: "[flags] ID [SIGNAL]", summary: "send a signal (TERM) to a container's first process",
    flags: [
      Flag("all", "a", "to all of its processes"),
      Flag("regex", "r", "to every container whose whole name fits; `*` and `.*` stand for anything"),
    ], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let name = call.options.words.count > 1 ? call.options.words[1] : "TERM"
    guard let signal = SignalName.number(name) else { throw CommandError("unknown signal \"\(name)\"") }
    for id in try NamePattern.matches(try call.containerID(), call) { try kill(id, signal, call) }
    return 0
  }

  private static func kill(_ id: String, _ signal: Int32, _ call: RuntimeCommand.Invocation) throws(CommandError) {
    let container = try Container(id, root: call.root)
    if call.options.has("all") {
      try killAll(container, signal)
      return
    }
    let process = try container.process()
    try attempt("kill container \(id)") { () throws(SyscallError) in
      try Sys.sendSignal(pidfd: process.pidfd.raw, signal)
    }
    // Without a pid namespace of its own the others would live on.
    if signal == SIGKILL, let record = container.record, !record.namespaces.contains(.pid), let cgroup = record.cgroup {
      try attemptCgroup { () throws(CgroupError) in try cgroup.killAll() }
    }
    // What is frozen hears no signal but this one, on v2; thawed, it ends on v1 too.
    if signal == SIGKILL, let cgroup = container.record?.cgroup, (try? cgroup.isFrozen()) == true {
      try attemptCgroup { () throws(CgroupError) in try cgroup.thaw() }
    }
  }

  private static func killAll(_ container: Container, _ signal: Int32) throws(CommandError) {
    guard let cgroup = container.record?.cgroup else { throw CommandError("container not running") }
    if signal == SIGKILL {
      try attemptCgroup { () throws(CgroupError) in try cgroup.killAll() }
      return
    }
    for pid in try attemptCgroup({ () throws(CgroupError) in try cgroup.processes() }) {
      do throws(SyscallError) { try Sys.kill(pid, signal) } catch {
        if error.errno != .noSuchProcess { throw CommandError(error, doing: "kill container \(container.id)") }
      }
    }
  }
}

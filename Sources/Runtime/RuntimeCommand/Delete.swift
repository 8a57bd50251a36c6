import Cgroups
import CLinux
import ContainerRuntime
import Kernel
import OCI

/// `delete`: takes back what create made.
enum Delete {
  static let command = RuntimeCommand.Command(
    name: "delete", usage: "[flags] ID", summary: "delete a container that has stopped",
    flags: [
      Flag("force", "f", "kill it first; a container that isn't there is no error"),
      Flag("regex", "r", "every container whose whole name fits; `*` and `.*` stand for anything"),
    ], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    for id in try NamePattern.matches(try call.containerID(), call) { try delete(id, call) }
    return 0
  }

  private static func delete(_ id: String, _ call: RuntimeCommand.Invocation) throws(CommandError) {
    let force = call.options.has("force")
    let container: Container
    do throws(CommandError) { container = try Container(locking: id, root: call.root) } catch {
      if force, error.message.hasSuffix("does not exist") { return }
      throw error
    }
    let status = try container.status()
    guard force || status == .stopped || status == .created else {
      throw CommandError("cannot delete container \(id) that is not stopped: \(status.rawValue)")
    }
    // Read while it is there, run when all else is gone.
    let hooks: RuntimeSpec.Hooks?
    do throws(CommandError) { hooks = try container.lateHooks() } catch {
      call.log.warning("poststop hooks are left out: \(error.message)")
      hooks = nil
    }
    try take(container, hooks, call.log)
  }

  /// Kills what lives of it and removes it, whatever its state; the lock is held.
  static func take(_ container: Container, _ hooks: RuntimeSpec.Hooks?, _ log: RuntimeLog) throws(CommandError) {
    try end(container)
    guard let record = container.record else { return try container.directory.remove() }
    try remove(record, container.directory) { () throws(CommandError) in
      guard let cgroup = record.cgroup else { return }
      try attemptCgroup { () throws(CgroupError) in
        // Processes outlive the first one only where the pid namespace isn't the container's own, or never got a first one.
        try cgroup.killAll()
        try cgroup.remove()
      }
    }
    for warning in hooks?.runAll(.poststop, record.state(.stopped)) ?? [] { log.warning(warning) }
  }

  /// Kills the first process and waits for its end.
  private static func end(_ container: Container) throws(CommandError) {
    guard let record = container.record, record.isAlive, let process = try? container.process() else { return }
    if let cgroup = record.cgroup {
      // Frozen, it couldn't end on v1. What can't be killed as a group is killed by its first process.
      do throws(CgroupError) { try cgroup.killAll() } catch {}
    }
    try attempt("kill container \(container.id)") { () throws(SyscallError) in
      do throws(SyscallError) { try Sys.sendSignal(pidfd: process.pidfd.raw, SIGKILL) } catch {
        guard error.errno == .noSuchProcess else { throw error }
      }
      guard try Sys.poll(process.pidfd.raw, Int16(POLLIN), timeout: 200) == 0 else { return }
      thaw(process.pid)
      guard try Sys.poll(process.pidfd.raw, Int16(POLLIN), timeout: 10_000) != 0 else {
        throw SyscallError("wait for the end of process", "\(process.pid)", .timedOut)
      }
    }
  }

  /// Somebody may have moved the process into a frozen group of v1's freezer, in which it can't end.
  private static func thaw(_ pid: Int32) {
    guard let layout = try? CgroupLayout.probe(),
      let freezer = layout.hierarchies.first(where: { $0.controllers.contains("freezer") }),
      let groups = try? Sys.readFile("/proc/\(pid)/cgroup")
    else { return }
    for line in String(decoding: groups, as: UTF8.self).split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3, fields[1].split(separator: ",").contains("freezer"), fields[2] != "/" else { continue }
      try? Sys.writeFile("\(freezer.mountPoint)\(fields[2])/freezer.state", "THAWED")
    }
  }

  /// What every end has: the cgroup, then the state, so that a second delete finds what a first one couldn't remove.
  static func remove(
    _ record: StateDirectory.Record, _ state: StateDirectory, _ cgroup: () throws(CommandError) -> Void
  ) throws(CommandError) {
    if let unit = record.systemdUnit {
      // systemd would wait for what ignores its SIGTERM.
      if let cgroup = record.cgroup { try attemptCgroup { () throws(CgroupError) in try cgroup.killAll() } }
      try SystemdDriver.stop(unit)
    }
    try cgroup()
    try Resctrl.remove(record.resctrl)
    try state.remove()
  }
}

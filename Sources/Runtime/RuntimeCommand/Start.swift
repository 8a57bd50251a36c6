import ContainerRuntime
import OCI

/// `start`: runs the program of a container that was created.
enum Start {
  static let command = RuntimeCommand.Command(
    name: "start", usage: "ID", summary: "start a container that was created", run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let container = try Container(locking: try call.containerID(), root: call.root)
    switch try container.status() {
    case .created: break
    case .stopped: throw CommandError("cannot start a container that has stopped")
    case .creating: throw CommandError("cannot start a container that is being created")
    case .running, .paused: throw CommandError("cannot start an already running container")
    }
    do throws(LaunchFailure) {
      let record = container.record
      let notice = record?.seccompListener.flatMap { listener in
        record.map { SeccompNotice(listener: listener, state: $0.state(.created)) }
      }
      for warning in try StartGate.open(in: container.directory.directory, pid: record?.pid ?? 0, notice: notice) {
        call.log.warning(warning)
      }
    } catch { throw CommandError("unable to start container process: \(error.message)") }
    try container.directory.endWaiting()
    if let hooks = try container.lateHooks(), let record = container.record {
      do throws(LaunchFailure) { try hooks.run(.poststart, record.state(.running)) } catch {
        // The specification has the container stopped, and its end go its way.
        try Delete.take(container, hooks, call.log)
        throw CommandError(error.message)
      }
    }
    return 0
  }
}

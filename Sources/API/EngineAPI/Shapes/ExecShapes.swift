import Containers
import OCI

/// An exec as `GET /exec/{id}/json` shows it.
enum ExecShapes {
  static func inspect(_ exec: ExecSnapshot) -> JSON {
    var process = JSONBuilder()
    process.set("tty", exec.config.tty)
    process.set("entrypoint", exec.entrypoint)
    process.set("arguments", exec.arguments)
    process.set("privileged", exec.config.privileged)
    if !exec.config.user.isEmpty { process.set("user", exec.config.user) }
    var json = JSONBuilder()
    json.set("ID", exec.id)
    json.set("Running", exec.running)
    json.set("ExitCode", exec.exitCode.map { JSON(Int($0)) } ?? .null)
    json.set("ProcessConfig", process.json)
    json.set("OpenStdin", exec.openStdin)
    json.set("OpenStderr", exec.openStderr)
    json.set("OpenStdout", exec.openStdout)
    json.set("CanRemove", exec.canRemove)
    json.set("ContainerID", exec.containerID)
    json.set("DetachKeys", "")
    json.set("Pid", integer: exec.pid)
    return json.json
  }
}

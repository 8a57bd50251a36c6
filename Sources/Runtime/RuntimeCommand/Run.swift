import CLinux
import ContainerRuntime
import Kernel

/// `run`: create, start, and unless detached wait and delete.
enum Run {
  static let command = RuntimeCommand.Command(
    name: "run", usage: "[flags] ID", summary: "create and start a container",
    flags: Creation.flags + [
      Flag("detach", "d", "don't wait for its end"), Flag("keep", nil, "don't delete it at its end"),
    ], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    try SealedProgram.ensure(CommandLine.arguments)
    guard !call.options.has("detach") else {
      let creation = try start(call, detached: true)
      creation.state.unlock()
      return 0
    }
    let foreground = try Foreground()
    let creation = try start(call, detached: false)
    // Others may kill it and execute into it now.
    creation.state.unlock()
    let exit = try foreground.wait(for: creation.container.process)
    guard !call.options.has("keep") else { return exit.code }
    try Delete.remove(creation.record, creation.state) {
      for warning in creation.container.finish() { call.log.warning(warning) }
    }
    return exit.code
  }

  private static func start(_ call: RuntimeCommand.Invocation, detached: Bool) throws(CommandError) -> Creation {
    let creation = try Creation(call, detached: detached, gated: false)
    do throws(LaunchFailure) { try creation.container.start() } catch {
      try? creation.state.remove()
      throw CommandError("unable to start container process: \(error.message)")
    }
    return creation
  }
}

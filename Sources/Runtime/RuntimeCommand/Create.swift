/// `create`: everything but the program runs.
enum Create {
  static let command = RuntimeCommand.Command(
    name: "create", usage: "[flags] ID", summary: "make a container that waits for its start", flags: Creation.flags,
    run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    try SealedProgram.ensure(CommandLine.arguments)
    let creation = try Creation(call, detached: true, gated: true)
    do throws(CommandError) { try creation.leave() } catch {
      try? creation.state.remove()
      throw error
    }
    return 0
  }
}

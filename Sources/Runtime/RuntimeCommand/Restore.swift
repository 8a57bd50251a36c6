/// `restore`: what `checkpoint` wrote; not built.
enum Restore {
  static let command = RuntimeCommand.Command(
    name: "restore", usage: "[flags] ID", summary: "make a container from a checkpoint (not built yet)",
    flags: CRIU.flags + Creation.flags + [Flag("detach", "d", "don't wait for its end")], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    _ = try CRIU.find(call)
    throw CommandError("restore is not built yet")
  }
}

/// `--help`.
enum Help {
  static var program: String {
    var text = "berth-runtime: an OCI runtime with runc's command line\n\n"
    text += "usage: berth-runtime [flags] COMMAND [flags] [arguments]\n\ncommands:\n"
    for command in RuntimeCommand.commands { text += line(command.name, command.summary) }
    return text + "\nflags:\n" + flags(Globals.flags)
  }

  static func text(_ command: RuntimeCommand.Command) -> String {
    var text = "\(command.summary)\n\nusage: berth-runtime [flags] \(command.name) \(command.usage)\n"
    if !command.flags.isEmpty { text += "\nflags:\n" + flags(command.flags) }
    return text
  }

  private static func flags(_ flags: [Flag]) -> String {
    flags.map { flag in
      let name = (flag.short.map { "-\($0), " } ?? "") + "--\(flag.name)" + (flag.value.map { " \($0)" } ?? "")
      return line(name, flag.summary)
    }.joined()
  }

  private static func line(_ name: String, _ summary: String) -> String {
    "  " + name + String(repeating: " ", count: max(1, 30 - name.count)) + summary + "\n"
  }
}
